#include "base/mapped_file.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remap/diagnostic.h"

namespace remap {

std::string errno_text(int error_number) { return std::generic_category().message(error_number); }

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const BytePlace place{path, {}, {}};
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // never waits for whoever writes to a pipe
  if (fd_ < 0) throw Error("io-read", place, fmt::format("cannot open for reading: {}", errno_text(errno)));
  // The destructor does not run when a constructor throws.
  const auto fail = [&](const std::string& message, const std::string& hint = {}) {
    ::close(std::exchange(fd_, -1));
    throw Error("io-read", place, message, hint);
  };
  struct stat info {};
  if (::fstat(fd_, &info) != 0) fail(fmt::format("cannot read its size: {}", errno_text(errno)));
  if (!S_ISREG(info.st_mode))
    S_ISDIR(info.st_mode) ? fail("is a folder; a file was expected")
                          : fail("is not a regular file", "save what it gives as a file, and name that");
  size_ = static_cast<uint64_t>(info.st_size);
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd_, 0);
  if (address == MAP_FAILED) fail(fmt::format("cannot map {} bytes: {}", size_, errno_text(errno)));
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  if (fd_ >= 0) ::close(fd_);
}

void MappedFile::swap(MappedFile& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  std::swap(data_, other.data_);
}

void MappedFile::check_unchanged() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) throw Error("io-read", BytePlace{path_, {}, {}}, errno_text(errno));
  if (static_cast<uint64_t>(info.st_size) != size_)
    throw Error("io-truncated", BytePlace{path_, {}, {}},
                fmt::format("the file had {} bytes when it was opened and now has {}", size_, info.st_size),
                "let the program that writes it finish, then run again");
}

int write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return written < 0 ? errno : EIO;
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return 0;
}

std::string read_text_file(const std::string& path, uint64_t max_bytes) {
  MappedFile file(path);
  if (file.size() > max_bytes)
    throw Error(
        "limit-exceeded", BytePlace{path, {}, {}},
        fmt::format("the file has {} bytes; at most {} are read of a file of this kind", file.size(), max_bytes));
  return {reinterpret_cast<const char*>(file.data()), static_cast<size_t>(file.size())};
}

}  // namespace remap
