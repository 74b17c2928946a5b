#include "base/mapped_file.h"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/open_descriptor.h"

namespace remap {
namespace {

constexpr const char* kLetFinish = "let the program that writes it finish, then run again";

FileStamp stamp_from(const struct stat& info) {
  return {info.st_dev, info.st_ino, static_cast<uint64_t>(info.st_size),
          int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
}

// Why a page of a mapping could not be read, as far as that can be told now.
[[noreturn]] void fail_fault(int fd, const std::string& path, const FileStamp& opened, uint64_t offset) {
  struct stat info {};
  if (::fstat(fd, &info) == 0) require_same(path, opened, stamp_from(info));
  std::byte byte{};
  const ssize_t got = ::pread(fd, &byte, 1, static_cast<off_t>(offset));
  throw Error("io-read", BytePlace{path, {}, offset},
              fmt::format("the file cannot be read here: {}", errno_text(got < 0 ? errno : EIO)),
              "look into the system's log for what its storage says; if there is a copy, use that");
}

}  // namespace

std::string errno_text(int error_number) { return std::generic_category().message(error_number); }

Mapping::Mapping(int fd, uint64_t size_bytes, const BytePlace& place) : size_bytes_(size_bytes) {
  void* address = ::mmap(nullptr, size_bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED)
    throw Error("io-read", place, fmt::format("cannot map {} bytes: {}", size_bytes, errno_text(errno)));
  data_ = static_cast<const std::byte*>(address);
  guard_ = std::make_unique<GuardedRange>(data_, size_bytes);
}

Mapping::~Mapping() {
  guard_.reset();
  ::munmap(const_cast<std::byte*>(data_), size_bytes_);
}

struct MappedFile::Open {
  explicit Open(const std::string& name) : path(name) {
    const BytePlace place{path, {}, {}};
    fd = open_descriptor(path, O_RDONLY | O_NONBLOCK);  // never waits for whoever writes to a pipe
    if (fd < 0) throw Error("io-read", place, fmt::format("cannot open for reading: {}", errno_text(errno)));
    // The destructor does not run when a constructor throws.
    try {
      struct stat info {};
      if (::fstat(fd, &info) != 0)
        throw Error("io-read", place, fmt::format("cannot read its size: {}", errno_text(errno)));
      if (S_ISDIR(info.st_mode)) throw Error("io-read", place, "is a folder; a file was expected");
      if (!S_ISREG(info.st_mode))
        throw Error("io-read", place, "is not a regular file", "save what it gives as a file, and name that");
      stamp = stamp_from(info);
      if (stamp.size_bytes > 0) mapping = std::make_unique<Mapping>(fd, stamp.size_bytes, place);
    } catch (...) {
      ::close(fd);
      throw;
    }
  }
  Open(const Open&) = delete;
  Open& operator=(const Open&) = delete;
  ~Open() {
    mapping.reset();
    ::close(fd);
  }

  std::string path;
  int fd = -1;
  FileStamp stamp;
  std::unique_ptr<Mapping> mapping;  // none of an empty file
};

MappedFile::MappedFile(const std::string& path) : open_(std::make_shared<Open>(path)) {}

const std::string& MappedFile::path() const {
  static const std::string none;
  return open_ ? open_->path : none;
}
int MappedFile::fd() const { return open_ ? open_->fd : -1; }
const FileStamp& MappedFile::stamp() const {
  static const FileStamp none;
  return open_ ? open_->stamp : none;
}
const std::byte* MappedFile::data() const { return open_ && open_->mapping ? open_->mapping->data() : nullptr; }

void MappedFile::require_readable() const {
  if (!open_ || !open_->mapping) return;
  if (const auto offset = open_->mapping->fault()) fail_fault(open_->fd, open_->path, open_->stamp, *offset);
}

FileStamp stamp_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) return stamp_from(info);
  if (errno == ENOENT || errno == ENOTDIR) return {};
  throw Error("io-read", BytePlace{path, {}, {}}, fmt::format("cannot be looked at: {}", errno_text(errno)));
}

void require_same(const std::string& path, const FileStamp& before, const FileStamp& now) {
  const BytePlace place{path, {}, {}};
  if (before == now) return;
  if (!now.is_there())
    throw Error("io-changed", place, "the file was removed or renamed while it was read",
                "put it back, then run again");
  if (!before.is_there())
    throw Error("io-changed", place, "the file was written after it was found missing", kLetFinish);
  if (before.inode != now.inode || before.device != now.device)
    throw Error("io-changed", place, "another file took its place while it was read", kLetFinish);
  if (before.size_bytes != now.size_bytes)
    throw Error(
        now.size_bytes < before.size_bytes ? "io-truncated" : "io-changed", place,
        fmt::format("the file had {} bytes when it was opened and now has {}", before.size_bytes, now.size_bytes),
        kLetFinish);
  throw Error("io-changed", place, "the file was written to while it was read", kLetFinish);
}

namespace {

// Calls write(rest of the bytes, how many went before) until all are written.
template <typename Write>
int write_whole(std::span<const std::byte> bytes, const Write& write) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t written = write(bytes.subspan(done), done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return written < 0 ? errno : EIO;
    done += static_cast<size_t>(written);
  }
  return 0;
}

}  // namespace

int write_all(int fd, std::span<const std::byte> bytes) {
  return write_whole(bytes, [fd](auto rest, size_t) { return ::write(fd, rest.data(), rest.size()); });
}

// Linux takes memory for the page cache in pieces as large as a write. In a guest the largest that are free are what it
// gave back to its host, and waits for: 1.4 GB took 0.22 s in writes of 256 KiB, 1.3 s to 1.7 s in writes of 1 MiB.
int write_all_at(int fd, uint64_t offset, std::span<const std::byte> bytes) {
  constexpr uint64_t kWriteBytes = uint64_t{256} << 10;
  return write_whole(bytes, [&](auto rest, size_t done) {
    const uint64_t at = offset + done;
    return ::pwrite(fd, rest.data(), std::min<uint64_t>(rest.size(), kWriteBytes - at % kWriteBytes),
                    static_cast<off_t>(at));
  });
}

BytesRead read_all_at(int fd, uint64_t offset, std::span<std::byte> bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {done, errno};
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return {done, 0};
}

uint64_t most_cached_bytes() {
  const long pages = ::sysconf(_SC_PHYS_PAGES), page_bytes = ::sysconf(_SC_PAGESIZE);
  return pages < 0 || page_bytes < 0 ? UINT64_MAX
                                     : static_cast<uint64_t>(pages) * static_cast<uint64_t>(page_bytes) / 2;
}

void drop_cached(int fd, uint64_t offset, uint64_t length) {
  static_cast<void>(::posix_fadvise(fd, static_cast<off_t>(offset), static_cast<off_t>(length), POSIX_FADV_DONTNEED));
}

std::string read_text_file(const std::string& path, uint64_t max_bytes, std::vector<FileRead>* read) {
  const MappedFile file(path);
  if (file.size() > max_bytes)
    throw Error("limit-exceeded", BytePlace{path, {}, {}},
                fmt::format("the file has {} bytes; at most {} are read of a file of this kind (max_index_bytes)",
                            file.size(), max_bytes));
  if (read != nullptr) read->push_back({path, file.stamp()});
  return file.read([&] { return std::string(file.text()); });
}

}  // namespace remap
