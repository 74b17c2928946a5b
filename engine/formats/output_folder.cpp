#include "remap/output.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mapped_file.h"
#include "base/text.h"
#include "formats/inputs_held.h"
#include "formats/safetensors_writer.h"
#include "remap/diagnostic.h"

namespace remap {
namespace {

constexpr uint64_t kPage = formats::kClonedBytes;

Place at(const std::string& path) { return BytePlace{path, {}, {}}; }

// The final place, cut into the folder it is in and its own name.
struct Destination {
  std::string path, parent, name;
};

Destination parse_destination(const std::string& given) {
  std::string path = given;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..")
    throw Error("output-name", at(given), "does not name a folder that can be made",
                "give the output folder a name of its own, such as out/model");
  return {path, slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash), name};
}

std::optional<mode_t> mode_of(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) return info.st_mode;
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  refuse_new(path, "folder", errno);
}

// The names in a folder, and of which kind they are. Throws Error "io-write".
std::vector<std::pair<std::string, mode_t>> entries_of(const std::string& folder) {
  DIR* handle = ::opendir(folder.c_str());
  if (handle == nullptr)
    throw Error("io-write", at(folder), fmt::format("the folder cannot be listed: {}", errno_text(errno)));
  const std::unique_ptr<DIR, int (*)(DIR*)> closer(handle, &::closedir);
  std::vector<std::pair<std::string, mode_t>> entries;
  while (const dirent* entry = ::readdir(handle)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") entries.emplace_back(name, mode_of(folder + "/" + name).value_or(S_IFREG));
  }
  return entries;
}

[[noreturn]] void fail_not_replaceable(const std::string& path, const std::string& why) {
  throw Error("output-not-replaceable", at(path), why, "choose another place or remove it yourself");
}

// The kernel lets nobody exchange what other file systems, or folders, are attached to.
bool is_mount_point(const std::string& path) {
#ifdef STATX_ATTR_MOUNT_ROOT
  struct statx info {};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE, &info) == 0 &&
      (info.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0)
    return (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
#endif
  struct stat itself {
  }, above{};
  return ::lstat(path.c_str(), &itself) == 0 && ::lstat((path + "/..").c_str(), &above) == 0 &&
         itself.st_dev != above.st_dev;
}

// A slip of the hand (`-o ~ --force`) must not cost more than a folder like the ones we write: files, no folders
// within. What a program, or this one, stands in or reads is not replaced whatever is in it.
void check_replaceable(const std::string& path, mode_t mode, const std::vector<std::string>& inputs) {
  refuse_lost_input(path, inputs);
  if (!S_ISDIR(mode))
    throw Error("output-not-replaceable", at(path),
                S_ISLNK(mode) ? "is a symbolic link, not a folder" : "exists and is not a folder",
                "only a folder is replaced; choose another place or remove it yourself");
  if (formats::holds_folder(path, "."))
    fail_not_replaceable(path, "is the folder that the program runs in, or holds it");
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0' && formats::holds_folder(path, home))
    fail_not_replaceable(path, "is the home folder, or holds it");
  if (is_mount_point(path)) fail_not_replaceable(path, "is a mount point, which cannot be replaced");
  const auto entries = entries_of(path);
  for (const auto& [name, entry_mode] : entries)
    if (S_ISDIR(entry_mode))
      fail_not_replaceable(path, fmt::format("holds the folder '{}'; only a folder of plain files is replaced", name));
  if (!entries.empty() && ::faccessat(AT_FDCWD, path.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    fail_not_replaceable(path, fmt::format("its files cannot be deleted: {}", errno_text(errno)));
}

void check_destination(const Destination& destination, const OutputOptions& options) {
  const auto mode = mode_of(destination.path);
  if (!mode) return;
  check_replaceable(destination.path, *mode,
                    options.inputs);  // first, so that --force is not proposed where it would not help
  if (!options.force)
    throw Error("output-exists", at(destination.path), "exists already",
                "choose another place, or give --force to replace it");
}

// Removes a folder without folders in it; what cannot be removed stays.
void remove_flat_folder(const std::string& folder) {
  for (const auto& entry : entries_of(folder)) ::unlink((folder + "/" + entry.first).c_str());
  ::rmdir(folder.c_str());
}

std::string random_suffix() {
  static constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device device;
  std::string suffix;
  for (int i = 0; i < 8; ++i) suffix += kLetters[device() % 36];
  return suffix;
}

// A hidden name beside the final one that nothing has; shortened where the name would become too long for the file
// system.
std::string sibling_name(const Destination& destination, const char* kind) {
  return fmt::format("{}/.{}.{}-{}", destination.parent, destination.name.substr(0, 200), kind, random_suffix());
}

std::string make_partial_folder(const Destination& destination) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    const std::string folder = sibling_name(destination, "partial");
    if (::mkdir(folder.c_str(), 0777) == 0) return folder;
    if (errno != EEXIST) refuse_new(destination.path, "folder", errno);
  }
  throw Error("io-write", at(destination.path), fmt::format("cannot find a free name in '{}'", destination.parent),
              "choose another place");
}

[[noreturn]] void fail_disk_full(const Destination& destination, uint64_t needed_bytes) {
  struct statvfs info {};
  std::string free = "too little is";
  if (::statvfs(destination.parent.c_str(), &info) == 0)
    free = fmt::format("{} are", human_bytes(uint64_t{info.f_bavail} * info.f_frsize));
  throw Error("output-disk-full", at(destination.path),
              fmt::format("the output needs {}, and {} free on the file system of '{}'", human_bytes(needed_bytes),
                          free, destination.parent),
              "free some space or choose another place");
}

// A file being written.
class OutputFile {
 public:
  OutputFile(const Destination& destination, const std::string& path, uint64_t size_bytes, uint64_t needed_bytes)
      : size_bytes_(size_bytes) {
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ < 0)
      throw Error("io-write", at(destination.path), fmt::format("cannot create a file in it: {}", errno_text(errno)),
                  errno == EMFILE ? "choose larger shards, or allow more open files (ulimit -n)" : "");
    try {
      reserve(destination, needed_bytes);
    } catch (...) {
      ::close(fd_);
      throw;
    }
  }
  OutputFile(OutputFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), size_bytes_(other.size_bytes_) {}
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile() { static_cast<void>(close()); }

  int fd() const { return fd_; }
  // 0, or the errno of a write that the file system reports only now.
  int close() { return fd_ < 0 || ::close(std::exchange(fd_, -1)) == 0 ? 0 : errno; }

 private:
  // A full disk is found before anything is copied.
  void reserve(const Destination& destination, uint64_t needed_bytes) {
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

  int fd_ = -1;
  uint64_t size_bytes_;
};

// Found before anything is created: what cannot fit, and files beyond the process's limit, which would raise SIGXFSZ.
void check_space(const Destination& destination, const formats::SafetensorsLayout& layout, uint64_t needed_bytes) {
  struct statvfs info {};
  // One without a size knows no limit, or takes no files at all.
  if (::statvfs(destination.parent.c_str(), &info) == 0 && info.f_blocks > 0 &&
      uint64_t{info.f_bfree} * info.f_frsize < needed_bytes)
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

#ifdef RENAME_NOREPLACE
int rename_with(const std::string& from, const std::string& to, unsigned flags) {
  return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0 ? 0 : errno;
}
#else
constexpr unsigned RENAME_NOREPLACE = 1, RENAME_EXCHANGE = 2;
int rename_with(const std::string&, const std::string&, unsigned) { return ENOSYS; }
#endif

// The file system does not know these ways of renaming.
bool is_unsupported(int error) { return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP; }

void throw_if(int error, const Destination& destination) {
  if (error == EEXIST || error == ENOTEMPTY)
    throw Error("output-exists", at(destination.path), "was created by someone else meanwhile",
                "choose another place, or give --force to replace it");
  if (error != 0)
    throw Error("io-write", at(destination.path),
                fmt::format("cannot give the output its name: {}", errno_text(error)));
}

int plain_rename(const std::string& from, const std::string& to) {
  return std::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

void rename_to_new(const std::string& folder, const Destination& destination) {
  int error = rename_with(folder, destination.path, RENAME_NOREPLACE);
  if (is_unsupported(error)) error = mode_of(destination.path) ? EEXIST : plain_rename(folder, destination.path);
  throw_if(error, destination);
}

// Puts `folder` in the place of the existing one, which is deleted afterwards, unless someone has put another there
// meanwhile.
void rename_over_old(const std::string& folder, const Destination& destination) {
  const auto checked = formats::file_id(destination.path);
  std::string old = folder;
  int error = rename_with(folder, destination.path, RENAME_EXCHANGE);
  const bool exchanged = error == 0;
  if (is_unsupported(error)) {
    old = sibling_name(destination, "old");
    error = plain_rename(destination.path, old);
    if (error == 0) {
      error = plain_rename(folder, destination.path);
      if (error != 0) plain_rename(old, destination.path);
    }
  }
  throw_if(error, destination);
  if (formats::file_id(old) != checked) {
    if (exchanged)
      rename_with(old, destination.path, RENAME_EXCHANGE);
    else if (plain_rename(destination.path, folder) == 0)
      plain_rename(old, destination.path);
    throw_if(EEXIST, destination);
  }
  try {
    remove_flat_folder(old);
  } catch (const Error&) {
    // The output is in place; what remains of the old one is hidden beside it.
  }
}

}  // namespace

class OutputFolder::Impl {
 public:
  Impl(const std::string& path, const std::vector<PlannedTensor>& tensors, const OutputOptions& options)
      : destination_(parse_destination(path)), options_(options) {
    check_destination(destination_, options_);
    const auto layout =
        formats::lay_out(tensors, {options_.max_shard_bytes, options_.metadata, options_.source_offsets});
    needed_bytes_ = layout.index.size();
    for (const auto& file : layout.files) needed_bytes_ += file.size_bytes;
    check_space(destination_, layout, needed_bytes_);
    folder_ = make_partial_folder(destination_);
    try {
      create_files(tensors, layout);
    } catch (...) {
      discard();
      throw;
    }
  }
  ~Impl() { discard(); }

  TensorPlace place(size_t index) const { return places_[index]; }

  void write(size_t file, uint64_t offset, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t written = ::pwrite(files_[file].fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) fail_write(written < 0 ? errno : EIO);
      bytes = bytes.subspan(static_cast<size_t>(written)), offset += static_cast<uint64_t>(written);
    }
  }

  void read(size_t file, uint64_t offset, std::span<std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t got = ::pread(files_[file].fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0)
        throw Error("io-read", at(destination_.path),
                    got < 0 ? fmt::format("what was written cannot be read back: {}", errno_text(errno))
                            : "what was written cannot be read back: the file became shorter");
      bytes = bytes.subspan(static_cast<size_t>(got)), offset += static_cast<uint64_t>(got);
    }
  }

  bool shares() const { return options_.clone; }

  // Whole pages of a range that lies alike in both files. Whatever goes wrong: the bytes can be copied.
  std::pair<uint64_t, uint64_t> share(size_t file, uint64_t offset, int fd, uint64_t source_offset, uint64_t length) {
    const std::pair none{offset, offset};
    const uint64_t begin = (offset + kPage - 1) / kPage * kPage, end = (offset + length) / kPage * kPage;
    if ((offset - source_offset) % kPage != 0 || begin >= end) return none;
#ifdef FICLONERANGE
    const file_clone_range range{fd, source_offset + (begin - offset), end - begin, begin};
    if (::ioctl(files_[file].fd(), FICLONERANGE, &range) == 0) return {begin, end};
#endif
    return none;
  }

  void add_file(const std::string& name, const std::string& contents) {
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
        name.find('\0') != std::string::npos)
      throw Error("output-name", at(destination_.path),
                  fmt::format("'{}' is not the name of a file in a folder", name));
    const std::string path = folder_ + "/" + name;
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST)
      throw Error("output-name", at(destination_.path), fmt::format("the file '{}' would be written twice", name));
    int error = fd < 0 ? errno : write_all(fd, std::as_bytes(std::span(contents)));
    if (fd >= 0 && ::close(fd) != 0 && error == 0) error = errno;
    if (error != 0)
      throw Error("io-write", at(destination_.path), fmt::format("cannot write '{}': {}", name, errno_text(error)));
  }

  void commit() {
    for (OutputFile& file : files_)
      if (const int error = file.close(); error != 0) fail_write(error);
    const auto mode = mode_of(destination_.path);
    if (mode && options_.force) {
      check_replaceable(destination_.path, *mode, options_.inputs);
      rename_over_old(folder_, destination_);
    } else {
      rename_to_new(folder_, destination_);
    }
    folder_.clear();
  }

 private:
  // Space was reserved; some file systems (those that copy on write) need more of it all the same.
  [[noreturn]] void fail_write(int error) const {
    if (error == ENOSPC || error == EDQUOT) fail_disk_full(destination_, needed_bytes_);
    throw Error("io-write", at(destination_.path), fmt::format("writing failed: {}", errno_text(error)));
  }

  void create_files(const std::vector<PlannedTensor>& tensors, const formats::SafetensorsLayout& layout) {
    places_.resize(tensors.size());
    for (const auto& file : layout.files) {
      for (size_t i = 0; i < file.tensors.size(); ++i)
        places_[file.tensors[i]] = {files_.size(), file.offsets_bytes[i]};
      files_.emplace_back(destination_, folder_ + "/" + file.name, file.size_bytes, needed_bytes_);
      write(files_.size() - 1, 0, std::as_bytes(std::span(file.head)));
    }
    if (!layout.index.empty()) add_file("model.safetensors.index.json", layout.index);
  }

  void discard() noexcept {
    files_.clear();
    if (folder_.empty()) return;
    try {
      remove_flat_folder(folder_);
    } catch (...) {
      // Nothing more can be done; its name says that it is not whole.
    }
  }

  Destination destination_;
  OutputOptions options_;
  std::string folder_;  // being written; empty once it has its final name
  uint64_t needed_bytes_ = 0;
  std::vector<OutputFile> files_;
  std::vector<TensorPlace> places_;  // a tensor of the plan
};

void refuse_new(const std::string& path, const std::string& kind, int error) {
  static const std::map<int, const char*> kWaysOn = {{EACCES, "choose a folder that you may write to"},
                                                     {EPERM, "choose a folder that you may write to"},
                                                     {ENAMETOOLONG, "give it a shorter name"},
                                                     {ENOSPC, "free some space or choose another place"},
                                                     {EDQUOT, "free some space or choose another place"}};
  const std::string parent = parse_destination(path).parent;
  struct stat info {};
  const int looked = ::stat(parent.c_str(), &info) == 0 ? 0 : errno;
  if (error == ENOENT && looked == ENOENT) {
    const std::string near = nearest_path(parent);
    throw Error("io-write", at(path), fmt::format("the folder '{}' does not exist", parent),
                near.empty() ? "create it first" : fmt::format("create it first; or did you mean '{}'?", near));
  }
  if (looked == ENOTDIR || (looked == 0 && !S_ISDIR(info.st_mode)))
    throw Error("io-write", at(path), fmt::format("'{}' is not a folder: nothing can be created in it", parent),
                "choose another place");
  const auto known = kWaysOn.find(error);
  throw Error("io-write", at(path),
              error == ENOENT ? fmt::format("'{}' takes no new {}s", parent, kind)
                              : fmt::format("cannot create a {} in '{}': {}", kind, parent, errno_text(error)),
              known == kWaysOn.end() ? "choose another place" : known->second);
}

OutputFolder::OutputFolder(const std::string& path, const std::vector<PlannedTensor>& tensors,
                           const OutputOptions& options)
    : impl_(std::make_unique<Impl>(path, tensors, options)) {}
OutputFolder::~OutputFolder() = default;
TensorPlace OutputFolder::place(size_t index) const { return impl_->place(index); }
void OutputFolder::write(size_t file, uint64_t offset_bytes, std::span<const std::byte> bytes) {
  impl_->write(file, offset_bytes, bytes);
}
void OutputFolder::read(size_t file, uint64_t offset_bytes, std::span<std::byte> bytes) {
  impl_->read(file, offset_bytes, bytes);
}
bool OutputFolder::shares() const { return impl_->shares(); }
std::pair<uint64_t, uint64_t> OutputFolder::share(size_t file, uint64_t offset_bytes, int fd,
                                                  uint64_t source_offset_bytes, uint64_t length_bytes) {
  return impl_->share(file, offset_bytes, fd, source_offset_bytes, length_bytes);
}
void OutputFolder::add_file(const std::string& name, const std::string& contents) { impl_->add_file(name, contents); }
void OutputFolder::commit() { impl_->commit(); }

}  // namespace remap
