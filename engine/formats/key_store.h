// Where the texts and chunks of zarr arrays are: files of a folder, or values of a database. Private to formats.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/mapped_file.h"

namespace remap::formats {

// Bytes that were found under a key. A store that keeps them itself leaves `file` empty.
struct StoredValue {
  std::span<const std::byte> bytes;
  BytePlace place;       // of the whole; its offset, if it has one, is that of the first byte
  MappedFile file = {};  // keeps the bytes
};

// May be asked by several threads at once.
class KeyStore {
 public:
  virtual ~KeyStore() = default;
  // nullopt: there is no such key. Throws Error "io-read" if that cannot be told.
  virtual std::optional<StoredValue> find(const std::string& key) const = 0;
  virtual bool contains(const std::string& key) const = 0;
  // What messages name for a key, whether it is there or not.
  virtual BytePlace place_of(const std::string& key) const = 0;
  // The file that is opened for a key while data is loaded; nullopt if it is one that the store has open.
  virtual std::optional<std::string> file_of(const std::string& key) const = 0;
};

// Keys are paths below a folder.
class FolderStore final : public KeyStore {
 public:
  explicit FolderStore(std::string folder) : folder_(std::move(folder)) {}
  std::optional<StoredValue> find(const std::string& key) const override;
  bool contains(const std::string& key) const override;
  BytePlace place_of(const std::string& key) const override { return {path_of(key), {}, {}}; }
  std::optional<std::string> file_of(const std::string& key) const override { return path_of(key); }

 private:
  std::string path_of(const std::string& key) const { return folder_ + "/" + key; }
  std::string folder_;
};

}  // namespace remap::formats
