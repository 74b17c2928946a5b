#include "base/json_members.h"

#include <tuple>

namespace remap {

std::pair<size_t, bool> JsonTree::member(size_t parent, const std::string& key) {
  Node& node = nodes_[parent];
  const auto key_of = [&](size_t i) -> std::string_view {
    return i < node.members.size() ? nodes_[node.members[i]].key : key;
  };
  const auto [at, fresh] = node.index.add(key, node.members.size(), key_of);
  if (!fresh) return {node.members[at], false};
  node.members.push_back(nodes_.size());
  nodes_.push_back({.key = key});
  return {nodes_.size() - 1, true};
}

// The members of an object that was placed as a whole become nodes once one is placed among them.
bool JsonTree::open(size_t node) {
  if (nodes_[node].is_open) return true;
  Json value = std::move(nodes_[node].value);
  if (!value.is_object() && !value.is_null()) {
    nodes_[node].value = std::move(value);
    return false;
  }
  nodes_[node].is_open = true;
  if (value.is_null()) return true;
  for (auto& [key, inner] : value.get_ref<Json::object_t&>()) {
    Node& made = nodes_[member(node, key).first];
    made.is_open = false;
    made.value = std::move(inner);
  }
  return true;
}

void JsonTree::place(const std::vector<std::string>& path, Json value) {
  size_t at = 0;
  bool fresh = false;
  for (const std::string& key : path) {
    if (!open(at)) return;
    std::tie(at, fresh) = member(at, key);
  }
  if (!fresh) return;
  nodes_[at].is_open = false;
  nodes_[at].value = std::move(value);
}

Json JsonTree::take() {
  for (size_t i = nodes_.size(); i-- > 0;) {
    Node& node = nodes_[i];
    if (!node.is_open) continue;
    Json::object_t members;
    members.reserve(node.members.size());
    for (const size_t m : node.members) append_member(members, std::move(nodes_[m].key), std::move(nodes_[m].value));
    node.value = Json(std::move(members));
  }
  Json whole = std::move(nodes_.front().value);
  nodes_.clear();
  nodes_.emplace_back();
  return whole;
}

}  // namespace remap
