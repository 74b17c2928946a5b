#include "formats/left_aside.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/folder_files.h"
#include "formats/open_file.h"
#include "formats/shard_index.h"

namespace remap::formats {

std::vector<std::string> names_without(const std::vector<std::string>& all, const std::vector<std::string>& taken) {
  std::vector<std::string> rest;
  for (const auto& name : all)
    if (std::find(taken.begin(), taken.end(), name) == taken.end()) rest.push_back(name);
  return rest;
}

std::vector<std::string> shards_of_index(const std::string& file, const Limits& limits) {
  std::vector<std::string> names;
  try {
    for (const auto& [shard, keys] : parse_shard_index(read_json_file(file, limits), file).shards)
      names.push_back(shard);
  } catch (const Error&) {
    names.clear();
  }
  return names;
}

Diagnostic left_aside(const LeftAside& what, const Limits& limits) {
  const auto in = [&](const std::string& name) { return (std::filesystem::path(what.folder) / name).string(); };
  std::vector<std::string> texts, plain = what.others;
  std::string other;
  for (const auto& name : what.others) {
    if (!name.ends_with(kIndexEnding)) continue;
    const auto before =
        std::exchange(plain, names_without(names_without(plain, shards_of_index(in(name), limits)), {name}));
    texts.push_back(before.size() == plain.size() + 1
                        ? fmt::format("'{}'", name)
                        : fmt::format("'{}' and its {} files", name, before.size() - plain.size() - 1));
    if (other.empty()) other = name;
  }
  for (const auto& group : group_files(plain)) texts.push_back(group.text());
  if (other.empty()) other = what.others.front();
  constexpr size_t kMostShown = 5;
  if (texts.size() > kMostShown) {
    const size_t n_more = texts.size() - kMostShown;
    texts.resize(kMostShown);
    texts.push_back(fmt::format("and {} more", n_more));
  }
  return {Severity::note,
          "source-left-aside",
          BytePlace{what.folder, {}, {}},
          fmt::format("of several {}, taken: {}{}; left aside: {}", what.of, what.taken, what.why, join(texts, "; ")),
          {},
          fmt::format("to use another, give it by name, such as '{}'", in(other))};
}

}  // namespace remap::formats
