#include "formats/torch_listing.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <numeric>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "formats/pickle_scalars.h"
#include "formats/pickle_text.h"

namespace remap::formats {
namespace {

// Appends to an object without the search for an equal key that Json's own functions make.
void append_member(Json::object_t& object, std::string key, Json value) {
  using Members = std::vector<std::pair<const std::string, Json>>;
  static_cast<Members&>(object).emplace_back(std::move(key), std::move(value));
}

// Compares indices of listed tensors with keys.
struct KeyOrder {
  const std::vector<ListedTensor>& tensors;
  bool operator()(size_t i, const std::string& key) const { return tensors[i].key < key; }
  bool operator()(const std::string& key, size_t i) const { return key < tensors[i].key; }
};

class Lister {
 public:
  Lister(TorchContents& contents, const Limits& limits)
      : contents_(contents),
        limits_(limits),
        graph_(contents.graph),
        meanings_(graph_),
        decoder_(contents, meanings_, limits),
        facts_(graph_.size()) {}

  TorchListing run() {
    analyse(graph_.root());
    list_tensors();
    part_equal_keys();
    write_metadata();
    write_remarks();
    return std::move(listing_);
  }

 private:
  // --- first pass: what is under each value; each is looked at once ---
  enum class State : uint8_t { unseen, open, done };
  struct Facts {
    uint32_t tensors = 0;  // it and below it, once a path; saturates
    bool own = false;      // of a record: tensors are among its arguments, so that it is listed itself
    bool others = false;   // anything but tensors and empty containers
    State state = State::unseen;
  };
  struct Children {
    std::vector<PickleRef> refs;
    size_t n_own = 0;    // the first ones: their tensors make the value itself one that is not read
    size_t n_quiet = 0;  // the last ones: not part of what the value is taken for, only their tensors count
  };
  struct Frame {
    PickleRef ref;
    Children children;
    size_t next = 0;
  };

  void analyse(PickleRef root) {
    std::vector<Frame> stack;
    enter(root, stack);
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.next < frame.children.refs.size()) {
        enter(frame.children.refs[frame.next++], stack);
        continue;
      }
      close(frame);
      stack.pop_back();
    }
  }

  void enter(PickleRef ref, std::vector<Frame>& stack) {
    Facts& facts = facts_[ref];
    if (facts.state != State::unseen) return;
    facts.state = State::done;
    const PickleView view = view_of(ref);
    if (view.guessed != kNoValue) remark(view.guessed, view.guess);
    if (view.ref != ref &&
        view.meaning != Meaning::scalar) {  // a wrapper: what it wraps is looked at once, not once a wrapper
      facts.state = State::open;
      Children children{{view.ref}};
      add_states(ref, children);
      stack.push_back({ref, std::move(children)});
      return;
    }
    switch (view.meaning) {
      case Meaning::scalar: facts.others = true; return;
      case Meaning::tensor:
        facts.tensors = 1;
        facts.others = !is_read(view);
        if (facts.others) return;  // it stands for all it is made of
        break;
      case Meaning::record: remark_record(view); break;
      default: break;
    }
    Children children = children_of(view);
    if (children.refs.empty()) {
      facts.others |= view.meaning == Meaning::record;
      return;
    }
    facts.state = State::open;
    stack.push_back({ref, std::move(children)});
  }

  // Adds up the children. One that is still open contains this one: a cycle, whose tensors are counted there.
  void close(const Frame& frame) {
    Facts& facts = facts_[frame.ref];
    const PickleView view = view_of(frame.ref);
    const Meaning meaning =
        view.ref == frame.ref ? view.meaning : Meaning::mapping;  // a wrapper passes on what it wraps
    const Children& children = frame.children;
    uint64_t tensors = facts.tensors;
    for (size_t i = 0; i < children.refs.size(); ++i) {
      const Facts& child = facts_[children.refs[i]];
      if (i >= children.n_own)
        tensors += child.tensors;
      else if (child.tensors > 0 && !facts.own)
        facts.own = true, ++tensors;
      if (i + children.n_quiet < children.refs.size()) facts.others |= child.others || child.state == State::open;
    }
    facts.tensors = static_cast<uint32_t>(std::min<uint64_t>(tensors, std::numeric_limits<uint32_t>::max()));
    facts.others |= meaning == Meaning::record || meaning == Meaning::module;
    facts.state = State::done;
  }

  // The values an object holds are looked at through the containers that hold them, which may be shared: the work stays
  // linear.
  Children children_of(const PickleView& view) const {
    Children out;
    auto& refs = out.refs;
    const PickleKind kind = graph_.kind(view.ref);
    if (kind == PickleKind::dict) {
      const auto& pairs = graph_.items(view.ref);
      for (size_t i = 1; i < pairs.size(); i += 2) refs.push_back(pairs[i]);
      return out;
    }
    if (kind != PickleKind::object) {
      if (view.meaning == Meaning::sequence) refs = graph_.items(view.ref);
      return out;
    }
    const PickleObject& object = graph_.object(view.ref);
    const bool inert = view.row != nullptr && view.row->role == Role::inert;
    if (inert) return out;
    if (view.meaning == Meaning::module) {
      refs = object.states;
      return out;
    }
    if (view.meaning == Meaning::tensor) {
      add_states(view.ref, out);
      return out;
    }
    const bool attributes = view.row != nullptr && view.row->role == Role::attributes,
               record = view.meaning == Meaning::record;
    if (record) {
      refs.push_back(object.arguments);
      if (object.keywords != kNoValue) refs.push_back(object.keywords);
      out.n_own = refs.size();
    } else if (const PickleRef first = meanings_.initial(object, view.row); first != kNoValue && !attributes) {
      refs.push_back(first);
    }
    if (record || attributes) refs.insert(refs.end(), object.states.begin(), object.states.end());
    refs.insert(refs.end(), object.items.begin(), object.items.end());
    for (size_t i = 1; i < object.pairs.size(); i += 2) refs.push_back(object.pairs[i]);
    if (record && is_result(object)) out.n_own = refs.size();
    if (!record && !attributes) add_states(view.ref, out);
    return out;
  }

  // What a function that is not known makes, as opposed to an instance of a class. Classes' names start with a capital.
  bool is_result(const PickleObject& object) const {
    if (object.made_by_new || meanings_.class_of(object) != object.callable ||
        !graph_.is(object.callable, PickleKind::global))
      return false;
    const std::string_view name = graph_.global(object.callable).name;
    const char first = name.substr(name.rfind('.') + 1).empty() ? 'a' : name.substr(name.rfind('.') + 1).front();
    return first < 'A' || first > 'Z';
  }

  // Where the attributes of a value are kept that is not a record: of a container, a tensor or a parameter.
  std::vector<PickleRef> states_of(PickleRef ref) const {
    std::vector<PickleRef> states;
    if (!graph_.is(ref, PickleKind::object)) return states;
    const PickleObject& object = graph_.object(ref);
    states = object.states;
    const KnownRow* row = meanings_.row_of_callable(object.callable);
    const bool in_arguments =
        row != nullptr && (row->role == Role::tensor_from_type || row->name.ends_with("_with_state"));
    if (row != nullptr && (row->role == Role::array || row->role == Role::state_field))
      states.clear();  // their content
    if (const PickleRef state = in_arguments ? graph_.argument(object, 3) : kNoValue; state != kNoValue)
      states.push_back(state);
    return states;
  }
  void add_states(PickleRef ref, Children& children) const {
    const auto states = states_of(ref);
    children.n_quiet = states.size();
    children.refs.insert(children.refs.end(), states.begin(), states.end());
  }

  // A storage that a container holds stands alone: no tensor views it.
  PickleView view_of(PickleRef ref) const {
    PickleView view = meanings_.view(ref);
    if (!graph_.is(view.ref, PickleKind::persistent)) return view;
    const PickleRef id = graph_.persistent_id(view.ref);
    if (graph_.is(id, PickleKind::tuple) && !graph_.items(id).empty() &&
        meanings_.text(graph_.items(id)[0]) == "storage")
      view.meaning = Meaning::tensor;
    return view;
  }

  const DecodedTensor& tensor(const PickleView& view) {
    const auto known = specs_.find(view.ref);
    return known != specs_.end() ? known->second : specs_.emplace(view.ref, decoder_.decode(view)).first->second;
  }
  bool is_read(const PickleView& view) { return std::holds_alternative<TensorSpec>(tensor(view)); }

  // --- remarks ---
  // Counted by class, named at the end: names are long and objects are many.
  void remark(PickleRef object, std::string_view text) {
    const bool named = graph_.is(object, PickleKind::object);
    ++remarks_[{named ? meanings_.class_of(graph_.object(object)) : kNoValue, text}];
  }
  void remark_record(const PickleView& view) {
    if (view.row != nullptr && view.row->role == Role::inert) return;
    remark(view.ref,
           view.row == nullptr ? "not known, kept as a record" : "not in a form that is known, kept as a record");
  }
  void write_remarks() {
    listing_.remarks = contents_.remarks;
    std::map<std::pair<std::string, std::string_view>, uint64_t> by_name;
    for (const auto& [what, count] : remarks_)
      by_name[{what.first == kNoValue ? "a value outside the pickle" : json_text(meanings_.global_name(what.first)),
               what.second}] += count;
    for (const auto& [what, count] : by_name)
      listing_.remarks.push_back(fmt::format("{} ({} times): {}", what.first, count, what.second));
    for (const auto& remark : equal_keys_) listing_.remarks.push_back(remark);
    if (!unsaved_.empty()) listing_.remarks.push_back(unsaved_);
    if (cut_) listing_.remarks.push_back("the metadata is longer than the limits allow and was cut");
  }

  // --- second pass: tensors, under every path that leads to them; then what modules hold beside their state dicts, and
  // nothing has led to yet ---
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
    throw Error(id, BytePlace{contents_.origin.file, contents_.origin.member, {}}, message);
  }

  // Those entries of a container that lead to tensors, a module's others in `unsaved`. `cost` grows by what was looked
  // at.
  std::vector<NamedEntry> tensor_entries(const PickleView& view, uint64_t& cost,
                                         std::vector<NamedEntry>& unsaved) const {
    std::vector<NamedEntry> out;
    const auto add_items = [&](const std::vector<PickleRef>& items) {
      cost += items.size();
      for (size_t i = 0; i < items.size(); ++i)
        if (facts_[items[i]].tensors > 0) out.push_back({fmt::to_string(i), items[i]});
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
      if (is_result(object)) return out;
      for (const PickleRef state : object.states) add_attributes(state, out, cost);
      add_items(object.items);
      const PickleView pairs{.meaning = Meaning::mapping, .ref = view.ref};
      if (!object.pairs.empty())
        for (NamedEntry& entry : meanings_.named_entries(pairs))
          cost += 1 + entry.key.size(), out.push_back(std::move(entry));
    }
    const bool attributes = view.row != nullptr && view.row->role == Role::attributes;
    if (view.meaning != Meaning::module && view.meaning != Meaning::record && !attributes)
      for (const PickleRef state : states_of(view.ref)) add_attributes(state, out, cost);
    std::erase_if(out, [&](const NamedEntry& entry) { return facts_[entry.value].tensors == 0; });
    return out;
  }

  // A state is a dict of attributes, or (attributes, slots), or whatever the class makes of it.
  void add_attributes(PickleRef state, std::vector<NamedEntry>& out, uint64_t& cost) const {
    if (facts_[state].tensors == 0) return;
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

  void list_tensors() {
    if (facts_[graph_.root()].tensors == 0) return;
    // Values shared between containers are listed once a path. What a pickle backs with bytes of its own stays far
    // below this.
    uint64_t budget = 32 * graph_.size_bytes() + (64u << 10);
    const auto spend = [&](uint64_t cost) {
      if (cost > budget || listing_.tensors.size() >= limits_.max_tensors)
        fail("limit-exceeded",
             fmt::format("values that are shared stand for more tensors ({} and on) than a pickle of {} bytes may list",
                         listing_.tensors.size(), graph_.size_bytes()));
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
      listing_.tensors.push_back({path, std::move(tensor)});
    };
    const auto visit = [&](PickleRef ref) {
      const PickleView view = view_of(ref);
      const bool is_tensor = view.meaning == Meaning::tensor;
      if (on_path[view.ref] || (!saved && walked[view.ref])) return;
      walked[view.ref] = true;
      if (is_tensor)
        list(view.ref, tensor(view));
      else if (facts_[view.ref].own)
        list(view.ref, made_of_arguments(view));
      if (is_tensor && facts_[ref].tensors == 1) return;
      uint64_t cost = 1;
      std::vector<NamedEntry> entries, others;
      if (!is_tensor || is_read(view)) entries = tensor_entries(view, cost, others);
      if (ref != view.ref && facts_[ref].tensors > facts_[view.ref].tensors)
        for (const PickleRef state : states_of(ref)) add_attributes(state, entries, cost);
      std::erase_if(entries, [&](const NamedEntry& entry) { return facts_[entry.value].tensors == 0; });
      on_path[view.ref] = true;
      steps.push_back({view.ref, std::move(entries), 0, path.size()});
      spend(cost);
      for (NamedEntry& entry : others) {
        if (facts_[entry.value].tensors == 0) continue;
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
    const size_t n_saved = listing_.tensors.size();
    for (; !unsaved.empty(); unsaved.pop_front()) {
      const Unsaved next = std::move(unsaved.front());
      path = next.path;
      extend(path, next.entry.key, !path.empty());
      walk(next.entry.value, false);
    }
    if (const size_t n = listing_.tensors.size() - n_saved; n > 0)
      unsaved_ = fmt::format("{} not in the state dict of {} (a buffer that is not persistent, or an attribute)",
                             n == 1 ? fmt::format("'{}' is", listing_.tensors[n_saved].key)
                                    : fmt::format("{} tensors, such as '{}', are", n, listing_.tensors[n_saved].key),
                             n == 1 ? "its module" : "their modules");
  }

  DecodedTensor made_of_arguments(const PickleView& view) const {
    if (!graph_.is(view.ref, PickleKind::object)) return UnreadableTensor{"an object of a kind that is not known"};
    const PickleObject& object = graph_.object(view.ref);
    const std::string name = one_word(meanings_.class_name(view.ref));
    return UnreadableTensor{is_result(object)
                                ? fmt::format("what the function {} makes of tensors, which is not known", name)
                                : fmt::format("an object of the class {}, which is not known, made of tensors", name)};
  }

  // Sorts by key. One tensor that is found twice under one path is one; different ones get keys of their own.
  void part_equal_keys() {
    std::vector<size_t> order(listing_.tensors.size());
    std::iota(order.begin(), order.end(), size_t{0});
    const auto key = [&](size_t i) -> const std::string& { return listing_.tensors[i].key; };
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
    std::set<std::string> taken;
    std::vector<std::pair<size_t, std::string>> renamed;
    std::vector<size_t> kept;
    for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
      std::set<PickleRef> seen;
      size_t number = 1;
      for (end = begin; end < order.size() && key(order[end]) == key(order[begin]); ++end) {
        const size_t i = order[end];
        if (!seen.insert(listed_[i]).second) continue;
        kept.push_back(i);
        if (seen.size() == 1) continue;
        const auto is_taken = [&](const std::string& name) {
          return taken.contains(name) ||
                 std::binary_search(order.begin(), order.end(), name, KeyOrder{listing_.tensors});
        };
        std::string name;
        do name = fmt::format("{}#{}", key(i), ++number);
        while (is_taken(name));
        taken.insert(name);
        renamed.emplace_back(i, std::move(name));
      }
    }
    for (auto& [i, name] : renamed) {
      if (equal_keys_.size() < kMaxEqualKeys)
        equal_keys_.push_back(
            fmt::format("'{}' is the key of more than one tensor: the next one is listed as '{}'", key(i), name));
      listing_.tensors[i].key = std::move(name);
    }
    if (renamed.size() > kMaxEqualKeys)
      equal_keys_.push_back(fmt::format("… and {} more such keys", renamed.size() - kMaxEqualKeys));
    std::vector<ListedTensor> sorted;
    sorted.reserve(kept.size());
    for (const size_t i : kept) sorted.push_back(std::move(listing_.tensors[i]));
    if (!renamed.empty())
      std::sort(sorted.begin(), sorted.end(),
                [](const ListedTensor& a, const ListedTensor& b) { return a.key < b.key; });
    listing_.tensors = std::move(sorted);
  }

  void extend(std::string& path, const std::string& part, bool dot) const {
    if (part.size() > limits_.max_key_bytes || path.size() + 1 + part.size() > limits_.max_key_bytes)
      fail("limit-exceeded",
           fmt::format("the key of a tensor is longer than max_key_bytes ({}): '{}...'", limits_.max_key_bytes,
                       json_text(path.empty() ? part.substr(0, 64) : path.substr(0, 64))));
    if (has_surrogates(part))
      fail("pickle-bad-text", fmt::format("the key of a tensor is not UTF-8: '{}'", json_text(part)));
    if (dot) path += '.';
    path += part;
  }

  // --- third pass: everything else, as a tree ---
  void write_metadata() {
    nodes_left_ = limits_.max_metadata_nodes;
    text_left_ = 16 * graph_.size_bytes() + (1u << 20);
    on_path_.assign(graph_.size(), false);
    Json root = tree(graph_.root(), "", 0, true);
    if (root.is_object())
      listing_.metadata = std::move(root);
    else
      listing_.metadata = Json::object({{"$root", std::move(root)}});
  }

  static Json marker(const char* name, Json value = true) {
    Json out = Json::object();
    out[name] = std::move(value);
    return out;
  }

  // `listed`: tensors at this path are in the manifest. Depth is bounded by max_metadata_depth, and so is the
  // recursion.
  Json tree(PickleRef ref, const std::string& path, int depth, bool listed) {
    if (nodes_left_ == 0 || text_left_ == 0) {
      cut_ = true;
      return marker("$deep");
    }
    --nodes_left_;
    const PickleView view = view_of(ref);
    if (view.meaning == Meaning::scalar) return scalar(view);
    if (view.meaning == Meaning::tensor) return tensor_tree(view, path, depth, listed);
    if (on_path_[view.ref]) return marker("$cycle");
    if (depth >= limits_.max_metadata_depth) return marker("$deep");
    on_path_[view.ref] = true;
    Json out = container_tree(view, facts_[ref], path, depth, listed);
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

  Json container_tree(const PickleView& view, const Facts& facts, const std::string& path, int depth, bool listed) {
    const bool only_tensors = facts.tensors > 0 && !facts.others;
    switch (view.meaning) {
      case Meaning::mapping:
        if (only_tensors) return marker("$tensors", facts.tensors);
        return Json(members(meanings_.named_entries(view), path, depth, listed));
      case Meaning::sequence:
        if (only_tensors) return marker("$tensors", facts.tensors);
        return elements(meanings_.items(view), path, depth, listed);
      case Meaning::module: {
        auto module = meanings_.module(view.ref);
        nodes_left_ -= std::min<uint64_t>(nodes_left_, module.cost);
        Json::object_t out;
        append_member(out, "$module", json_text(meanings_.class_name(view.ref)));
        for (auto& [key, value] : members(module.attributes, path, depth, listed))
          append_member(out, key, std::move(value));
        for (auto& [key, value] : members(module.modules, path, depth, listed))
          append_member(out, key, std::move(value));
        return Json(std::move(out));
      }
      default: return record(view, depth);
    }
  }

  static std::string child_path(const std::string& path, const std::string& part, int depth) {
    return depth == 0 ? part : path + "." + part;
  }

  Json::object_t members(const std::vector<NamedEntry>& entries, const std::string& path, int depth, bool listed) {
    Json::object_t out;
    out.reserve(entries.size());
    std::set<std::string_view> seen;  // 1 and "1" are different in the pickle, but not here
    for (const NamedEntry& entry : entries) {
      if (nodes_left_ == 0 || !spend_text(entry.key.size())) break;
      std::string key = json_text(entry.key);
      if (seen.contains(key)) continue;
      append_member(out, std::move(key),
                    tree(entry.value, listed ? child_path(path, entry.key, depth) : path, depth + 1, listed));
      seen.insert(out.back().first);  // stays in place: the room is reserved
    }
    return out;
  }

  Json elements(const std::vector<PickleRef>& items, const std::string& path, int depth, bool listed) {
    Json::array_t out;
    out.reserve(std::min<uint64_t>(items.size(), nodes_left_ + 1));
    for (size_t i = 0; i < items.size(); ++i) {
      const bool last = nodes_left_ == 0;
      out.push_back(tree(items[i], listed ? child_path(path, fmt::to_string(i), depth) : path, depth + 1, listed));
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
      append_member(out, "args", elements(graph_.items(object.arguments), {}, depth, false));
    if (object.keywords != kNoValue) append_member(out, "kwargs", tree(object.keywords, {}, depth + 1, false));
    if (object.states.size() == 1)
      append_member(out, "state", tree(object.states[0], {}, depth + 1, false));
    else if (!object.states.empty())
      append_member(out, "states", elements(object.states, {}, depth, false));
    if (!object.items.empty()) append_member(out, "items", elements(object.items, {}, depth, false));
    if (!object.pairs.empty()) {
      const PickleView pairs{.meaning = Meaning::mapping, .ref = view.ref};
      append_member(out, "entries", Json(members(meanings_.named_entries(pairs), {}, depth, false)));
    }
    return Json(std::move(out));
  }

  Json tensor_tree(const PickleView& view, const std::string& path, int depth, bool listed) {
    static constexpr int64_t kShownElements = 1024;
    const auto* spec = std::get_if<TensorSpec>(&tensor(view));
    if (spec == nullptr) {
      if (depth >= limits_.max_metadata_depth || on_path_[view.ref]) return marker("$deep");
      on_path_[view.ref] = true;
      Json out = record(view, depth);
      on_path_[view.ref] = false;
      return out;
    }
    const int64_t count = element_count(spec->shape);
    if (spec->array && count <= kShownElements && static_cast<uint64_t>(count) <= nodes_left_) {
      nodes_left_ -= static_cast<uint64_t>(count);
      return array_tree(*spec, contents_.storages[spec->storage].memory, 0);
    }
    if (listed && is_listed(path)) return marker("$tensor", path);
    Json out = marker("$object", "torch.Tensor");
    out["dtype"] = std::string(long_name(spec->dtype));
    out["shape"] = spec->shape;
    return out;
  }

  bool is_listed(const std::string& key) const {
    const auto it = std::lower_bound(listing_.tensors.begin(), listing_.tensors.end(), key,
                                     [](const ListedTensor& t, const std::string& k) { return t.key < k; });
    return it != listing_.tensors.end() && it->key == key;
  }

  static Json array_tree(const TensorSpec& spec, const std::byte* data, size_t dim) {
    if (dim == spec.shape.size()) return element_json(spec.dtype, data);
    Json out = Json::array();
    if (element_count(spec.shape) == 0) return out;
    for (int64_t i = 0; i < spec.shape[dim]; ++i)
      out.push_back(array_tree(spec, data + i * spec.strides[dim] * size_bytes(spec.dtype), dim + 1));
    return out;
  }

  TorchContents& contents_;
  const Limits& limits_;
  const PickleGraph& graph_;
  PickleMeanings meanings_;
  TensorDecoder decoder_;
  std::vector<Facts> facts_;
  std::unordered_map<PickleRef, DecodedTensor> specs_;
  std::map<std::pair<PickleRef, std::string_view>, uint64_t> remarks_;  // by class or function; kNoValue: none
  std::vector<PickleRef> listed_;                                       // the values that listing_.tensors are
  std::vector<std::string> equal_keys_;                                 // remarks
  std::string unsaved_;                                                 // a remark, or ""
  static constexpr size_t kMaxEqualKeys = 20;
  uint64_t nodes_left_ = 0, text_left_ = 0;
  std::vector<bool> on_path_;
  bool cut_ = false;
  TorchListing listing_;
};

}  // namespace

TorchListing list_torch(TorchContents& contents, const Limits& limits) { return Lister(contents, limits).run(); }

}  // namespace remap::formats
