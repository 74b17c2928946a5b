#include "formats/torch_metadata.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/json_members.h"
#include "formats/pickle_scalars.h"
#include "formats/pickle_text.h"

namespace remap::formats {
namespace {

class MetadataWriter {
 public:
  MetadataWriter(TorchStructure& structure, const std::vector<ListedTensor>& tensors, const Limits& limits)
      : structure_(structure),
        graph_(structure.graph()),
        meanings_(structure.meanings()),
        tensors_(tensors),
        limits_(limits),
        nodes_left_(limits.max_metadata_nodes),
        text_left_(16 * graph_.size_bytes() + (1u << 20)),
        on_path_(graph_.size()) {}

  TorchMetadata run() {
    Json root = tree(graph_.root(), 0, true);
    if (!root.is_object()) root = Json::object({{"$root", std::move(root)}});
    return {std::move(root), cut_};
  }

 private:
  static Json marker(const char* name, Json value = true) {
    Json out = Json::object();
    out[name] = std::move(value);
    return out;
  }

  // `listed`: tensors at this path are in the manifest. Depth is bounded by max_metadata_depth, and so is the
  // recursion.
  Json tree(PickleRef ref, int depth, bool listed) {
    if (nodes_left_ == 0 || text_left_ == 0) {
      cut_ = true;
      return marker("$deep");
    }
    --nodes_left_;
    const PickleView view = structure_.view_of(ref);
    if (view.meaning == Meaning::scalar) return scalar(view);
    if (view.meaning == Meaning::tensor) return tensor_tree(view, depth, listed);
    if (on_path_[view.ref]) return marker("$cycle");
    if (depth >= limits_.max_metadata_depth) return marker("$deep");
    on_path_[view.ref] = true;
    Json out = container_tree(view, structure_.facts(ref), depth, listed);
    on_path_[view.ref] = false;
    return out;
  }

  // A long text may be named many times: what the tree repeats is bounded.
  bool spend_text(uint64_t bytes) {
    cut_ |= bytes > text_left_;
    text_left_ -= std::min(bytes, text_left_);
    return text_left_ > 0;
  }

  Json scalar(const PickleView& view) {
    PickleRef text = view.ref;
    if (view.row != nullptr && view.row->role == Role::encoded) text = graph_.argument(graph_.object(view.ref), 0);
    const bool has_text = graph_.is(text, PickleKind::text) || graph_.is(text, PickleKind::big_integer);
    if (!spend_text(has_text ? graph_.text(text).size() : 0)) return marker("$deep");
    return scalar_json(meanings_, view);
  }

  Json container_tree(const PickleView& view, const TorchStructure::Facts& facts, int depth, bool listed) {
    const bool only_tensors = facts.tensors > 0 && !facts.others;
    switch (view.meaning) {
      case Meaning::mapping:
        if (only_tensors) return marker("$tensors", facts.tensors);
        return Json(members(meanings_.named_entries(view), depth, listed));
      case Meaning::sequence:
        if (only_tensors) return marker("$tensors", facts.tensors);
        return elements(meanings_.items(view), depth, listed);
      case Meaning::module: {
        auto module = meanings_.module(view.ref);
        nodes_left_ -= std::min<uint64_t>(nodes_left_, module.cost);
        Json::object_t out;
        append_member(out, "$module", json_text(meanings_.class_name(view.ref)));
        for (auto& [key, value] : members(module.attributes, depth, listed)) append_member(out, key, std::move(value));
        for (auto& [key, value] : members(module.modules, depth, listed)) append_member(out, key, std::move(value));
        return Json(std::move(out));
      }
      default: return record(view, depth);
    }
  }

  // While it lives, path_ is that of a member.
  class Below {
   public:
    Below(std::string& path, std::string_view part, int depth) : path_(path), size_(path.size()) {
      if (depth > 0) path_ += '.';
      path_ += part;
    }
    Below(const Below&) = delete;
    Below& operator=(const Below&) = delete;
    ~Below() { path_.resize(size_); }

   private:
    std::string& path_;
    size_t size_;
  };

  Json member(PickleRef ref, std::string_view part, int depth, bool listed) {
    if (!listed) return tree(ref, depth + 1, false);
    const Below below(path_, part, depth);
    return tree(ref, depth + 1, true);
  }

  Json::object_t members(const std::vector<NamedEntry>& entries, int depth, bool listed) {
    Json::object_t out;
    out.reserve(entries.size());
    std::set<std::string_view> seen;  // 1 and "1" are different in the pickle, but not here
    for (const NamedEntry& entry : entries) {
      if (nodes_left_ == 0 || !spend_text(entry.key.size())) break;
      std::string key = json_text(entry.key);
      if (seen.contains(key)) continue;
      append_member(out, std::move(key), member(entry.value, entry.key, depth, listed));
      seen.insert(out.back().first);  // stays in place: the room is reserved
    }
    return out;
  }

  Json elements(const std::vector<PickleRef>& items, int depth, bool listed) {
    Json::array_t out;
    out.reserve(std::min<uint64_t>(items.size(), nodes_left_ + 1));
    for (size_t i = 0; i < items.size(); ++i) {
      const bool last = nodes_left_ == 0;
      out.push_back(member(items[i], fmt::format_int(i).c_str(), depth, listed));
      if (last) break;
    }
    return Json(std::move(out));
  }

  Json record(const PickleView& view, int depth) {
    if (!graph_.is(view.ref, PickleKind::object))
      return marker("$object", graph_.is(view.ref, PickleKind::persistent) ? "torch.Storage" : "unknown");
    const PickleObject& object = graph_.object(view.ref);
    Json::object_t out;
    out.reserve(4);
    append_member(out, "$object", json_text(meanings_.class_name(view.ref)));
    if (!graph_.items(object.arguments).empty())
      append_member(out, "args", elements(graph_.items(object.arguments), depth, false));
    if (object.keywords != kNoValue) append_member(out, "kwargs", tree(object.keywords, depth + 1, false));
    if (object.states.size() == 1)
      append_member(out, "state", tree(object.states[0], depth + 1, false));
    else if (!object.states.empty())
      append_member(out, "states", elements(object.states, depth, false));
    if (!object.items.empty()) append_member(out, "items", elements(object.items, depth, false));
    if (!object.pairs.empty()) {
      const PickleView pairs{.meaning = Meaning::mapping, .ref = view.ref};
      append_member(out, "entries", Json(members(meanings_.named_entries(pairs), depth, false)));
    }
    return Json(std::move(out));
  }

  Json tensor_tree(const PickleView& view, int depth, bool listed) {
    static constexpr int64_t kShownElements = 1024;
    const auto* spec = std::get_if<TensorSpec>(&structure_.tensor(view));
    if (spec == nullptr) {
      if (structure_.is_part(view) && listed && is_listed(path_)) return marker("$tensor", path_);
      if (depth >= limits_.max_metadata_depth || on_path_[view.ref]) return marker("$deep");
      on_path_[view.ref] = true;
      Json out = record(view, depth);
      on_path_[view.ref] = false;
      return out;
    }
    const int64_t count = element_count(spec->shape);
    if (spec->array && count <= kShownElements && static_cast<uint64_t>(count) <= nodes_left_) {
      nodes_left_ -= static_cast<uint64_t>(count);
      return array_tree(*spec, structure_.contents().storages[spec->storage].memory, 0);
    }
    if (listed && is_listed(path_)) return marker("$tensor", path_);
    Json out = marker("$object", "torch.Tensor");
    out["dtype"] = std::string(long_name(spec->dtype));
    out["shape"] = spec->shape;
    return out;
  }

  bool is_listed(const std::string& key) const {
    const auto it = std::lower_bound(tensors_.begin(), tensors_.end(), key,
                                     [](const ListedTensor& t, const std::string& k) { return t.key < k; });
    return it != tensors_.end() && it->key == key;
  }

  static Json array_tree(const TensorSpec& spec, const std::byte* data, size_t dim) {
    if (dim == spec.shape.size()) return element_json(spec.dtype, data);
    Json out = Json::array();
    if (element_count(spec.shape) == 0) return out;
    for (int64_t i = 0; i < spec.shape[dim]; ++i)
      out.push_back(array_tree(spec, data + i * spec.strides[dim] * size_bytes(spec.dtype), dim + 1));
    return out;
  }

  TorchStructure& structure_;
  const PickleGraph& graph_;
  const PickleMeanings& meanings_;
  const std::vector<ListedTensor>& tensors_;
  const Limits& limits_;
  uint64_t nodes_left_, text_left_;
  std::string path_;  // of the value that is being written: the key that a tensor there has in the manifest
  std::vector<bool> on_path_;
  bool cut_ = false;
};

}  // namespace

TorchMetadata torch_metadata(TorchStructure& structure, const std::vector<ListedTensor>& tensors,
                             const Limits& limits) {
  return MetadataWriter(structure, tensors, limits).run();
}

}  // namespace remap::formats
