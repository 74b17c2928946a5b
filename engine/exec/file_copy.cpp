#include "exec/file_copy.h"

#include <algorithm>
#include <cerrno>
#include <memory>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/mapped_file.h"
#include "remap/diagnostic.h"

namespace remap::exec {
namespace {

constexpr uint64_t kBufferBytes = uint64_t{4} << 20;

// The kernel, or this file system, does not copy between these two files; nothing is wrong with them.
bool must_use_buffer(int error_number) {
  return error_number == EXDEV || error_number == EINVAL || error_number == ENOSYS || error_number == EOPNOTSUPP ||
         error_number == EPERM || error_number == EBADF;
}

[[noreturn]] void fail(const char* id, const char* what, int error_number) {
  throw Error(id, {}, fmt::format("{}: {}", what, errno_text(error_number)));
}

[[noreturn]] void fail_at_end() {
  throw Error("io-truncated", {},
              "the source file ended before all of a tensor was read: it became shorter while it was open",
              "let the program that writes it finish, then run again");
}

void copy_through_buffer(int source_fd, uint64_t source_offset, int target_fd, uint64_t target_offset,
                         uint64_t length) {
  const uint64_t capacity = std::min(length, kBufferBytes);
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(capacity);
  while (length > 0) {
    const ssize_t got = ::pread(source_fd, buffer.get(), std::min(length, capacity), static_cast<off_t>(source_offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("io-read", "reading the source failed", errno);
    if (got == 0) fail_at_end();
    const auto n = static_cast<uint64_t>(got);
    write_file_bytes(target_fd, target_offset, buffer.get(), n);
    source_offset += n, target_offset += n, length -= n;
  }
}

}  // namespace

void write_file_bytes(int fd, uint64_t offset, const std::byte* data, uint64_t length) {
  while (length > 0) {
    const ssize_t written = ::pwrite(fd, data, length, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail("io-write", "writing the output failed", written < 0 ? errno : EIO);
    data += written, offset += static_cast<uint64_t>(written), length -= static_cast<uint64_t>(written);
  }
}

void copy_file_bytes(int source_fd, uint64_t source_offset, int target_fd, uint64_t target_offset, uint64_t length) {
  while (length > 0) {
    auto from = static_cast<loff_t>(source_offset), to = static_cast<loff_t>(target_offset);
    const ssize_t copied = ::copy_file_range(source_fd, &from, target_fd, &to, length, 0);
    if (copied < 0 && errno == EINTR) continue;
    if (copied < 0 && must_use_buffer(errno))
      return copy_through_buffer(source_fd, source_offset, target_fd, target_offset, length);
    if (copied < 0) fail("io-write", "copying to the output failed", errno);
    // 0 may also be a file system that cannot say no (procfs, some network ones); reading tells the end of the file
    // from that.
    if (copied == 0) return copy_through_buffer(source_fd, source_offset, target_fd, target_offset, length);
    const auto n = static_cast<uint64_t>(copied);
    source_offset += n, target_offset += n, length -= n;
  }
}

}  // namespace remap::exec
