#include "formats/array_tree.h"

#include <filesystem>

#include <fmt/format.h>

#include "base/mapped_file.h"
#include "base/text.h"
#include "formats/flax_leaves.h"
#include "formats/folder_files.h"
#include "formats/json_text.h"
#include "formats/limit.h"
#include "formats/t5x_source.h"
#include "formats/unread_kinds.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_tree(const std::string& file, const std::string& message) {
  throw Error("orbax-tree", BytePlace{file, {}, {}}, message,
              "the file is damaged or was not copied completely; fetch it again");
}

void add(ArrayTree& tree, const std::string& name, const std::string& key, const Limits& limits) {
  check_limit(key.size(), limits.max_key_bytes, "max_key_bytes", BytePlace{tree.file, {}, {}},
              "bytes of a leaf's path");
  check_limit(tree.keys.size() + 1, limits.max_tensors, "max_tensors", BytePlace{tree.file, {}, {}}, "leaves");
  const auto [it, is_new] = tree.keys.emplace(name, key);
  if (!is_new && it->second != key)
    fail_tree(tree.file,
              fmt::format("two leaves of the tree have the array '{}': '{}' and '{}'", name, it->second, key));
}

// {"tree_metadata": {"('a', 'b')": {"key_metadata": [{"key": "a", "key_type": 2}, …], "value_metadata": {…}}}}
void read_json_tree(ArrayTree& tree, const Json& root, const Limits& limits) {
  if (!root.is_object() || !root.contains("tree_metadata") || !root["tree_metadata"].is_object())
    fail_tree(tree.file, "there is no object 'tree_metadata'");
  tree.leaves_out_fill = root.value("store_array_data_equal_to_fill_value", Json(true)) == false;
  for (const auto& [text, leaf] : root["tree_metadata"].items()) {
    const auto damaged = [&] { fail_tree(tree.file, fmt::format("the leaf {} has no list of keys", printable(text))); };
    if (!leaf.is_object() || !leaf.contains("key_metadata") || !leaf["key_metadata"].is_array()) damaged();
    std::string name, key;
    for (const Json& part : leaf["key_metadata"]) {
      if (!part.is_object() || !part.contains("key")) damaged();
      const Json& value = part["key"];
      if (!value.is_string() && !value.is_number_integer()) damaged();
      const std::string shown = value.is_string() ? value.get<std::string>() : value.dump();
      const bool first = &part == &leaf["key_metadata"].front();
      name += first ? shown : "." + shown;
      key += first ? shown : "/" + shown;
    }
    if (name.empty()) continue;  // a tree that is one leaf
    const Json& value = leaf.contains("value_metadata") ? leaf["value_metadata"] : leaf;
    if (!value.is_object() || value.value("skip_deserialize", Json(false)) == true) continue;
    const Json type = value.value("value_type", Json(""));
    if (type == "string" || type == "None" || type == "Dict" || type == "List") continue;
    add(tree, name, key, limits);
    tree.required.push_back(name);
  }
}

// A tree of "PLACEHOLDER://a.b.w".
void read_msgpack_tree(ArrayTree& tree, const MappedFile& file, const Limits& limits) {
  const MsgpackNode root = parse_msgpack(file.text(), file.path(), 0, limits);
  std::vector<FlaxLeaf> leaves;
  collect_flax_leaves(
      root, "", '/', file.path(), limits, [](const std::string&) { return true; }, leaves);
  for (const FlaxLeaf& leaf : leaves)
    if (const auto* array = std::get_if<ArrayFolder>(&leaf.value)) add(tree, array->folder, leaf.key, limits);
}

}  // namespace

ArrayTree read_array_tree(const std::string& folder, const Limits& limits, std::vector<FileRead>& read) {
  ArrayTree tree;
  const std::string json = (fs::path(folder) / kOrbaxTree).string();
  const std::string msgpack = (fs::path(folder) / "checkpoint").string();
  if (is_file(json)) {
    tree.found = true;
    tree.file = json;
    read_json_tree(tree, parse_json(read_text_file(json, limits.max_index_bytes, &read), {json, "orbax-tree"}), limits);
  } else if (is_file(msgpack)) {
    const MappedFile file(msgpack);
    if (!looks_like_msgpack_map(file.bytes())) return tree;
    check_limit(file.size(), limits.max_index_bytes, "max_index_bytes", BytePlace{msgpack, {}, {}}, "bytes of a tree");
    tree.found = true;
    tree.file = msgpack;
    read.push_back({msgpack, file.stamp()});
    file.read([&] { return read_msgpack_tree(tree, file, limits), true; });
  }
  return tree;
}

}  // namespace remap::formats
