#include "formats/torch_listing.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/pickle_scalars.h"
#include "formats/pickle_text.h"
#include "formats/torch_metadata.h"
#include "formats/torch_structure.h"

namespace remap::formats {
namespace {

// Compares indices of listed tensors with keys.
struct KeyOrder {
  const std::vector<ListedTensor>& tensors;
  bool operator()(size_t i, const std::string& key) const { return tensors[i].key < key; }
  bool operator()(const std::string& key, size_t i) const { return key < tensors[i].key; }
};

// Tensors, under every path that leads to them; then what modules hold beside their state dicts, and nothing has led to
// yet.
class TensorWalk {
 public:
  TensorWalk(TorchStructure& structure, const Limits& limits)
      : structure_(structure), graph_(structure.graph()), meanings_(structure.meanings()), limits_(limits) {}

  void run() {
    if (structure_.facts(graph_.root()).tensors == 0) return;
    // Values shared between containers are listed once a path. What a pickle backs with bytes of its own stays far
    // below this.
    uint64_t budget = 32 * graph_.size_bytes() + (64u << 10);
    const auto spend = [&](uint64_t cost) {
      if (tensors_.size() >= limits_.max_tensors)
        fail("limit-exceeded", fmt::format("more than {} tensors (max_tensors)", limits_.max_tensors));
      if (cost > budget)
        fail("limit-exceeded",
             fmt::format("values that are shared stand for more tensors ({} and on) than a pickle of {} bytes may list",
                         tensors_.size(), graph_.size_bytes()));
      budget -= cost;
    };
    std::vector<bool> on_path(graph_.size()), walked(graph_.size());
    std::vector<Step> steps;
    std::deque<Unsaved> unsaved;
    bool saved = true;
    std::string path;
    const auto list = [&](PickleRef ref, DecodedTensor tensor) {
      spend(path.size() + 64);
      listed_.push_back(ref);
      tensors_.push_back({path, std::move(tensor)});
    };
    const auto visit = [&](PickleRef ref) {
      const PickleView view = structure_.view_of(ref);
      const bool is_tensor = view.meaning == Meaning::tensor;
      if (on_path[view.ref] && structure_.contents().arrays_only)
        return list(view.ref, UnreadableTensor{"a container that holds itself"});
      if (on_path[view.ref] || (!saved && walked[view.ref])) return;
      walked[view.ref] = true;
      if (is_tensor)
        list(view.ref, structure_.tensor(view));
      else if (structure_.facts(view.ref).own)
        list(view.ref, made_of_arguments(view));
      if (is_tensor && structure_.facts(ref).tensors == 1) return;
      uint64_t cost = 1;
      std::vector<NamedEntry> entries, others;
      if (!is_tensor || structure_.is_read(view)) entries = tensor_entries(view, cost, others);
      if (ref != view.ref && structure_.facts(ref).tensors > structure_.facts(view.ref).tensors)
        for (const PickleRef state : structure_.states_of(ref)) add_attributes(state, entries, cost);
      std::erase_if(entries, [&](const NamedEntry& entry) { return structure_.facts(entry.value).tensors == 0; });
      on_path[view.ref] = true;
      steps.push_back({view.ref, std::move(entries), 0, path.size()});
      spend(cost);
      for (NamedEntry& entry : others) {
        if (structure_.facts(entry.value).tensors == 0) continue;
        spend(path.size() + 64);
        unsaved.push_back({path, std::move(entry)});
      }
    };
    const auto walk = [&](PickleRef from, bool is_root) {
      visit(from);
      while (!steps.empty()) {
        Step& step = steps.back();
        path.resize(step.path_bytes);
        if (step.next == step.entries.size()) {
          on_path[step.ref] = false;
          steps.pop_back();
          continue;
        }
        const NamedEntry& entry = step.entries[step.next++];
        extend(path, entry.key, !is_root || steps.size() > 1);
        visit(entry.value);
      }
    };
    walk(graph_.root(), true);
    saved = false;
    const size_t n_saved = tensors_.size();
    for (; !unsaved.empty(); unsaved.pop_front()) {
      const Unsaved next = std::move(unsaved.front());
      path = next.path;
      extend(path, next.entry.key, !path.empty());
      walk(next.entry.value, false);
    }
    if (const size_t n = tensors_.size() - n_saved; n > 0)
      unsaved_remark_ = fmt::format("{} not in the state dict of {} (a buffer that is not persistent, or an attribute)",
                                    n == 1 ? fmt::format("'{}' is", tensors_[n_saved].key)
                                           : fmt::format("{} tensors, such as '{}', are", n, tensors_[n_saved].key),
                                    n == 1 ? "its module" : "their modules");
  }

  std::vector<ListedTensor> tensors_;
  std::vector<PickleRef> listed_;  // the values that they are
  std::string unsaved_remark_;     // or ""

 private:
  struct Step {
    PickleRef ref;  // the container
    std::vector<NamedEntry> entries;
    size_t next = 0;
    size_t path_bytes;
  };
  struct Unsaved {
    std::string path;  // of the module
    NamedEntry entry;
  };

  [[noreturn]] void fail(const char* id, const std::string& message) const {
    throw Error(id, BytePlace{structure_.contents().origin.file, structure_.contents().origin.member, {}}, message);
  }

  // Those entries of a container that lead to tensors, a module's others in `unsaved`. `cost` grows by what was looked
  // at.
  std::vector<NamedEntry> tensor_entries(const PickleView& view, uint64_t& cost,
                                         std::vector<NamedEntry>& unsaved) const {
    std::vector<NamedEntry> out;
    const auto add_items = [&](const std::vector<PickleRef>& items) {
      cost += items.size();
      for (size_t i = 0; i < items.size(); ++i)
        if (structure_.facts(items[i]).tensors > 0) out.push_back({fmt::to_string(i), items[i]});
    };
    if (view.meaning == Meaning::mapping) {
      out = meanings_.named_entries(view);
      for (const NamedEntry& entry : out) cost += 1 + entry.key.size();
    } else if (view.meaning == Meaning::sequence) {
      add_items(meanings_.items(view));
    } else if (view.meaning == Meaning::module) {
      auto module = meanings_.module(view.ref);
      cost += module.cost;
      out = std::move(module.tensors);
      std::move(module.modules.begin(), module.modules.end(), std::back_inserter(out));
      unsaved = std::move(module.unsaved);
    } else if (view.meaning == Meaning::record && graph_.is(view.ref, PickleKind::object)) {
      const PickleObject& object = graph_.object(view.ref);
      if (structure_.is_result(object)) return out;
      for (const PickleRef state : object.states) add_attributes(state, out, cost);
      add_items(object.items);
      const PickleView pairs{.meaning = Meaning::mapping, .ref = view.ref};
      if (!object.pairs.empty())
        for (NamedEntry& entry : meanings_.named_entries(pairs))
          cost += 1 + entry.key.size(), out.push_back(std::move(entry));
    }
    const bool attributes = view.row != nullptr && view.row->role == Role::attributes;
    if (view.meaning != Meaning::module && view.meaning != Meaning::record && !attributes)
      for (const PickleRef state : structure_.states_of(view.ref)) add_attributes(state, out, cost);
    std::erase_if(out, [&](const NamedEntry& entry) { return structure_.facts(entry.value).tensors == 0; });
    return out;
  }

  // A state is a dict of attributes, or (attributes, slots), or whatever the class makes of it.
  void add_attributes(PickleRef state, std::vector<NamedEntry>& out, uint64_t& cost) const {
    if (structure_.facts(state).tensors == 0) return;
    const PickleView view = meanings_.view(state);
    const bool pair = graph_.is(state, PickleKind::tuple) && graph_.items(state).size() == 2;
    if (pair && std::all_of(graph_.items(state).begin(), graph_.items(state).end(), [&](PickleRef part) {
          return graph_.is(part, PickleKind::dict) || graph_.is(part, PickleKind::none);
        })) {
      for (const PickleRef part : graph_.items(state))
        if (graph_.is(part, PickleKind::dict)) add_attributes(part, out, cost);
      return;
    }
    if (view.meaning != Meaning::mapping) return out.push_back({"state", state});
    for (NamedEntry& entry : meanings_.named_entries(view))
      cost += 1 + entry.key.size(), out.push_back(std::move(entry));
  }

  DecodedTensor made_of_arguments(const PickleView& view) const {
    if (!graph_.is(view.ref, PickleKind::object)) return UnreadableTensor{"an object of a kind that is not known"};
    const PickleObject& object = graph_.object(view.ref);
    const std::string name = one_word(meanings_.class_name(view.ref));
    return UnreadableTensor{structure_.is_result(object)
                                ? fmt::format("what the function {} makes{}, which is not known", name,
                                              structure_.contents().arrays_only ? "" : " of tensors")
                                : fmt::format("an object of the class {}, which is not known, made of tensors", name)};
  }

  void extend(std::string& path, const std::string& part, bool dot) const {
    if (part.size() > limits_.max_key_bytes || path.size() + 1 + part.size() > limits_.max_key_bytes)
      fail("limit-exceeded",
           fmt::format("the key of a tensor is longer than max_key_bytes ({}): '{}...'", limits_.max_key_bytes,
                       json_text(utf8_prefix(path.empty() ? part : path, 64))));
    if (has_surrogates(part))
      fail("pickle-bad-text", fmt::format("the key of a tensor is not UTF-8: '{}'", json_text(part)));
    if (dot) path += '.';
    path += part;
  }

  TorchStructure& structure_;
  const PickleGraph& graph_;
  const PickleMeanings& meanings_;
  const Limits& limits_;
};

// Sorts by key. One tensor that is found twice under one path is one; different ones get keys of their own.
std::vector<ListedTensor> with_keys_of_their_own(std::vector<ListedTensor> tensors,
                                                 const std::vector<PickleRef>& values,
                                                 std::vector<std::string>& remarks) {
  constexpr size_t kMaxEqualKeys = 20;
  std::vector<std::string> equal_keys;
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto key = [&](size_t i) -> const std::string& { return tensors[i].key; };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
  std::set<std::string> taken;
  std::vector<std::pair<size_t, std::string>> renamed;
  std::vector<size_t> kept;
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    std::set<PickleRef> seen;
    size_t number = 1;
    for (end = begin; end < order.size() && key(order[end]) == key(order[begin]); ++end) {
      const size_t i = order[end];
      if (!seen.insert(values[i]).second) continue;
      kept.push_back(i);
      if (seen.size() == 1) continue;
      const auto is_taken = [&](const std::string& name) {
        return taken.contains(name) || std::binary_search(order.begin(), order.end(), name, KeyOrder{tensors});
      };
      std::string name;
      do name = fmt::format("{}#{}", key(i), ++number);
      while (is_taken(name));
      taken.insert(name);
      renamed.emplace_back(i, std::move(name));
    }
  }
  for (auto& [i, name] : renamed) {
    if (equal_keys.size() < kMaxEqualKeys)
      equal_keys.push_back(
          fmt::format("'{}' is the key of more than one tensor: the next one is listed as '{}'", key(i), name));
    tensors[i].key = std::move(name);
  }
  if (renamed.size() > kMaxEqualKeys)
    equal_keys.push_back(fmt::format("… and {} more such keys", renamed.size() - kMaxEqualKeys));
  std::vector<ListedTensor> sorted;
  sorted.reserve(kept.size());
  for (const size_t i : kept) sorted.push_back(std::move(tensors[i]));
  if (!renamed.empty())
    std::sort(sorted.begin(), sorted.end(), [](const ListedTensor& a, const ListedTensor& b) { return a.key < b.key; });
  remarks.insert(remarks.end(), equal_keys.begin(), equal_keys.end());
  return sorted;
}

}  // namespace

TorchListing list_torch(TorchContents& contents, const Limits& limits) {
  TorchStructure structure(contents, limits);
  TensorWalk walk(structure, limits);
  if (structure.facts(structure.graph().root()).tensors > 0) walk.run();
  TorchListing listing;
  std::vector<std::string> equal_keys;
  listing.tensors = with_keys_of_their_own(std::move(walk.tensors_), walk.listed_, equal_keys);
  TorchMetadata metadata = torch_metadata(structure, listing.tensors, limits);
  listing.metadata = std::move(metadata.tree);
  listing.remarks = contents.remarks;
  for (const auto& lines : {structure.remarks(), equal_keys})
    listing.remarks.insert(listing.remarks.end(), lines.begin(), lines.end());
  if (!walk.unsaved_remark_.empty()) listing.remarks.push_back(walk.unsaved_remark_);
  if (metadata.cut) listing.remarks.push_back("the metadata is longer than the limits allow and was cut");
  return listing;
}

void name_bare_tensor(TorchListing& listing, const std::string& file) {
  if (listing.tensors.size() != 1 || !listing.tensors.front().key.empty()) return;
  const std::string name = std::filesystem::path(file).stem().string();
  listing.tensors.front().key = name.empty() || !is_utf8(name) ? "tensor" : name;
}

}  // namespace remap::formats
