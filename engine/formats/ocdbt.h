// An OCDBT database: a folder with `manifest.ocdbt`, and data files that hold the nodes of B+trees and values. Keys and
// values are any bytes; here the newest version is read, and is a KeyStore. Private to formats.
//
// Opening reads the manifest and all nodes of that version; every checksum is verified, every reference is inside of a
// file of the database. Values are read when they are asked for; the format has no checksum of them.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "formats/key_store.h"
#include "remap/limits.h"

namespace remap::formats {

inline constexpr std::string_view kOcdbtManifest = "manifest.ocdbt";
bool is_ocdbt_manifest(std::span<const std::byte> bytes);

// The database's data files, of which a few are open at a time. A file that is opened again must be what it was.
class OcdbtFiles {
 public:
  explicit OcdbtFiles(std::string folder) : folder_(std::move(folder)) {}
  // The number of a file that was not opened before is the next one. Throws Error "ocdbt-path" for a path that does not
  // lead to a file of the folder, "source-parts" if there is no such file.
  size_t number_of(const std::string& path, const BytePlace& named_by);
  MappedFile open(size_t number) const;
  const FileRead& read(size_t number) const { return reads_[number]; }
  uint64_t size_of(size_t number) const { return reads_[number].stamp.size_bytes; }
  const std::vector<FileRead>& all() const { return reads_; }

 private:
  std::string folder_;
  std::map<std::string, size_t> numbers_;
  std::vector<FileRead> reads_;
  mutable std::mutex mutex_;
  mutable std::list<std::pair<size_t, MappedFile>> open_;  // the one that was used last is first
};

class OcdbtDatabase final : public KeyStore {
 public:
  // Throws Error "ocdbt-damaged", "ocdbt-unsupported", "ocdbt-path", "source-parts", "limit-exceeded".
  OcdbtDatabase(const std::string& folder, const Limits& limits);

  std::optional<StoredValue> find(const std::string& key) const override;
  bool contains(const std::string& key) const override { return index_of(key) < entries_.size(); }
  BytePlace place_of(const std::string& key) const override { return {manifest_, key, {}}; }
  std::optional<std::string> file_of(const std::string&) const override { return std::nullopt; }

  size_t size() const { return entries_.size(); }
  std::string_view key(size_t index) const;  // in ascending order of bytes
  std::vector<FileRead> files_read() const;
  uint64_t generation() const { return generation_; }  // 0: nothing was ever written

 private:
  friend class OcdbtWalk;
  static constexpr uint32_t kInline = ~uint32_t{0};
  struct Entry {
    uint64_t key_at = 0;
    uint32_t key_bytes = 0, file = kInline;
    uint64_t offset = 0, length = 0;  // in the file or, of an inline value, in inline_
  };
  size_t index_of(std::string_view key) const;  // entries_.size(): there is none

  std::string manifest_;  // its path
  OcdbtFiles files_;
  std::vector<FileRead> manifests_read_;
  uint64_t generation_ = 0;
  std::string keys_, inline_;  // one after another
  std::vector<Entry> entries_;
};

}  // namespace remap::formats
