#include "formats/inputs_held.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <deque>
#include <memory>
#include <optional>

#include <sys/stat.h>
#include <unistd.h>

#include "base/folder_names.h"
#include "remap/output.h"

namespace remap {
namespace formats {
namespace {

constexpr int kMaxLinks = 40;  // as the kernel has it

struct FileAt {
  FileId id;
  mode_t mode = 0;
};

// The entry itself, not what a link leads to.
std::optional<FileAt> look(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return std::nullopt;
  return FileAt{{info.st_dev, info.st_ino}, info.st_mode};
}

std::string link_target(const std::string& path) {
  std::string target(PATH_MAX, '\0');
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  target.resize(length < 0 ? 0 : static_cast<size_t>(length));
  return target;
}

std::deque<std::string> components_of(const std::string& path) {
  std::deque<std::string> parts;
  for (size_t start = 0; start < path.size();) {
    const size_t end = std::min(path.find('/', start), path.size());
    if (end > start && path.compare(start, end - start, ".") != 0) parts.push_back(path.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

// Walks a path as the kernel does, a component at a time, so that nothing on the way is missed.
class Walk {
 public:
  explicit Walk(std::set<FileId>& places) : places_(places) {}

  // The path without links, as far as it exists.
  std::string along(const std::string& path) {
    std::deque<std::string> rest = components_of(path);
    std::vector<std::string> at;  // folders from the root on
    if (!path.starts_with('/')) {
      const std::unique_ptr<char, decltype(&::free)> here(::getcwd(nullptr, 0), &::free);
      for (auto& part : components_of(here ? here.get() : "/")) at.push_back(std::move(part));
    }
    for (int links = 0; !rest.empty();) {
      const std::string part = rest.front();
      rest.pop_front();
      if (part == "..") {
        if (!at.empty()) at.pop_back();
        continue;
      }
      at.push_back(part);
      const auto found = look(text(at));
      if (!found) break;
      if (!S_ISLNK(found->mode)) continue;
      if (++links > kMaxLinks) break;
      note(at);
      const std::string target = link_target(text(at));
      at.pop_back();
      if (target.starts_with('/')) at.clear();
      auto more = components_of(target);
      rest.insert(rest.begin(), more.begin(), more.end());
    }
    note(at);
    return text(at);
  }

 private:
  static std::string text(const std::vector<std::string>& parts) {
    std::string path;
    for (const auto& part : parts) path += "/" + part;
    return path.empty() ? "/" : path;
  }
  void note(std::vector<std::string> at) {
    for (;; at.pop_back()) {
      if (const auto found = look(text(at))) places_.insert(found->id);
      if (at.empty()) return;
    }
  }

  std::set<FileId>& places_;
};

// Where everything in a folder is: files, folders below, and what links in it lead to (but for links to a folder
// above). `places` has where the folder itself is.
void add_contents(const std::string& top, std::set<FileId>& places) {
  const std::set<FileId> above = places;
  std::set<FileId> listed;
  for (std::vector<std::string> folders = {top}; !folders.empty();) {
    const std::string folder = folders.back();
    folders.pop_back();
    const auto itself = look(folder);
    if (!itself || !S_ISDIR(itself->mode) || !listed.insert(itself->id).second) continue;
    for (const auto& name : names_in(folder).names) {
      const std::string path = folder + "/" + name;
      const auto found = look(path);
      if (!found) continue;
      places.insert(found->id);
      if (S_ISDIR(found->mode)) folders.push_back(path);
      if (!S_ISLNK(found->mode)) continue;
      const std::string end = Walk(places).along(path);
      if (const auto target = look(end); target && !above.contains(target->id)) folders.push_back(end);
    }
  }
}

}  // namespace

std::optional<FileId> file_id(const std::string& path) {
  const auto found = look(path);
  return found ? std::optional(found->id) : std::nullopt;
}

std::set<FileId> places_of(const std::string& path) {
  std::set<FileId> places;
  Walk(places).along(path);
  return places;
}

bool holds_folder(const std::string& path, const std::string& folder) {
  const auto itself = look(path);
  return itself && places_of(folder).contains(itself->id);
}

std::string input_held_by(const std::string& path, const std::vector<std::string>& inputs) {
  const auto itself = look(path);
  if (!itself) return "";
  std::set<FileId> lost = {itself->id};
  if (S_ISDIR(itself->mode))
    for (const auto& name : names_in(path).names)
      if (const auto found = look(path + "/" + name)) lost.insert(found->id);
  for (const auto& input : inputs) {
    if (input.empty()) continue;
    std::set<FileId> places;
    const std::string end = Walk(places).along(input);
    add_contents(end, places);
    if (std::any_of(lost.begin(), lost.end(), [&](const FileId& id) { return places.contains(id); })) return input;
  }
  return "";
}

}  // namespace formats

void refuse_lost_input(const std::string& path, const std::vector<std::string>& inputs) {
  const std::string input = formats::input_held_by(path, inputs);
  if (input.empty()) return;
  const auto itself = formats::file_id(path);
  const bool whole = itself && formats::places_of(input).contains(*itself);
  const std::string what = input == path ? "is one of the inputs: replacing it would destroy it"
                           : whole       ? "holds the input '" + input + "': replacing it would destroy that"
                                   : "is or holds a part of the input '" + input + "': replacing it would destroy that";
  throw Error("output-holds-input", BytePlace{path, {}, {}}, what, "choose another place for the output");
}

}  // namespace remap
