// Members of JSON objects of any size. Json keeps an object's members in a list and looks a key up from its begin, so
// that an object filled, merged or emptied key by key takes time in the square of its size. Private to the engine.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/key_index.h"
#include "remap/metadata.h"

namespace remap {

// At the end, without a look for an equal key: the caller knows that there is none.
inline Json& append_member(Json::object_t& object, std::string key, Json value) {
  return object.Json::object_t::Container::emplace_back(std::move(key), std::move(value)).second;
}
inline Json& append_member(Json& object, std::string key, Json value) {
  return append_member(object.get_ref<Json::object_t&>(), std::move(key), std::move(value));
}

// The members of an object by their keys. `Object` is Json or const Json, and an object; nothing else adds to it or
// takes from it meanwhile.
template <typename Object>
class JsonMembers {
  using Members = std::conditional_t<std::is_const_v<Object>, const Json::object_t, Json::object_t>;

 public:
  explicit JsonMembers(Object& object) : members_(object.template get_ref<Members&>()) {
    index_.reserve(members_.size());
    for (size_t i = 0; i < members_.size(); ++i) index_.add(member(i).first, i, key_of());
  }
  // Null if there is none.
  Object* find(std::string_view key) const {
    const size_t at = index_.find(key, key_of());
    return at == KeyIndex::npos ? nullptr : &member(at).second;
  }
  // In the place of the member that has the key, else at the end.
  void set(const std::string& key, Json value) {
    if (const auto [at, fresh] = index_.add(key, members_.size(), key_of(key)); fresh)
      append_member(members_, key, std::move(value));
    else
      member(at).second = std::move(value);
  }

 private:
  auto& member(size_t i) const { return *(members_.begin() + static_cast<std::ptrdiff_t>(i)); }
  // `next` is the key of the member that comes next.
  auto key_of(std::string_view next = {}) const {
    return [this, next](size_t i) -> std::string_view { return i < members_.size() ? member(i).first : next; };
  }

  Members& members_;
  KeyIndex index_;
};

// Takes out the members for which drop(key, value) is true; it is asked once of each, in order, and may change values.
template <typename Drop>
void erase_members(Json& object, const Drop& drop) {
  auto& members = object.get_ref<Json::object_t&>();
  std::vector<bool> dropped;
  bool any = false;
  for (auto& [key, value] : members) {
    dropped.push_back(drop(key, value));
    any = any || dropped.back();
  }
  if (!any) return;
  Json::object_t kept;
  size_t i = 0;
  for (auto& [key, value] : members)
    if (!dropped[i++]) append_member(kept, key, std::move(value));
  members.swap(kept);
}

// Objects in objects, filled by paths. What stands at a place stays there.
class JsonTree {
 public:
  JsonTree() { nodes_.emplace_back(); }
  // Nothing is placed where another value stands, or below one that is neither an object nor null.
  void place(const std::vector<std::string>& path, Json value);
  Json take();  // the whole; the tree is empty afterwards

 private:
  struct Node {
    std::string key;
    bool is_open = true;  // an object whose members are nodes; else `value` is all there is
    Json value = {};
    std::vector<size_t> members = {};
    KeyIndex index = {};
  };
  // The member `key` of an open node, made if there is none; whether it was made.
  std::pair<size_t, bool> member(size_t parent, const std::string& key);
  bool open(size_t node);  // false: it is not an object

  std::deque<Node> nodes_;  // after the nodes that they are members of
};

}  // namespace remap
