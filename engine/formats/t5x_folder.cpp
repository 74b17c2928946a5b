#include "formats/t5x_folder.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/folder_files.h"
#include "formats/ocdbt.h"
#include "formats/unread_kinds.h"
#include "remap/diagnostic.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

// The name of the last component, also of "a/b/".
std::string last_name(const fs::path& path) {
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

// T5X writes into checkpoint_N.tmp-<time>, Orbax into checkpoint_N.orbax-checkpoint-tmp-<time>, and both rename at the
// end.
bool is_unfinished(const std::string& name) {
  return name.starts_with("checkpoint_") &&
         (name.find(".tmp-") != std::string::npos || name.find("-tmp-") != std::string::npos);
}

[[noreturn]] void refuse_unfinished(const fs::path& path) {
  throw Error("t5x-unfinished", BytePlace{path.string(), {}, {}},
              "T5X was still writing this checkpoint when it stopped", "use another checkpoint of the same model");
}

fs::path parent_of(const fs::path& folder) {
  fs::path path = folder.lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "a/b/" names a/b
  if (path.empty() || path == "." || path.filename() == "..") return path / "..";
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

}  // namespace

void refuse_unreadable_t5x(const std::string& folder) {
  if (is_unfinished(last_name(folder))) refuse_unfinished(folder);
}

std::optional<std::string> find_t5x_folder(const std::string& path) {
  const fs::path folder(path);
  refuse_unreadable_t5x(path);
  for (const fs::path& candidate : {folder, folder / "state"}) {
    if (is_file(candidate / kOcdbtManifest)) return std::nullopt;  // the arrays are in a database: array_source.h
    if (is_file(candidate / "checkpoint") && !is_tensorflow_state((candidate / "checkpoint").string()))
      return candidate.string();
  }
  std::vector<std::string> finished, unfinished;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("checkpoint_") || !is_folder(entry.path())) continue;
    (is_unfinished(name) ? unfinished : finished).push_back(name);
  }
  std::sort(finished.begin(), finished.end(), natural_less);
  std::sort(unfinished.begin(), unfinished.end(), natural_less);
  if (finished.size() > 1)
    throw Error("t5x-several", BytePlace{path, {}, {}},
                fmt::format("the folder holds several checkpoints: {}", join(finished, ", ")),
                fmt::format("give one of them, such as '{}'", (folder / finished.back()).string()));
  if (finished.size() == 1) return find_t5x_folder((folder / finished.front()).string());
  if (!unfinished.empty()) refuse_unfinished(folder / unfinished.front());
  return std::nullopt;
}

std::optional<std::string> find_gin_file(const std::string& folder) {
  fs::path at(folder);
  for (int level = 0; level < 3; ++level, at = parent_of(at))
    if (is_file(at / "config.gin")) return (at / "config.gin").string();
  return std::nullopt;
}

}  // namespace remap::formats
