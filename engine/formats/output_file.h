// A file of an output while it is written, and the space that it needs. Private to formats.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "formats/partial_folder.h"
#include "formats/safetensors_writer.h"

namespace remap::formats {

class OutputFile {
 public:
  OutputFile() = default;  // none: of another part
  // Creates it, or goes on with one that an earlier run left, and reserves all of its space. Throws Error "io-write",
  // "output-disk-full".
  OutputFile(const Destination& destination, const std::string& path, uint64_t size_bytes, uint64_t needed_bytes);
  OutputFile(OutputFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), size_bytes_(other.size_bytes_) {}
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile() { static_cast<void>(close()); }

  int fd() const { return fd_; }
  // Writes out what the system still holds in memory. 0, or the errno.
  int sync() const;
  // 0, or the errno of a write that the file system reports only now.
  int close();

 private:
  uint64_t size_now() const;
  void reserve(const Destination& destination, uint64_t needed_bytes);

  int fd_ = -1;
  uint64_t size_bytes_ = 0;
};

// Throws Error "output-disk-full" for what cannot fit, and for files beyond the process's limit, which would raise
// SIGXFSZ. `held_bytes`: space that an earlier run's files have already.
void check_space(const Destination& destination, const SafetensorsLayout& layout, uint64_t needed_bytes,
                 uint64_t held_bytes);

// Whether it is the name of a file in a folder, and leads nowhere else.
bool is_file_name(const std::string& name);

// Opens the file to be written, with these further flags of open(2), and writes all of it. 0, or the errno.
int write_text_file(const std::string& path, const std::string& contents, int flags, bool sync);

[[noreturn]] void fail_disk_full(const Destination& destination, uint64_t needed_bytes);

}  // namespace remap::formats
