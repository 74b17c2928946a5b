// The table of folders that are not read. A row: how it is recognised, what it is, what to do.
#include <algorithm>

#include <fmt/format.h>

#include "formats/folder_files.h"
#include "formats/unread_rows.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

struct FolderView {
  fs::path path;
  std::vector<std::string> files, folders;

  explicit FolderView(const std::string& folder)
      : path(folder), files(list_files(folder)), folders(list_folders(folder)) {}
  bool has(const std::string& name) const { return std::find(files.begin(), files.end(), name) != files.end(); }
  Found file(std::string_view begin, std::string_view end) const {
    for (const auto& name : files)
      if (name.size() >= begin.size() + end.size() && name.starts_with(begin) && name.ends_with(end)) return name;
    return std::nullopt;
  }
  Found folder_with(std::string_view file) const {
    for (const auto& name : folders)
      if (is_file(path / name / file)) return name;
    return std::nullopt;
  }
};

struct FolderKind {
  Found (*test)(const FolderView&);
  const char *what, *way;
};
constexpr FolderKind kFolderKinds[] = {
    {[](const FolderView& f) { return yes(f.has("Manifest.json") && is_folder(f.path / "Data" / "com.apple.CoreML")); },
     "a Core ML package", "take the checkpoint that it was made of"},
};

}  // namespace

std::optional<Recognised> recognise_folder(const std::string& folder) {
  const FolderView view(folder);
  for (const FolderKind& kind : kFolderKinds) {
    const auto found = kind.test(view);
    if (!found) continue;
    return recognised(kind.what, kind.way, *found, folder, true, true);
  }
  return std::nullopt;
}

}  // namespace remap::formats
