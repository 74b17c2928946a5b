// A whole file mapped read-only, with its descriptor. Copies share the mapping; the last one unmaps and closes.
//
// Reading is safe whatever becomes of the file: bytes that cannot be read (the file became shorter, its storage fails)
// read as zeros, and require_readable() throws from then on. Whoever reads calls it afterwards: read() does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded_range.h"
#include "remap/diagnostic.h"
#include "remap/file_stamp.h"

namespace remap {

// `size_bytes` > 0 of an open file, mapped read-only and guarded. Does not own the descriptor.
class Mapping {
 public:
  // Throws Error "io-read" at `place` if the file cannot be mapped.
  Mapping(int fd, uint64_t size_bytes, const BytePlace& place);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  const std::byte* data() const { return data_; }
  std::optional<uint64_t> fault() const { return guard_->fault(); }

 private:
  uint64_t size_bytes_;
  const std::byte* data_ = nullptr;
  std::unique_ptr<GuardedRange> guard_;
};

class MappedFile {
 public:
  MappedFile() = default;
  // Throws Error "io-read" if the file cannot be opened, is not a regular file, or cannot be mapped.
  explicit MappedFile(const std::string& path);

  const std::string& path() const;
  int fd() const;
  uint64_t size() const { return stamp().size_bytes; }
  const FileStamp& stamp() const;  // when it was opened
  const std::byte* data() const;
  std::span<const std::byte> bytes() const { return {data(), static_cast<size_t>(size())}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data()), static_cast<size_t>(size())}; }

  // Throws Error "io-truncated" or "io-read", naming file and place, if bytes of the mapping could not be read. One
  // atomic read if they could.
  void require_readable() const;
  // What `body` makes of the bytes, or the reason why they could not be read, whatever it made of the zeros there.
  template <typename Body>
  auto read(const Body& body) const {
    try {
      auto result = body();
      require_readable();
      return result;
    } catch (const Error&) {
      require_readable();
      throw;
    }
  }

 private:
  struct Open;
  std::shared_ptr<const Open> open_;
};

// Of the file that a path leads to; no file of that name: FileStamp{}. Throws Error "io-read" if that cannot be told.
FileStamp stamp_of(const std::string& path);

// Throws Error "io-truncated" or "io-changed": what became of a file that was `before` when it was opened.
void require_same(const std::string& path, const FileStamp& before, const FileStamp& now);

// Reads a whole small text file; adds it to `read`. Throws Error "io-read", or "limit-exceeded" if it is larger than
// `max_bytes`.
std::string read_text_file(const std::string& path, uint64_t max_bytes, std::vector<FileRead>* read = nullptr);

// Writes all of `bytes` at the descriptor's position, or at an offset; 0, or the errno of what failed.
int write_all(int fd, std::span<const std::byte> bytes);
int write_all_at(int fd, uint64_t offset, std::span<const std::byte> bytes);

// Fills `bytes` with what is at an offset of the file. Fewer bytes without an error: the file ends there.
struct BytesRead {
  size_t n_bytes = 0;
  int error = 0;  // errno
};
BytesRead read_all_at(int fd, uint64_t offset, std::span<std::byte> bytes);

// What is read and written once would take the place of everything else in the page cache if it is more than this: half
// of the machine's memory.
uint64_t most_cached_bytes();
// Takes what is on the disk of a range of a file (length 0: to its end) out of the page cache. A hint, which may do
// nothing.
void drop_cached(int fd, uint64_t offset = 0, uint64_t length = 0);

// "No such file or directory" for an errno value; thread-safe.
std::string errno_text(int error_number);

}  // namespace remap
