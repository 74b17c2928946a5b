// The index of a checkpoint in several files, as Hugging Face writes it beside them:
//
//   {"metadata": {"total_size": bytes}, "weight_map": {key: file, …}}
//
// A file may be of any kind that holds tensors. What the index says and what the files hold must agree, both ways.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "remap/manifest.h"
#include "remap/metadata.h"

namespace remap::formats {

inline constexpr std::string_view kIndexEnding = ".index.json";

struct ShardIndex {
  std::string file;                                        // the index itself
  Json metadata;                                           // its "metadata"; null if there is none
  std::map<std::string, std::vector<std::string>> shards;  // by file name: the keys placed in it, sorted
};

// Whether a JSON file is an index.
bool is_shard_index(const Json& root);

// Throws Error "shard-index" for what is not an index, and for names that are not files of the index's own folder.
ShardIndex parse_shard_index(const Json& root, const std::string& file);

// A shard of the index: its name in the folder, and what it holds.
struct OpenedShard {
  std::string name;
  const Manifest* manifest = nullptr;
};
// Throws Error "shard-index" if a shard lacks a key that the index places in it, or holds one that the index does not.
// `shards` are all of the index, in its order.
void check_shards(const ShardIndex& index, const std::string& folder, const std::vector<OpenedShard>& shards);

// Says if the index's total_size is not that of its tensors, which is common and harmless; "" if it is, or is not said.
std::string odd_total_size(const ShardIndex& index, const std::vector<OpenedShard>& shards);

}  // namespace remap::formats
