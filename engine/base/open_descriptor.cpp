#include "base/open_descriptor.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/resource.h>

namespace remap {
namespace {

constexpr rlim_t kRoom = 64;  // open files, for what does not come here

// Whether there are more now. Descriptors are given lowest first: `fd` tells how many there are.
bool allow_more_files(int fd) {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return false;
  if (fd >= 0 && static_cast<rlim_t>(fd) + kRoom < limit.rlim_cur) return false;
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

}  // namespace

int open_descriptor(const std::string& path, int flags, mode_t mode) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  const int error = errno;
  if (fd >= 0 || error == EMFILE) {
    const bool more = allow_more_files(fd);
    if (fd < 0 && more) return ::open(path.c_str(), flags | O_CLOEXEC, mode);
  }
  errno = error;
  return fd;
}

}  // namespace remap
