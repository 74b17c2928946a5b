// A whole file mapped read-only, with its descriptor. Movable, not copyable; unmapped and closed when destroyed.
// Reading a mapping of a file that someone else truncates raises SIGBUS: check_unchanged() before long work makes that
// unlikely, and reports it as an Error where it can.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace remap {

class MappedFile {
 public:
  MappedFile() = default;
  // Throws Error "io-read" if the file cannot be opened, is not a regular file, or cannot be mapped.
  explicit MappedFile(const std::string& path);
  MappedFile(MappedFile&& other) noexcept { swap(other); }
  MappedFile& operator=(MappedFile&& other) noexcept {
    swap(other);
    return *this;
  }
  ~MappedFile();

  const std::string& path() const { return path_; }
  int fd() const { return fd_; }
  uint64_t size() const { return size_; }
  const std::byte* data() const { return data_; }
  std::span<const std::byte> bytes() const { return {data_, static_cast<size_t>(size_)}; }
  // Throws Error "io-truncated" if the file's size is no longer what it was when mapped.
  void check_unchanged() const;

 private:
  void swap(MappedFile& other) noexcept;
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
  const std::byte* data_ = nullptr;
};

// Reads a whole small text file. Throws Error "io-read", or "limit-exceeded" if it is larger than `max_bytes`.
std::string read_text_file(const std::string& path, uint64_t max_bytes);

// Writes all of `bytes` at the descriptor's position; 0, or the errno of what failed.
int write_all(int fd, std::span<const std::byte> bytes);

// "No such file or directory" for an errno value; thread-safe.
std::string errno_text(int error_number);

}  // namespace remap
