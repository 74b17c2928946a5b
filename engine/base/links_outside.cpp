#include "base/links_outside.h"

#include <algorithm>

#include <fmt/format.h>

namespace remap {
namespace {

namespace fs = std::filesystem;

// Without links; "" if nothing is there.
fs::path real_path(const fs::path& path) {
  std::error_code ignored;
  return fs::canonical(path.empty() ? fs::path(".") : path, ignored);
}

bool is_below(const fs::path& path, const fs::path& above) {
  return std::mismatch(above.begin(), above.end(), path.begin(), path.end()).first == above.end();
}

// Where a hub's download cache keeps the files of the snapshot that the folder is, or lies in; "" elsewhere.
fs::path blobs_of(const fs::path& folder) {
  for (fs::path at = folder; at.has_relative_path(); at = at.parent_path())
    if (at.filename() == "snapshots") return at.parent_path() / "blobs";
  return {};
}

// The names of the links in a folder; nullopt if it cannot be listed.
std::optional<std::set<std::string>> links_in(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code error, ignored;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->is_symlink(ignored)) names.insert(it->path().filename().string());
  return error ? std::nullopt : std::optional(std::move(names));
}

}  // namespace

LinksOutside::LinksOutside(std::string folder)
    : folder_(std::move(folder)), home_(real_path(folder_)), blobs_(blobs_of(home_)) {}

bool LinksOutside::leads_outside(const std::string& path, Siblings siblings) {
  Folder& folder = folder_of(path);
  const fs::path file(path);
  if (siblings == Siblings::many && !folder.links) folder.links = links_in(file.parent_path());
  std::error_code ignored;
  const bool is_link = folder.links ? folder.links->contains(file.filename().string()) : fs::is_symlink(file, ignored);
  return is_link ? follow(file, folder.home) : folder.outside;
}

std::string LinksOutside::text() const {
  constexpr size_t kMostShown = 4;
  std::string text = fmt::format("'{}' is a link to '{}', outside of the folder", names_.front(), first_target_);
  const size_t shown = std::min(names_.size(), kMostShown);
  if (names_.size() > 1) text += names_.size() == 2 ? "; so is " : "; so are ";
  for (size_t i = 1; i < shown; ++i)
    text += fmt::format("{}'{}'", i == 1 ? "" : i + 1 == names_.size() ? " and " : ", ", names_[i]);
  if (names_.size() > shown) text += fmt::format(" and {} more", names_.size() - shown);
  return text;
}

LinksOutside::Folder& LinksOutside::folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string_view name = std::string_view(path).substr(0, slash == path.npos ? 0 : std::max<size_t>(slash, 1));
  const auto known = folders_.find(name);
  if (known != folders_.end()) return known->second;
  return folders_.emplace(std::string(name), enter(fs::path(name))).first->second;
}

// Every folder on the way, since each may be a link.
LinksOutside::Folder LinksOutside::enter(const fs::path& path) {
  const fs::path inside = below_folder(path);
  if (inside.empty()) return {real_path(path)};
  Folder folder{home_};
  fs::path at = folder_;
  std::error_code ignored;
  for (const fs::path& part : inside) {
    if (part == ".") continue;
    at /= part;
    if (fs::is_symlink(at, ignored)) folder.outside = follow(at, home_);
  }
  return folder;
}

bool LinksOutside::follow(const fs::path& link, const fs::path& home) {
  const fs::path target = real_path(link);
  if (target.empty() || is_below(target, home) || (!blobs_.empty() && target.parent_path() == blobs_)) return false;
  const fs::path inside = below_folder(link);
  const std::string name = (inside.empty() ? link : inside).string();
  if (!known_.insert(name).second) return true;
  names_.push_back(name);
  std::error_code ignored;
  if (names_.size() == 1) first_target_ = fs::read_symlink(link, ignored).string();
  return true;
}

// What follows the folder in a path; "." for itself, "" for a path that is not below it.
fs::path LinksOutside::below_folder(const fs::path& path) const {
  const auto plain = [](const fs::path& any) { return any.empty() ? fs::path(".") : any.lexically_normal(); };
  fs::path inside = plain(path).lexically_relative(plain(folder_));
  return !inside.empty() && *inside.begin() == ".." ? fs::path() : inside;
}

}  // namespace remap
