// Preloaded (LD_PRELOAD), makes one kind of system call fail or come short, as REMAP_FAULT says: CALL:WHAT:N.
// CALL: pread pwrite write fsync fallocate rename mmap; names: whatever changes what a folder holds (mkdir rename
// unlink rmdir), and write.
// WHAT: an errno's number: the Nth call fails, and every one after it if N is negative. "short": from the Nth call on,
// half of what was asked for. "stall": the Nth call never ends, so that whoever kills the process finds it in the
// middle. "kill": the process ends where the Nth call would begin.
// mmap fails as storage does: the second half of the Nth mapping of a file cannot be read.
// REMAP_CALLS: a file that gets a line for every write, when it is done, and for every fsync and rename, before it is.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

namespace {

struct Fault {
  char call[16] = "", what[16] = "";
  long n = 0;
  Fault() {
    const char* text = std::getenv("REMAP_FAULT");
    if (text == nullptr || std::sscanf(text, "%15[^:]:%15[^:]:%ld", call, what, &n) != 3) call[0] = '\0';
  }
};

const Fault& fault() {
  static const Fault one;
  return one;
}

bool is_any_of(const char* text, std::initializer_list<const char*> all) {
  for (const char* one : all)
    if (std::strcmp(text, one) == 0) return true;
  return false;
}

// The errno of this call; 0: it goes on.
int error_of(const char* call, bool& is_short) {
  static std::atomic<long> count = 0;
  const Fault& f = fault();
  is_short = false;
  const bool is_name = is_any_of(call, {"mkdir", "rename", "unlink", "rmdir", "write"});
  if (std::strcmp(f.call, call) != 0 && !(is_name && std::strcmp(f.call, "names") == 0)) return 0;
  const long now = ++count, wanted = std::labs(f.n);
  while (std::strcmp(f.what, "stall") == 0 && now == wanted) ::pause();
  if (std::strcmp(f.what, "kill") == 0) {
    if (now == wanted) ::raise(SIGKILL);
    return 0;
  }
  if (std::strcmp(f.what, "short") == 0) {
    is_short = now >= wanted;
    return 0;
  }
  return now == wanted || (f.n < 0 && now > wanted) ? std::atoi(f.what) : 0;
}

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

// "CALL PATH", of whatever has this descriptor.
void note(const char* call, int fd, const char* path = nullptr) {
  static const char* const calls = std::getenv("REMAP_CALLS");
  if (calls == nullptr) return;
  char link[32], name[1024] = "", line[1100];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  if (path == nullptr && ::readlink(link, name, sizeof name - 1) < 0) return;
  const int length = std::snprintf(line, sizeof line, "%s %s\n", call, path == nullptr ? name : path);
  const int file = ::open(calls, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  ::syscall(SYS_write, file, line, std::min(static_cast<size_t>(length), sizeof line - 1));
  ::close(file);
}

template <typename Go>
ssize_t transfer(const char* call, size_t length, const Go& go) {
  bool is_short = false;
  if (const int error = error_of(call, is_short); error != 0) {
    errno = error;
    return -1;
  }
  return go(is_short && length > 1 ? length / 2 : length);
}

template <typename Go>
int plain(const char* call, const Go& go) {
  bool is_short = false;
  if (const int error = error_of(call, is_short); error != 0) {
    errno = error;
    return -1;
  }
  return go();
}

}  // namespace

extern "C" {

ssize_t pread(int fd, void* data, size_t length, off_t offset) {
  static const auto real = next<ssize_t (*)(int, void*, size_t, off_t)>("pread");
  return transfer("pread", length, [&](size_t n) { return real(fd, data, n, offset); });
}
ssize_t pread64(int fd, void* data, size_t length, off64_t offset) { return pread(fd, data, length, offset); }

ssize_t pwrite(int fd, const void* data, size_t length, off_t offset) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  const ssize_t done = transfer("pwrite", length, [&](size_t n) { return real(fd, data, n, offset); });
  note("write", fd);
  return done;
}
ssize_t pwrite64(int fd, const void* data, size_t length, off64_t offset) { return pwrite(fd, data, length, offset); }

ssize_t write(int fd, const void* data, size_t length) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
  if (fd <= 2) return real(fd, data, length);
  const ssize_t done = transfer("write", length, [&](size_t n) { return real(fd, data, n); });
  note("write", fd);
  return done;
}

int fsync(int fd) {
  static const auto real = next<int (*)(int)>("fsync");
  note("fsync", fd);
  return plain("fsync", [&] { return real(fd); });
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
  static const auto real = next<int (*)(int, int, off_t, off_t)>("fallocate");
  return plain("fallocate", [&] { return real(fd, mode, offset, length); });
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return fallocate(fd, mode, offset, length); }

int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) noexcept {
  static const auto real = next<int (*)(int, const char*, int, const char*, unsigned)>("renameat2");
  note("rename", -1, to);
  return plain("rename", [&] { return real(from_fd, from, to_fd, to, flags); });
}
int rename(const char* from, const char* to) noexcept {
  static const auto real = next<int (*)(const char*, const char*)>("rename");
  note("rename", -1, to);
  return plain("rename", [&] { return real(from, to); });
}

int mkdir(const char* path, mode_t mode) noexcept {
  static const auto real = next<int (*)(const char*, mode_t)>("mkdir");
  return plain("mkdir", [&] { return real(path, mode); });
}
int unlink(const char* path) noexcept {
  static const auto real = next<int (*)(const char*)>("unlink");
  return plain("unlink", [&] { return real(path); });
}
int rmdir(const char* path) noexcept {
  static const auto real = next<int (*)(const char*)>("rmdir");
  return plain("rmdir", [&] { return real(path); });
}

void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) noexcept {
  static const auto real = next<void* (*)(void*, size_t, int, int, int, off_t)>("mmap");
  void* const mapped = real(address, length, protection, flags, fd, offset);
  bool is_short = false;
  if (mapped == MAP_FAILED || fd < 0 || (flags & MAP_SHARED) == 0 || error_of("mmap", is_short) == 0) return mapped;
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE)), half = length / 2 / page * page;
  const int nothing = ::memfd_create("nothing", MFD_CLOEXEC);
  real(static_cast<char*>(mapped) + half, length - half, protection, MAP_SHARED | MAP_FIXED, nothing, 0);
  ::close(nothing);
  return mapped;
}
void* mmap64(void* address, size_t length, int protection, int flags, int fd, off64_t offset) noexcept {
  return mmap(address, length, protection, flags, fd, offset);
}

}  // extern "C"
