#include "formats/output_file.h"

#include <algorithm>
#include <cerrno>
#include <span>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mapped_file.h"
#include "base/open_descriptor.h"
#include "base/text.h"
#include "remap/diagnostic.h"

namespace remap::formats {
bool is_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

int write_text_file(const std::string& path, const std::string& contents, int flags, bool sync) {
  const int fd = open_descriptor(path, O_WRONLY | O_CREAT | flags, 0666);
  if (fd < 0) return errno;
  int error = write_all(fd, std::as_bytes(std::span(contents)));
  if (error == 0 && sync && ::fsync(fd) != 0) error = errno;
  if (::close(fd) != 0 && error == 0) error = errno;
  return error;
}

void fail_disk_full(const Destination& destination, uint64_t needed_bytes) {
  struct statvfs info {};
  std::string free = "too little is";
  if (::statvfs(destination.parent.c_str(), &info) == 0)
    free = fmt::format("{} are", human_bytes(uint64_t{info.f_bavail} * info.f_frsize));
  throw Error("output-disk-full", at(destination.path),
              fmt::format("the output needs {}, and {} free on the file system of '{}'", human_bytes(needed_bytes),
                          free, destination.parent),
              "free some space or choose another place");
}

OutputFile::OutputFile(const Destination& destination, const std::string& path, uint64_t size_bytes,
                       uint64_t needed_bytes)
    : size_bytes_(size_bytes) {
  // One that an earlier run left is gone on with. But the bytes of a file that has another name too, which an output
  // may have had that was being replaced, are not only ours.
  if (struct stat info{}; ::lstat(path.c_str(), &info) == 0 && (!S_ISREG(info.st_mode) || info.st_nlink > 1))
    ::unlink(path.c_str());
  fd_ = open_descriptor(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0666);
  if (fd_ < 0 && (errno == ENOSPC || errno == EDQUOT))
    throw Error("output-disk-full", at(destination.path), "its file system has no room for one more file",
                "free some space, or remove files nobody needs, or choose another place");
  if (fd_ < 0)
    throw Error("io-write", at(destination.path), fmt::format("cannot create a file in it: {}", errno_text(errno)),
                errno == EMFILE ? "choose larger shards, or allow more open files (ulimit -n)" : "");
  try {
    if (::ftruncate(fd_, static_cast<off_t>(std::min(size_bytes_, size_now()))) != 0)
      throw Error("io-write", at(destination.path), fmt::format("cannot cut a file in it: {}", errno_text(errno)));
    reserve(destination, needed_bytes);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

int OutputFile::sync() const { return fd_ < 0 || ::fsync(fd_) == 0 ? 0 : errno; }
int OutputFile::close() { return fd_ < 0 || ::close(std::exchange(fd_, -1)) == 0 ? 0 : errno; }

uint64_t OutputFile::size_now() const {
  struct stat info {};
  return ::fstat(fd_, &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
}

// A full disk is found before anything is copied.
void OutputFile::reserve(const Destination& destination, uint64_t needed_bytes) {
  const auto length = static_cast<off_t>(size_bytes_);
  int error;
  do error = ::fallocate(fd_, 0, 0, length) == 0 ? 0 : errno;
  while (error == EINTR);
  // The library's way without the kernel's help: a write to every block.
  if (error == EOPNOTSUPP || error == ENOSYS) error = ::posix_fallocate(fd_, 0, length);
  if (error == ENOSPC || error == EDQUOT) fail_disk_full(destination, needed_bytes);
  if (error == EFBIG)
    throw Error("output-disk-full", at(destination.path),
                fmt::format("a file of {} is larger than the file system or a limit of this process allows",
                            human_bytes(size_bytes_)),
                "choose smaller shards, or raise the limit (ulimit -f)");
  if (error != 0)
    throw Error("io-write", at(destination.path),
                fmt::format("cannot reserve {}: {}", human_bytes(size_bytes_), errno_text(error)));
}

void check_space(const Destination& destination, const SafetensorsLayout& layout, uint64_t needed_bytes,
                 uint64_t held_bytes) {
  struct statvfs info {};
  // One without a size knows no limit, or takes no files at all.
  if (::statvfs(destination.parent.c_str(), &info) == 0 && info.f_blocks > 0 &&
      uint64_t{info.f_bfree} * info.f_frsize + held_bytes < needed_bytes)
    fail_disk_full(destination, needed_bytes);
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  for (const auto& file : layout.files)
    if (file.size_bytes > limit.rlim_cur)
      throw Error("output-disk-full", at(destination.path),
                  fmt::format("a file of {} is larger than the {} that this process may write",
                              human_bytes(file.size_bytes), human_bytes(limit.rlim_cur)),
                  "choose smaller shards, or raise the limit (ulimit -f)");
}

}  // namespace remap::formats
