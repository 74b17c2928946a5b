#include "remap/nearest.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "base/folder_names.h"
#include "base/text.h"

namespace remap {
namespace fs = std::filesystem;
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

std::string nearest_entry(const fs::path& folder, const std::string& name) {
  constexpr size_t kAtMost = 20'000;  // a folder beyond all sense is not searched
  const auto names = names_in(folder.empty() ? "." : folder.string(), FolderLink::follow, kAtMost).names;
  if (names.size() == kAtMost) return "";
  if (std::string near = nearest_name(name, names); !near.empty()) return near;
  const auto same_stem = [stem = fs::path(name).stem()](const std::string& other) {
    return fs::path(other).stem() == stem;
  };
  const auto it = std::find_if(names.begin(), names.end(), same_stem);
  return it == names.end() ? "" : *it;
}

}  // namespace

std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  constexpr size_t kMaxWord = 200;  // what is longer is not misspelt
  if (word.size() > kMaxWord) return best;
  for (const auto& candidate : candidates) {
    if (std::max(word.size(), candidate.size()) - std::min(word.size(), candidate.size()) >= best_distance) continue;
    const size_t as_written = edit_distance(word, candidate),
                 in_lower_case = edit_distance(lower(word), lower(candidate));
    const size_t distance = std::min(as_written, in_lower_case + 1);
    if (word.size() == 1 && in_lower_case > 0) continue;  // any other letter is as near
    if (distance < best_distance) best = candidate, best_distance = distance;
  }
  return best;
}

std::string nearest_path(const std::string& path) {
  std::error_code ignored;
  if (path.empty() || fs::exists(path, ignored)) return "";
  fs::path found;
  for (const fs::path& part : fs::path(path)) {
    if (part.empty()) continue;  // after a trailing '/'
    if (fs::exists(found / part, ignored)) {
      found /= part;
      continue;
    }
    const std::string near = nearest_entry(found, part.string());
    if (near.empty()) return "";
    found /= near;
  }
  return fs::exists(found, ignored) ? found.string() : "";
}

std::string did_you_mean(const std::string& near, const std::string& otherwise) {
  return near.empty() ? otherwise : fmt::format("did you mean '{}'?", near);
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates,
                         const std::string& otherwise) {
  return did_you_mean(nearest_name(word, candidates), otherwise);
}

}  // namespace remap
