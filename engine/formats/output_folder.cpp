#include "remap/output.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <tuple>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/folder_names.h"
#include "base/mapped_file.h"
#include "base/sha256.h"
#include "base/text.h"
#include "formats/inputs_held.h"
#include "formats/output_file.h"
#include "formats/part_file.h"
#include "formats/partial_folder.h"
#include "formats/safetensors_writer.h"
#include "remap/diagnostic.h"

namespace remap {
namespace {

using formats::at;
using formats::Destination;
using formats::OutputFile;

constexpr uint64_t kPage = formats::kClonedBytes;

std::optional<mode_t> mode_of(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) return info.st_mode;
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  refuse_new(path, "folder", errno);
}

// The names in a folder, and of which kind they are. Throws Error "io-write".
std::vector<std::pair<std::string, mode_t>> entries_of(const std::string& folder) {
  const FolderNames found = names_in(folder);
  if (found.error != 0)
    throw Error("io-write", at(folder), fmt::format("the folder cannot be listed: {}", errno_text(found.error)));
  std::vector<std::pair<std::string, mode_t>> entries;
  for (const std::string& name : found.names)
    entries.emplace_back(name, mode_of(folder + "/" + name).value_or(S_IFREG));
  return entries;
}

[[noreturn]] void fail_not_replaceable(const std::string& path, const std::string& why,
                                       const char* hint = "choose another place") {
  throw Error("output-not-replaceable", at(path), why, hint);
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

// In a sticky folder such as /tmp, names are taken away only by who owns what has them, or the folder.
bool is_kept_from_us(const std::string& path) {
  struct stat itself {
  }, above{};
  const uid_t user = ::geteuid();
  return user != 0 && ::lstat(path.c_str(), &itself) == 0 &&
         ::stat(formats::parse_destination(path).parent.c_str(), &above) == 0 && (above.st_mode & S_ISVTX) != 0 &&
         itself.st_uid != user && above.st_uid != user;
}

// A slip of the hand (`-o ~ --force`) must not cost more than a folder like the ones we write: files, no folders
// within. What a program, or this one, stands in or reads is not replaced whatever is in it.
void check_replaceable(const std::string& path, mode_t mode, const std::vector<std::string>& inputs) {
  refuse_lost_input(path, inputs);
  if (!S_ISDIR(mode))
    throw Error("output-not-replaceable", at(path),
                S_ISLNK(mode) ? "is a symbolic link, not a folder" : "exists and is not a folder",
                S_ISLNK(mode) || S_ISREG(mode) ? "only a folder is replaced; choose another place or remove it yourself"
                                               : "choose another place");
  if (formats::holds_folder(path, "."))
    fail_not_replaceable(path, "is the folder that the program runs in, or holds it");
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0' && formats::holds_folder(path, home))
    fail_not_replaceable(path, "is the home folder, or holds it");
  if (is_mount_point(path)) fail_not_replaceable(path, "is a mount point, which cannot be replaced");
  if (is_kept_from_us(path))
    fail_not_replaceable(path, "belongs to another user, in a folder where each may remove only their own (mode +t)");
  const auto entries = entries_of(path);
  for (const auto& [name, entry_mode] : entries)
    if (S_ISDIR(entry_mode))
      fail_not_replaceable(path, fmt::format("holds the folder '{}'; only a folder of plain files is replaced", name),
                           "choose another place or remove it yourself");
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

}  // namespace

class OutputFolder::Impl {
 public:
  Impl(const std::string& path, const std::vector<PlannedTensor>& tensors, const OutputOptions& options)
      : whole_(formats::parse_destination(path)),
        destination_(options.part.is_whole() ? whole_ : formats::parse_destination(part_folder(path, options.part))),
        options_(options) {
    const auto layout = formats::lay_out(
        tensors, {options_.max_shard_bytes, options_.metadata, options_.source_offsets, options_.limits});
    find_places(tensors.size(), layout);
    for (const auto& file : layout.files) names_.insert(file.name);
    if (is_part()) names_.insert(formats::kPartFile);
    const auto made = made_of(layout);
    if (is_part()) {
      check_parts_folder();
      describe_part(layout, made);
      if (is_there()) return;
    }
    check_destination(destination_, options_);
    needed_bytes_ = layout.index.size();
    for (size_t f = 0; f < layout.files.size(); ++f)
      if (is_own(f, layout.files.size())) needed_bytes_ += layout.files[f].size_bytes;
    // Before anything is removed that another run left.
    formats::check_space(whole_, layout, needed_bytes_, std::numeric_limits<uint64_t>::max() / 2);
    partial_ = std::make_unique<formats::PartialFolder>(
        destination_, formats::PartialOptions{made, options_.resume, is_part(), options_.notice});
    if (is_part() && is_there()) {  // written by another task that was waited for
      partial_.reset();
      return;
    }
    check_destination(destination_, options_);  // an earlier run's may have been put back
    formats::check_space(whole_, layout, needed_bytes_, held_bytes());
    create_files(layout);
    if (!partial_->is_taken_over()) return;
    uint64_t bytes = 0;
    for (const auto& block : partial_->whole()) bytes += block.length;
    if (bytes == 0)
      say("output-leftover", "a run was killed before any of it was recorded as whole: all of it is written again");
    else
      say("output-resumed", fmt::format("a run was killed when {} of {} were written; what is whole of it is kept",
                                        human_bytes(bytes), human_bytes(needed_bytes_)));
  }
  // Files are closed before they are removed.
  ~Impl() { files_.clear(); }

  TensorPlace place(size_t index) const { return places_[index]; }

  void write(size_t file, uint64_t offset, std::span<const std::byte> bytes) const {
    if (const int error = write_all_at(files_[file].fd(), offset, bytes); error != 0) fail_write(error);
  }

  void read(size_t file, uint64_t offset, std::span<std::byte> bytes) const {
    const BytesRead read = read_all_at(files_[file].fd(), offset, bytes);
    if (read.n_bytes == bytes.size()) return;
    throw Error("io-read", at(destination_.path),
                read.error != 0 ? fmt::format("what was written cannot be read back: {}", errno_text(read.error))
                                : "what was written cannot be read back: the file became shorter");
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
    if (!formats::is_file_name(name))
      throw Error("output-name", at(destination_.path),
                  fmt::format("'{}' is not the name of a file in a folder", name));
    if (!names_.insert(name).second)
      throw Error("output-name", at(destination_.path), fmt::format("the file '{}' would be written twice", name));
    if (is_there_ || options_.part.number != 1) return;  // the first part has them
    write_text(name, contents);
    const std::string sum = to_string(checksum(std::as_bytes(std::span(contents))));
    part_.texts.push_back({name, contents.size(), contents.size(), sum});
  }

  void write_text(const std::string& name, const std::string& contents) const {
    const std::string path = partial_->folder() + "/" + name;
    const int error = formats::write_text_file(path, contents, O_EXCL, options_.sync);
    if (error != 0)
      throw Error("io-write", at(destination_.path), fmt::format("cannot write '{}': {}", name, errno_text(error)));
  }

  bool holds(size_t file, uint64_t begin, uint64_t length) {
    if (!is_own(file, files_.size())) return true;
    const auto& whole = partial_->whole();
    const auto found = std::lower_bound(whole.begin(), whole.end(), std::tuple(file, begin, length),
                                        [](const formats::WholeBlock& block, const auto& wanted) {
                                          return std::tuple(block.file, block.begin, block.length) < wanted;
                                        });
    if (found == whole.end() || found->file != file || found->begin != begin || found->length != length) return false;
    read_back_.resize(length);
    read(file, begin, read_back_);
    return checksum(read_back_) == found->sum;
  }

  void finished(size_t file, uint64_t begin, uint64_t length, const std::byte* bytes) {
    if (!partial_->is_recording()) return;
    if (bytes != nullptr) return partial_->record({file, begin, length, checksum({bytes, length})});
    std::vector<std::byte> written(length);
    read(file, begin, written);
    partial_->record({file, begin, length, checksum(written)});
  }

  Json digests(const std::atomic<bool>* cancel) const {
    const auto entries = entries_of(partial_->folder());
    std::vector<std::string> paths;
    for (const auto& [name, mode] : entries) paths.push_back(partial_->folder() + "/" + name);
    const auto digests = sha256_of_files(paths, {}, cancel);
    Json all = Json::array();
    for (size_t i = 0; i < entries.size(); ++i)
      all.push_back({{"file", entries[i].first}, {"bytes", digests[i].size_bytes}, {"sha256", digests[i].sha256}});
    return all;
  }

  void keep() noexcept {
    if (options_.resume) partial_->keep();
  }

  void commit() {
    if (is_there_) return;
    if (is_part()) write_text(formats::kPartFile, formats::part_text(part_));
    // All at the end: handing blocks to the disk as they are made (sync_file_range) takes four times as long on ext4.
    const bool is_large = needed_bytes_ > options_.max_cached_bytes.value_or(most_cached_bytes());
    for (OutputFile& file : files_) {
      if (const int error = options_.sync ? file.sync() : 0; error != 0) fail_write(error);
      if (options_.sync && file.fd() >= 0 && is_large) drop_cached(file.fd());
      if (const int error = file.close(); error != 0) fail_write(error);
    }
    if (options_.sync) sync(partial_->folder());
    std::optional<formats::PartsLock> lock;
    if (is_part()) {
      lock.emplace(destination_.parent, options_.notice, nullptr);
      if (mode_of(whole_.path))
        throw Error("output-exists", at(whole_.path), "was joined meanwhile, of the parts that were there",
                    "remove it, and write the parts again, if it is to be another one");
      if (is_there()) return;  // by a task that was quicker
    }
    const auto mode = mode_of(destination_.path);
    if (mode && options_.force) {
      check_replaceable(destination_.path, *mode, options_.inputs);
      formats::rename_over_old(partial_->folder(), destination_, partial_->replaced());
    } else {
      formats::rename_to_new(partial_->folder(), destination_);
    }
    partial_->committed();
    if (options_.sync) sync(destination_.parent);
  }

 private:
  // Space was reserved; some file systems (those that copy on write) need more of it all the same.
  [[noreturn]] void fail_write(int error) const {
    if (error == ENOSPC || error == EDQUOT) formats::fail_disk_full(destination_, needed_bytes_);
    throw Error("io-write", at(destination_.path), fmt::format("writing failed: {}", errno_text(error)));
  }

  void find_places(size_t n_tensors, const formats::SafetensorsLayout& layout) {
    places_.resize(n_tensors);
    for (size_t f = 0; f < layout.files.size(); ++f)
      for (size_t i = 0; i < layout.files[f].tensors.size(); ++i)
        places_[layout.files[f].tensors[i]] = {f, layout.files[f].offsets_bytes[i]};
  }

  void create_files(const formats::SafetensorsLayout& layout) {
    for (const auto& file : layout.files) {
      if (!is_own(files_.size(), layout.files.size())) {
        files_.emplace_back();
        continue;
      }
      files_.emplace_back(destination_, partial_->folder() + "/" + file.name, file.size_bytes, needed_bytes_);
      write(files_.size() - 1, 0, std::as_bytes(std::span(file.head)));
    }
    // What else an earlier run wrote is small, and written again.
    for (const auto& entry : entries_of(partial_->folder()))
      if (std::none_of(layout.files.begin(), layout.files.end(), [&](const auto& f) { return f.name == entry.first; }))
        ::unlink((partial_->folder() + "/" + entry.first).c_str());
    if (!layout.index.empty()) add_file("model.safetensors.index.json", layout.index);
  }

  bool is_part() const { return !options_.part.is_whole(); }
  bool is_own(size_t file, size_t n_files) const {
    return !is_there_ &&
           (!is_part() || formats::part_of_shard(file, n_files, options_.part.of) == options_.part.number);
  }

  // Where the parts are, and the output that is made of them: that is nowhere yet.
  void check_parts_folder() const {
    if (mode_of(whole_.path)) {
      refuse_lost_input(whole_.path, options_.inputs);
      throw Error("output-exists", at(whole_.path), "exists already", "choose another place or remove it yourself");
    }
    if (const auto mode = mode_of(destination_.parent); mode && !S_ISDIR(*mode))
      throw Error("output-not-replaceable", at(destination_.parent),
                  S_ISLNK(*mode) ? "is a symbolic link, and parts are joined on the file system of their output"
                                 : "exists and is not a folder",
                  "choose another place");
  }

  void describe_part(const formats::SafetensorsLayout& layout, const std::map<std::string, std::string>& made) {
    part_.part = options_.part;
    part_.made_of = made;
    part_.n_shards = layout.files.size();
    for (size_t f = 0; f < layout.files.size(); ++f)
      if (const auto& file = layout.files[f]; is_own(f, layout.files.size()))
        part_.shards.push_back(
            {file.name, file.size_bytes, file.head.size(), to_string(checksum(std::as_bytes(std::span(file.head))))});
  }

  // A task that is run again although it was done. One that was done otherwise, or is damaged, is done again.
  bool is_there() {
    const std::string path = destination_.path + "/" + formats::kPartFile;
    if (options_.force || !mode_of(path)) return false;
    const auto there = formats::read_part_file(path, options_.limits);
    if (const std::string what = difference(there, part_); !what.empty())
      throw Error("output-exists", at(destination_.path), fmt::format("is there already, made of another {}", what),
                  "write it again with --force");
    for (const auto& file : there.files())
      if (const std::string why = formats::why_not_whole(destination_.path + "/" + file.name, file); !why.empty()) {
        say("output-part-there", fmt::format("is written again: '{}' {}", file.name, why));
        options_.force = true;
        return false;
      }
    files_.clear();
    files_.resize(part_.n_shards);
    is_there_ = true;
    say("output-part-there", "is there already, whole");
    return true;
  }

  void say(const char* id, std::string message) const {
    if (options_.notice) options_.notice({Severity::note, id, at(destination_.path), std::move(message), {}, ""});
  }

  // Where a tensor goes is part of what the output is made of.
  std::map<std::string, std::string> made_of(const formats::SafetensorsLayout& layout) const {
    Checksum sum;
    for (const auto& file : layout.files) sum.add(file.name), sum.add(file.head), sum.add(file.size_bytes);
    sum.add(layout.index);
    std::map<std::string, std::string> all = options_.made_of;
    all["layout"] = to_string(sum.sum());
    return all;
  }

  // Space that files of an earlier run have already.
  uint64_t held_bytes() const {
    uint64_t bytes = 0;
    for (const auto& [name, mode] : entries_of(partial_->folder())) {
      struct stat info {};
      if (::lstat((partial_->folder() + "/" + name).c_str(), &info) == 0)
        bytes += static_cast<uint64_t>(info.st_blocks) * 512;
    }
    return bytes;
  }

  void sync(const std::string& folder) const {
    if (const int error = formats::sync_folder(folder); error != 0) fail_write(error);
  }

  Destination whole_, destination_;  // another one for a part
  OutputOptions options_;
  uint64_t needed_bytes_ = 0;
  std::unique_ptr<formats::PartialFolder> partial_;
  std::vector<OutputFile> files_;
  std::vector<TensorPlace> places_;   // a tensor of the plan
  std::vector<std::byte> read_back_;  // of holds()
  std::set<std::string> names_;       // of files, all parts'
  formats::PartFile part_;            // if it is one
  bool is_there_ = false;
};

void refuse_new(const std::string& path, const std::string& kind, int error) {
  static const std::map<int, const char*> kWaysOn = {{EACCES, "choose a folder that you may write to"},
                                                     {EPERM, "choose a folder that you may write to"},
                                                     {ENAMETOOLONG, "give it a shorter name"},
                                                     {ENOSPC, "free some space or choose another place"},
                                                     {EDQUOT, "free some space or choose another place"}};
  const std::string parent = formats::parse_destination(path).parent;
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
bool OutputFolder::holds(size_t file, uint64_t offset_bytes, uint64_t length_bytes) {
  return impl_->holds(file, offset_bytes, length_bytes);
}
void OutputFolder::finished(size_t file, uint64_t offset_bytes, uint64_t length_bytes, const std::byte* bytes) {
  impl_->finished(file, offset_bytes, length_bytes, bytes);
}
Json OutputFolder::digests(const std::atomic<bool>* cancel) const { return impl_->digests(cancel); }
void OutputFolder::keep() noexcept { impl_->keep(); }
bool OutputFolder::shares() const { return impl_->shares(); }
std::pair<uint64_t, uint64_t> OutputFolder::share(size_t file, uint64_t offset_bytes, int fd,
                                                  uint64_t source_offset_bytes, uint64_t length_bytes) {
  return impl_->share(file, offset_bytes, fd, source_offset_bytes, length_bytes);
}
void OutputFolder::add_file(const std::string& name, const std::string& contents) { impl_->add_file(name, contents); }
void OutputFolder::commit() { impl_->commit(); }

}  // namespace remap
