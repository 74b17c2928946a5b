#include "formats/shard_index.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "remap/diagnostic.h"

namespace remap::formats {
namespace {

[[noreturn]] void fail_index(const std::string& file, const std::string& message, const std::string& hint = {}) {
  throw Error("shard-index", BytePlace{file, {}, {}}, message, hint);
}

// A file of the same folder, and nothing else: the index must not lead out of it. A link is what its owner made of it:
// download caches keep the files themselves elsewhere.
void check_shard_name(const std::string& index_file, const std::string& name) {
  const bool plain = !name.empty() && name != "." && name != ".." &&
                     name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  if (!plain)
    fail_index(index_file,
               fmt::format("weight_map names the file '{}'; shards must be files of the index's own folder", name),
               "put the shards beside the index, and name them there without a folder");
}

}  // namespace

bool is_shard_index(const Json& root) { return root.is_object() && root.contains("weight_map"); }

ShardIndex parse_shard_index(const Json& root, const std::string& file) {
  if (!is_shard_index(root) || !root["weight_map"].is_object())
    fail_index(file, "not an index of shards: it has no object 'weight_map'");
  ShardIndex index{file, {}, {}};
  if (root.contains("metadata")) index.metadata = root["metadata"];
  for (const auto& [key, shard] : root["weight_map"].items()) {
    if (!shard.is_string()) fail_index(file, fmt::format("weight_map gives no file name for '{}'", key));
    check_shard_name(file, shard.get_ref<const std::string&>());
    index.shards[shard.get<std::string>()].push_back(key);
  }
  if (index.shards.empty()) fail_index(file, "weight_map is empty: the index names no file");
  for (auto& [shard, keys] : index.shards) std::sort(keys.begin(), keys.end());
  return index;
}

void check_shards(const ShardIndex& index, const std::string& folder, const std::vector<OpenedShard>& shards) {
  const std::string index_name = std::filesystem::path(index.file).filename().string();
  const auto path_of = [&](const OpenedShard& shard) { return (std::filesystem::path(folder) / shard.name).string(); };
  for (const OpenedShard& shard : shards) {
    const std::vector<std::string>& expected = index.shards.at(shard.name);
    for (const std::string& key : expected) {
      if (shard.manifest->find(key) != Manifest::npos) continue;
      std::string elsewhere;
      for (const OpenedShard& other : shards)
        if (elsewhere.empty() && other.manifest->find(key) != Manifest::npos)
          elsewhere = fmt::format("; '{}' holds it", other.name);
      fail_index(path_of(shard),
                 fmt::format("does not hold the tensor '{}', which the index places in it{}", key, elsewhere),
                 fmt::format("fetch '{}' and its files again: they are not of one version", index_name));
    }
  }
  for (const OpenedShard& shard : shards) {
    const std::vector<std::string>& expected = index.shards.at(shard.name);
    for (const TensorInfo& tensor : shard.manifest->tensors())
      if (!std::binary_search(expected.begin(), expected.end(), tensor.key))
        fail_index(
            path_of(shard),
            fmt::format("holds the tensor '{}', which the index does not place in this file", tensor.key),
            fmt::format("fetch '{0}' again; if the tensor belongs to the checkpoint, add it to 'weight_map' in '{0}'",
                        index_name));
  }
}

std::string odd_total_size(const ShardIndex& index, const std::vector<OpenedShard>& shards) {
  if (!index.metadata.is_object() || !index.metadata.contains("total_size")) return "";
  const Json& said = index.metadata["total_size"];
  uint64_t bytes = 0;
  for (const OpenedShard& shard : shards)
    for (const TensorInfo& tensor : shard.manifest->tensors()) bytes += static_cast<uint64_t>(data_bytes(tensor));
  if (said.is_number() && said == bytes) return "";
  return fmt::format("the index says that its tensors have {} bytes (total_size); they have {}", said.dump(), bytes);
}

}  // namespace remap::formats
