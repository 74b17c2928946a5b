// Which folder holds arrays: Orbax's managers keep steps, and items in these.
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/array_source.h"
#include "formats/array_tree.h"
#include "formats/folder_files.h"
#include "formats/left_aside.h"
#include "formats/ocdbt.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

// Items that hold a model, in the order in which one of several is taken.
constexpr std::string_view kItems[] = {"params", "default", "items", "state", "model"};
constexpr std::string_view kUnfinished = ".orbax-checkpoint-tmp";
constexpr const char* kTexts[] = {".zarray", "zarr.json"};

bool has_text(const fs::path& folder) {
  return std::any_of(std::begin(kTexts), std::end(kTexts), [&](const char* name) { return is_file(folder / name); });
}

bool is_unfinished_array(const std::string& folder) {
  const fs::path path(folder);
  if (is_file(path / kOcdbtManifest)) return false;
  const auto folders = list_folders(folder);
  return std::any_of(folders.begin(), folders.end(),
                     [](const auto& name) { return name.starts_with("ocdbt.process_"); });
}

[[noreturn]] void refuse_unfinished_array(const std::string& folder) {
  throw Error("orbax-unfinished", BytePlace{folder, {}, {}},
              "Orbax was still writing this checkpoint when it stopped, or 'manifest.ocdbt' was not copied",
              "fetch the folder again; if that file is not where it came from, use another checkpoint");
}

enum class ArrayFolderKind { none, database, unfinished, described, array, group };
ArrayFolderKind kind_of(const std::string& folder) {
  const fs::path path(folder);
  if (is_file(path / kOcdbtManifest)) return ArrayFolderKind::database;
  if (is_unfinished_array(folder)) return ArrayFolderKind::unfinished;
  if (has_text(path)) return ArrayFolderKind::array;
  if (is_file(path / ".zgroup")) return ArrayFolderKind::group;
  const auto folders = list_folders(folder);
  if (std::none_of(folders.begin(), folders.end(), [&](const auto& name) { return has_text(path / name); }))
    return ArrayFolderKind::none;
  return is_file(path / kOrbaxTree) ? ArrayFolderKind::described : ArrayFolderKind::group;
}

// "7", "step_7", "checkpoint_7".
bool is_step_folder(const std::string& name) {
  const size_t at = name.find_last_not_of("0123456789");
  if (at == name.npos) return is_number(name);
  return at + 1 < name.size() && name[at] == '_' && name.find('.') == name.npos;
}

std::string in(const std::string& folder, const std::string& name) { return (fs::path(folder) / name).string(); }

// The folders in a step that hold arrays.
std::vector<std::pair<std::string, ArrayFolderKind>> items_of(const std::string& folder) {
  std::vector<std::pair<std::string, ArrayFolderKind>> items;
  for (const auto& name : list_folders(folder)) {
    if (name.find(kUnfinished) != name.npos || name.starts_with("ocdbt.process_")) continue;
    if (const ArrayFolderKind kind = kind_of(in(folder, name)); kind != ArrayFolderKind::none)
      items.emplace_back(name, kind);
  }
  return items;
}

struct FoundArrays {
  std::string folder;
  std::vector<Diagnostic> notices = {};
};

std::optional<FoundArrays> find_item(const std::string& folder) {
  std::vector<std::string> items;
  bool are_groups = true;
  for (const auto& [name, kind] : items_of(folder)) {
    are_groups = are_groups && kind == ArrayFolderKind::group;
    items.push_back(name);
  }
  if (items.empty()) return std::nullopt;
  if (are_groups) return FoundArrays{folder};  // a group of groups, which needs no text of its own
  std::string chosen = items.size() == 1 ? items.front() : "";
  for (const std::string_view name : kItems)
    if (chosen.empty() && std::find(items.begin(), items.end(), name) != items.end()) chosen = name;
  if (chosen.empty())
    throw Error("source-unknown-format", BytePlace{folder, {}, {}},
                fmt::format("the folder holds several checkpoints: {}", quoted_list(items)),
                fmt::format("give one of them, such as '{}'", in(folder, items.back())));
  FoundArrays found{in(folder, chosen)};
  if (items.size() == 1) return found;
  items.erase(std::find(items.begin(), items.end(), chosen));
  found.notices.push_back(
      left_aside({folder, "items of the checkpoint", fmt::format("'{}'", chosen), "", std::move(items)}));
  return found;
}

std::optional<FoundArrays> find_array_folder(const std::string& path) {
  if (is_unfinished_array(path) || fs::path(path).filename().string().find(kUnfinished) != std::string::npos)
    refuse_unfinished_array(path);
  if (kind_of(path) != ArrayFolderKind::none) return FoundArrays{path};
  std::vector<std::string> steps;
  for (const auto& name : list_folders(path)) {
    if (!is_step_folder(name)) continue;
    const std::string step = in(path, name);
    if (kind_of(step) != ArrayFolderKind::none || is_file(fs::path(step) / "_CHECKPOINT_METADATA") ||
        !items_of(step).empty())
      steps.push_back(name);
  }
  if (steps.size() > 1)
    throw Error("source-unknown-format", BytePlace{path, {}, {}},
                fmt::format("the folder holds several checkpoints: {}", quoted_list(steps)),
                fmt::format("give one of them, such as '{}'", in(path, steps.back())));
  if (steps.size() == 1) {
    const std::string step = in(path, steps.front());
    return kind_of(step) != ArrayFolderKind::none ? FoundArrays{step} : find_item(step);
  }
  return find_item(path);
}

}  // namespace

std::optional<std::string> array_folder_kind(const std::string& folder) {
  switch (kind_of(folder)) {
    case ArrayFolderKind::none: return std::nullopt;
    case ArrayFolderKind::database: return "an Orbax checkpoint (OCDBT)";
    case ArrayFolderKind::unfinished: return "an Orbax checkpoint that is not complete";
    case ArrayFolderKind::described: return "an Orbax checkpoint";
    case ArrayFolderKind::array: return "a zarr array";
    case ArrayFolderKind::group: return "a group of zarr arrays";
  }
  return std::nullopt;
}

std::unique_ptr<Source> open_array_folder(const std::string& path, const OpenOptions& options) {
  auto found = find_array_folder(path);
  if (!found) return nullptr;
  auto source = open_arrays(path, found->folder, options);
  for (Diagnostic& notice : found->notices) source->add_notice(std::move(notice));
  return source;
}

}  // namespace remap::formats
