#include "formats/partial_folder.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <tuple>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder_names.h"
#include "base/mapped_file.h"
#include "base/open_descriptor.h"
#include "base/text.h"
#include "formats/inputs_held.h"
#include "remap/metadata.h"
#include "remap/output.h"

namespace remap::formats {
namespace {

constexpr const char* kMark = "remap_partial";
constexpr int kJournalVersion = 1;
constexpr size_t kMaxNameBytes = 200;  // of the output's name in the hidden one, which may be longer than allowed

// None if the folder cannot be listed. A link in its place is not followed.
std::vector<std::string> own_names_in(const std::string& folder) { return names_in(folder, FolderLink::refuse).names; }

constexpr size_t kSuffixLetters = 8;

std::string random_suffix() {
  static constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device device;
  std::string suffix;
  for (size_t i = 0; i < kSuffixLetters; ++i) suffix += kLetters[device() % 36];
  return suffix;
}

std::string hidden_prefix(const Destination& destination) {
  return fmt::format(".{}.partial-", destination.name.substr(0, kMaxNameBytes));
}

bool has_hidden_name(const std::string& name, const std::string& prefix) {
  return name.starts_with(prefix) && name.size() == prefix.size() + kSuffixLetters &&
         std::all_of(name.end() - kSuffixLetters, name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

bool is_same_file(int fd, const std::string& path) {
  struct stat here {
  }, there{};
  return ::fstat(fd, &here) == 0 && ::lstat(path.c_str(), &there) == 0 && here.st_dev == there.st_dev &&
         here.st_ino == there.st_ino;
}

std::string read_from(int fd) {
  std::string text;
  std::vector<char> buffer(1 << 16);
  for (off_t at = 0;;) {
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer.data(), static_cast<size_t>(got)), at += got;
  }
}

// "12 345 678 0123…": a line of a block. What was not written whole is left out.
std::string line_of(const WholeBlock& block) {
  return fmt::format("{} {} {} {:016x} {:016x}\n", block.file, block.begin, block.length, block.sum.high,
                     block.sum.low);
}

std::vector<WholeBlock> blocks_in(const std::string& journal, size_t begin) {
  std::vector<WholeBlock> blocks;
  for (size_t end = 0; (end = journal.find('\n', begin)) != std::string::npos; begin = end + 1) {
    WholeBlock block;
    int used = 0;
    const std::string line = journal.substr(begin, end - begin);
    if (std::sscanf(line.c_str(), "%lu %lu %lu %16lx %16lx%n", &block.file, &block.begin, &block.length,
                    &block.sum.high, &block.sum.low, &used) == 5 &&
        static_cast<size_t>(used) == line.size())
      blocks.push_back(block);
  }
  std::sort(blocks.begin(), blocks.end(), [](const WholeBlock& a, const WholeBlock& b) {
    return std::tie(a.file, a.begin, a.length) < std::tie(b.file, b.begin, b.length);
  });
  return blocks;
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
    throw Error("io-write", at(destination.path), fmt::format("cannot give the output its name: {}", errno_text(error)),
                error == EXDEV ? "what it is made of must be on the same file system: move it there" : "");
}

int plain_rename(const std::string& from, const std::string& to) {
  return std::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

// What is ours of a partial folder; the folder itself goes only if nothing else is in it. The journal goes last: until
// then the rest can still be told for what it is. Returns whether nothing is left.
bool remove_partial(const std::string& path) noexcept {
  for (const char* const name : {"/new", "/old"}) {
    const std::string folder = path + name;
    struct stat info {};
    if (::lstat(folder.c_str(), &info) == 0 && S_ISLNK(info.st_mode)) ::unlink(folder.c_str());
    remove_flat_folder(folder);
    if (exists(folder)) return false;
  }
  ::unlink((path + "/journal").c_str());
  return ::rmdir(path.c_str()) == 0 || errno == ENOENT;
}

// A folder of this user, not a link to one, and no folders in it: what a run makes.
bool is_flat_folder(const std::string& path) {
  struct stat info {};
  const auto names = own_names_in(path);
  return is_real_folder(path) && ::lstat(path.c_str(), &info) == 0 && info.st_uid == ::geteuid() &&
         std::none_of(names.begin(), names.end(), [&](const auto& name) { return is_real_folder(path + "/" + name); });
}

uint64_t bytes_in(const std::string& folder) {
  uint64_t bytes = 0;
  for (const auto& name : own_names_in(folder)) {
    struct stat info {};
    if (::lstat((folder + "/" + name).c_str(), &info) == 0 && S_ISREG(info.st_mode))
      bytes += static_cast<uint64_t>(info.st_blocks) * 512;
  }
  return bytes;
}

}  // namespace

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

Place at(const std::string& path) { return BytePlace{path, {}, {}}; }

bool exists(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

int lock_soon(int fd) {
  constexpr int kAttempts = 40;
  for (int attempt = 0;; ++attempt) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return 0;
    if (errno != EWOULDBLOCK || attempt == kAttempts) return errno;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

bool is_real_folder(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

void remove_flat_folder(const std::string& folder) noexcept {
  try {
    for (const auto& name : own_names_in(folder)) ::unlink((folder + "/" + name).c_str());
  } catch (...) {
    // What stays is in a hidden folder that says what it is.
  }
  ::rmdir(folder.c_str());
}

void rename_to_new(const std::string& folder, const Destination& destination) {
  int error = rename_with(folder, destination.path, RENAME_NOREPLACE);
  if (is_unsupported(error)) error = exists(destination.path) ? EEXIST : plain_rename(folder, destination.path);
  throw_if(error, destination);
}

void rename_over_old(const std::string& folder, const Destination& destination, const std::string& replaced) {
  const auto checked = file_id(destination.path);
  std::string old = folder;
  int error = rename_with(folder, destination.path, RENAME_EXCHANGE);
  const bool exchanged = error == 0;
  if (is_unsupported(error)) {
    old = replaced;
    error = plain_rename(destination.path, old);
    if (error == 0) {
      error = plain_rename(folder, destination.path);
      if (error != 0) plain_rename(old, destination.path);
    }
  }
  throw_if(error, destination);
  if (file_id(old) == checked) return;
  if (exchanged)
    rename_with(old, destination.path, RENAME_EXCHANGE);
  else if (plain_rename(destination.path, folder) == 0)
    plain_rename(old, destination.path);
  throw_if(EEXIST, destination);
}

int sync_folder(const std::string& folder) {
  const int fd = open_descriptor(folder, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return errno == EACCES ? 0 : errno;  // one that may be written to and not be read cannot be synced
  const int error = ::fsync(fd) == 0 || errno == EINVAL || errno == EOPNOTSUPP ? 0 : errno;
  ::close(fd);
  return error;
}

// A folder of the right name that an earlier run left, or another one writes. Its journal is locked if `journal` >= 0.
struct PartialFolder::Left {
  enum class State { unknown, gone, empty, in_use, left } state = State::unknown;
  std::string path;
  int journal = -1;
  std::string text;  // of the journal
  size_t records = 0;
  Json header;

  Left(const Destination& destination, std::string where) : path(std::move(where)) {
    look(destination);
    if (state == State::unknown && !exists(path)) state = State::gone;  // whoever had it is done with it
  }
  Left(const Left&) = delete;
  Left& operator=(const Left&) = delete;
  ~Left() {
    if (journal >= 0) ::close(journal);
  }

  void look(const Destination& destination) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != ::geteuid()) return;
    journal = open_descriptor(path + "/journal", O_RDWR | O_APPEND | O_NOFOLLOW);
    if (journal < 0) {
      if (errno == ENOENT && own_names_in(path).empty()) state = State::empty;
      return;
    }
    if (const int error = lock_soon(journal); error != 0) {
      if (error == EWOULDBLOCK) state = State::in_use;
      return;
    }
    if (!is_same_file(journal, path + "/journal")) return;
    text = read_from(journal);
    const size_t end = text.find('\n');
    // One that ended before it wrote anything.
    if (end == std::string::npos) {
      if (own_names_in(path) == std::vector<std::string>{"journal"}) state = State::left;
      return;
    }
    records = end + 1;
    header = Json::parse(text.substr(0, end), nullptr, false);
    if (!header.is_object()) return;
    for (const char* const name : {kMark, "output", "made_of"})
      if (!header.contains(name)) return;
    if (header[kMark] == kJournalVersion && header["output"] == printable(destination.name) &&
        header["made_of"].is_object())
      state = State::left;
  }

  // "" if it is made of the same; else what is not.
  std::string difference(const std::map<std::string, std::string>& made_of) const {
    if (!header.is_object()) return "it had not begun";
    std::vector<std::string> others;
    for (const auto& [name, digest] : made_of)
      if (!header["made_of"].contains(name) || header["made_of"][name] != digest) others.push_back(name);
    return others.empty() ? "" : fmt::format("it is of another {}", join(others, ", "));
  }
};

PartialFolder::PartialFolder(const Destination& destination, const PartialOptions& options)
    : destination_(destination), options_(options) {
  const auto note = [&](Severity severity, const char* id, std::string message, std::string hint) {
    if (options_.notice) options_.notice({severity, id, at(destination_.path), std::move(message), {}, hint});
  };
  const std::string prefix = hidden_prefix(destination_);
  for (const auto& name : names_in(destination_.parent).names) {
    if (!has_hidden_name(name, prefix)) continue;
    Left left(destination_, destination_.parent + "/" + name);
    if (left.state == Left::State::in_use) {
      note(Severity::warning, "output-in-use", fmt::format("another run is writing this output, in '{}'", name),
           "the one that ends first gives its output the name");
    } else if (left.state == Left::State::gone) {
      continue;
    } else if (left.state == Left::State::empty) {
      ::rmdir(left.path.c_str());  // nothing, unless someone has put something there
    } else if (left.state == Left::State::unknown) {
      note(Severity::note, "output-leftover",
           fmt::format("beside it is '{}', of which it cannot be told whether a run left it", name),
           "remove it if nothing needs it");
    } else {
      // Between the two names that an output had while it was replaced.
      if (exists(left.path + "/old") && !exists(destination_.path) &&
          plain_rename(left.path + "/old", destination_.path) == 0)
        note(Severity::note, "output-leftover", "put back in its place, where a run was killed that replaced it", "");
      const std::string difference = left.difference(options_.made_of);
      if (options_.resume && path_.empty() && difference.empty() && take_over(left)) continue;
      const std::string bytes = human_bytes(bytes_in(left.path + "/new"));
      const std::string removed =
          remove_partial(left.path)
              ? fmt::format("removed '{}' ({}), which a run left that was killed", name, bytes)
              : fmt::format("removed from '{}' what a run left that was killed ({}); what else is in it stays", name,
                            bytes);
      note(Severity::note, "output-leftover",
           removed + (options_.resume && !difference.empty() ? "; not gone on with: " + difference : ""),
           options_.resume ? "" : "--resume goes on with what such a run left");
    }
  }
  if (path_.empty()) make();
}

bool PartialFolder::take_over(Left& left) {
  if (!is_flat_folder(left.path + "/new")) return false;
  path_ = left.path;
  taken_over_ = true;
  journal_ = std::exchange(left.journal, -1);
  whole_ = blocks_in(left.text, left.records);
  // A last line that was cut short would be one with the next.
  if (!left.text.ends_with('\n')) unwritten_ = "\n";
  return true;
}

void PartialFolder::make() {
  for (int attempt = 0; attempt < 100; ++attempt) {
    const std::string path = destination_.parent + "/" + hidden_prefix(destination_) + random_suffix();
    if (::mkdir(path.c_str(), 0777) != 0) {
      if (errno == EEXIST) continue;
      if (errno == ENOENT && options_.makes_parent) {
        if (::mkdir(destination_.parent.c_str(), 0777) == 0 || errno == EEXIST) continue;
        refuse_new(destination_.parent, "folder", errno);
      }
      refuse_new(destination_.path, "folder", errno);
    }
    // Whoever looks for leftovers may find the folder while it is still empty, or lock the journal first, and remove
    // it.
    const std::string name = path + "/journal";
    journal_ = open_descriptor(name, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
    if (journal_ < 0 && errno == ENOENT) continue;
    int error = journal_ < 0 ? errno : 0;
    // A file system without locks: then nobody takes this for a leftover.
    const bool is_lost = error == 0 && ((::flock(journal_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) ||
                                        !is_same_file(journal_, name));
    if (is_lost) {
      ::close(std::exchange(journal_, -1));
      continue;
    }
    if (error == 0) {
      const std::string header =
          Json{{kMark, kJournalVersion}, {"output", printable(destination_.name)}, {"made_of", options_.made_of}}.dump(
              -1, ' ', true) +
          "\n";
      error = write_all(journal_, std::as_bytes(std::span(header)));
    }
    if (error == 0 && ::mkdir((path + "/new").c_str(), 0777) != 0) error = errno;
    if (error == 0) {
      path_ = path;
      return;
    }
    remove_partial(path);
    if (journal_ >= 0) ::close(std::exchange(journal_, -1));
    refuse_new(destination_.path, "folder", error);
  }
  throw Error("io-write", at(destination_.path), fmt::format("cannot find a free name in '{}'", destination_.parent),
              "choose another place");
}

bool PartialFolder::is_recording() const {
  constexpr auto kWorthResuming = std::chrono::seconds(1);
  return options_.resume || std::chrono::steady_clock::now() - begun_ > kWorthResuming;
}

void PartialFolder::record(const WholeBlock& block) noexcept {
  constexpr size_t kEnough = 1 << 16;
  try {
    const std::lock_guard lock(mutex_);
    unwritten_ += line_of(block);
    const auto now = std::chrono::steady_clock::now();
    if (unwritten_.size() < kEnough && now - flushed_ < std::chrono::milliseconds(200)) return;
    flushed_ = now;
    flush();
  } catch (...) {
    // Without its record a block is made again.
  }
}

// One that the disk has no room for is lost; what follows begins on a line of its own.
void PartialFolder::flush() noexcept {
  if (journal_ < 0 || unwritten_.empty()) return;
  const int error = write_all(journal_, std::as_bytes(std::span(unwritten_)));
  unwritten_.clear();
  if (error != 0) unwritten_ = "\n";
}

void PartialFolder::keep() noexcept {
  const std::lock_guard lock(mutex_);
  flush();
  keep_ = true;
}

void PartialFolder::committed() noexcept {
  if (path_.empty()) return;
  if (!remove_partial(path_) && options_.notice) try {
      options_.notice({Severity::note, "output-leftover", at(path_), "holds what no run wrote, and stays", {}, ""});
    } catch (...) {
      // The output is whole all the same.
    }
  path_.clear();
}

void remove_leftover(const std::string& parent, const std::string& name) {
  const size_t end = name.rfind(".partial-");
  if (!name.starts_with('.') || end == std::string::npos || end == 0) return;
  const std::string output = name.substr(1, end - 1);
  const Destination destination{parent + "/" + output, parent, output};
  if (!has_hidden_name(name, hidden_prefix(destination))) return;
  const PartialFolder::Left left(destination, parent + "/" + name);
  if (left.state == PartialFolder::Left::State::left) remove_partial(left.path);
  if (left.state == PartialFolder::Left::State::empty) ::rmdir(left.path.c_str());
}

PartialFolder::~PartialFolder() {
  if (!path_.empty() && !keep_) {
    remove_partial(path_);
    if (options_.makes_parent) ::rmdir(destination_.parent.c_str());
  }
  if (journal_ >= 0) ::close(journal_);
}

}  // namespace remap::formats
