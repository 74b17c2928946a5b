#include "cli/write_file.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remap/diagnostic.h"
#include "remap/output.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

using remap::Error;

remap::Place at(const std::string& path) { return remap::BytePlace{path, {}, {}}; }
std::string why(int error) { return std::generic_category().message(error); }

// The mode of the file that is replaced; nullopt if there is none.
std::optional<mode_t> check_old(const std::string& path, Existing existing) {
  if (fs::path(path).filename().empty())
    throw Error("output-not-replaceable", at(path), "is the name of a folder; a file is written", "name a file in it");
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    const int error = errno;
    const fs::path folder = fs::path(path).parent_path();
    std::error_code unknown;
    if (error == ENOENT && (folder.empty() || fs::is_directory(folder, unknown))) return std::nullopt;
    remap::refuse_new(path, "file", error);
  }
  std::error_code ignored;
  if (S_ISLNK(info.st_mode))
    throw Error("output-not-replaceable", at(path),
                fmt::format("is a symbolic link to '{}'", fs::read_symlink(path, ignored).string()),
                "name the file itself");
  if (S_ISDIR(info.st_mode))
    throw Error("output-not-replaceable", at(path), "is a folder; a file is written", "name a file in it");
  if (!S_ISREG(info.st_mode))
    throw Error("output-not-replaceable", at(path), "exists and is not a plain file", "choose another place");
  if (existing == Existing::refuse)
    throw Error("output-exists", at(path), "the file exists already", "name another one, or replace it with --force");
  if (::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0)
    throw Error("output-not-replaceable", at(path), fmt::format("is not writable: {}", why(errno)),
                "change its mode if it may be written");
  return info.st_mode & 07777;
}

// A new file in the same folder, which nothing else can have put there.
int open_new(const fs::path& file, std::string& name) {
  static constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device device;
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string suffix;
    for (int i = 0; i < 8; ++i) suffix += kLetters[device() % 36];
    name =
        (file.parent_path() / fmt::format(".{}.partial-{}", file.filename().string().substr(0, 200), suffix)).string();
    const int fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

int write_all(int fd, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t written = ::write(fd, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return written < 0 ? errno : EIO;
    done += static_cast<size_t>(written);
  }
  return 0;
}

// A new name is taken only if nothing has it; file systems without second names rename.
int give_name(const std::string& from, const std::string& to, bool is_new) {
  if (is_new && ::link(from.c_str(), to.c_str()) == 0) {
    ::unlink(from.c_str());
    return 0;
  }
  if (is_new && errno == EEXIST) return EEXIST;
  return std::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in.good() && !in.eof()) throw Error("io-read", at(path), "cannot be read");
  return text;
}

void check_file(const std::string& path, Existing existing) { check_old(path, existing); }

void write_file(const std::string& path, const std::string& text, Existing existing) {
  const auto mode = check_old(path, existing);
  std::string partial;
  const int fd = open_new(path, partial);
  if (fd < 0) remap::refuse_new(path, "file", errno);
  int error = write_all(fd, text);
  if (error == 0 && mode && ::fchmod(fd, *mode) != 0) error = errno;
  if (error == 0 && ::fsync(fd) != 0) error = errno;
  if (::close(fd) != 0 && error == 0) error = errno;
  if (error == 0) error = give_name(partial, path, !mode);
  if (error == 0) return;
  ::unlink(partial.c_str());
  if (error == EEXIST)
    throw Error("output-exists", at(path), "was created by someone else meanwhile",
                "name another one, or replace it with --force");
  throw Error("io-write", at(path), fmt::format("cannot be written: {}", why(error)));
}

}  // namespace cli
