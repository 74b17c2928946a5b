// Which tensors hold the same elements. First whole tensors, by hashes; then tensors that are parts of others: the hash of a part is
// the sum of its slices' hashes, so a part is found in the sums over windows of slices, whatever order its elements have.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "infer/keys.h"
#include "infer/names.h"
#include "infer/values.h"
#include "ops/cast.h"
#include "remap/values.h"

namespace remap::infer {
namespace {

constexpr size_t kMaxWindows = 200'000'000;  // sums looked up; beyond it, what is left is open

struct Whole {
  uint64_t hash;
  int64_t count;
  DType dtype;
  auto operator<=>(const Whole&) const = default;
};

struct Hit {
  size_t part;         // number of a needle
  int64_t begin, length;
};

class Search {
 public:
  explicit Search(const Problem& problem) : problem_(problem) {}

  Findings run() {
    read_all();
    match_whole();
    leave_shared_bytes();
    match_rearranged(false);
    match_parts();
    match_siblings();
    match_rearranged(true);
    finish();
    return std::move(findings_);
  }

 private:
  struct SourceTensor {
    Ref ref;
    std::map<DType, Print> prints;
    bool used = false;
  };
  struct TargetTensor {
    Print print;
    bool done = false;
    bool left = false;  // done with, but nothing was found: it stays open
  };

  const TensorInfo& info(const SourceTensor& s) const { return problem_.info(s.ref); }
  const TensorInfo& info(uint32_t t) const { return problem_.info(t); }
  const Source& source_of(const SourceTensor& s) const { return *problem_.sources[s.ref.source].source; }

  void read_all() {
    std::set<DType> wanted;
    for (const auto& tensor : problem_.target->manifest().tensors())
      if (tensor.unread == nullptr) wanted.insert(tensor.dtype);
    for (uint32_t s = 0; s < problem_.sources.size(); ++s) {
      const Source& source = *problem_.sources[s].source;
      for (uint32_t t = 0; t < source.manifest().size(); ++t) {
        SourceTensor one{{s, t}, {}, false};
        for (const DType dtype : wanted)
          if (source.manifest()[t].unread == nullptr && ops::cast_supported(dtype, source.manifest()[t].dtype))
            one.prints.emplace(dtype, print_of(source, t, dtype));
        sources_.push_back(std::move(one));
      }
    }
    for (uint32_t t = 0; t < problem_.target->manifest().size(); ++t) {
      const bool unread = info(t).unread != nullptr;
      targets_.push_back({unread ? Print{} : print_of(*problem_.target, t, info(t).dtype), unread, unread});
    }
  }

  // Elements that share bytes are looked for in whole tensors only.
  void leave_shared_bytes() {
    for (auto& s : sources_)
      if (is_sub_byte(info(s).dtype)) s.prints.clear();
    for (uint32_t t = 0; t < targets_.size(); ++t)
      if (!targets_[t].done && is_sub_byte(info(t).dtype)) targets_[t].done = targets_[t].left = true;
  }

  // ------------------------------------------------------------ whole tensors

  void match_whole() {
    std::map<std::pair<Whole, Shape>, std::pair<std::vector<size_t>, std::vector<uint32_t>>> same;
    for (uint32_t t = 0; t < targets_.size(); ++t)
      if (!targets_[t].left)
        same[{{targets_[t].print.ordered, element_count(info(t).shape), info(t).dtype}, info(t).shape}]
            .second.push_back(t);
    for (size_t s = 0; s < sources_.size(); ++s)
      for (const auto& [dtype, print] : sources_[s].prints) {
        const auto it = same.find({{print.ordered, element_count(info(sources_[s]).shape), dtype}, info(sources_[s]).shape});
        if (it != same.end()) it->second.first.push_back(s);
      }
    std::vector<const std::pair<std::vector<size_t>, std::vector<uint32_t>>*> ambiguous;
    for (auto& [key, both] : same) {
      both.first = without_replicas(std::move(both.first));
      if (both.first.size() == 1 && both.second.size() == 1) rename(both.first[0], both.second[0], {});
      else if (!both.first.empty()) ambiguous.push_back(&both);
    }
    if (!ambiguous.empty()) suggested_ = find_by_names(problem_).relations;
    NameGuide guide(problem_, findings_.relations, suggested_);
    for (const auto* both : ambiguous) decide(guide, both->first, both->second);
  }

  // Of tensors that all files of a source hold alike, the first: the others go with it.
  std::vector<size_t> without_replicas(std::vector<size_t> sources) {
    std::vector<size_t> firsts;
    std::map<std::pair<uint32_t, std::string>, std::vector<size_t>> by_key;
    for (const size_t s : sources) {
      const auto one = problem_.files[sources_[s].ref.source] ? in_file(info(sources_[s]).key) : std::nullopt;
      if (one) by_key[{sources_[s].ref.source, one->key}].push_back(s);
      else firsts.push_back(s);
    }
    for (auto& [key, members] : by_key) {
      std::sort(members.begin(), members.end());
      firsts.push_back(members[0]);
      if (members.size() > 1) replicas_[members[0]] = members;
    }
    std::sort(firsts.begin(), firsts.end());
    return firsts;
  }

  void rename(size_t s, uint32_t t, const std::string& check) {
    Relation relation;
    relation.sources = {sources_[s].ref};
    relation.targets = {t};
    if (!check.empty()) relation.checks = {check};
    sources_[s].used = true;
    if (const auto replicas = replicas_.find(s); replicas != replicas_.end()) {
      relation.kind = Relation::Kind::replicated;
      relation.sources.clear();
      for (const size_t one : replicas->second) {
        relation.sources.push_back(sources_[one].ref);
        sources_[one].used = true;
      }
    }
    targets_[t].done = true;
    findings_.relations.push_back(std::move(relation));
  }

  // Tensors that all hold the same: names decide who is whose.
  void decide(NameGuide& guide, const std::vector<size_t>& sources, const std::vector<uint32_t>& targets) {
    struct Pair {
      double score;
      size_t s;
      uint32_t t;
    };
    std::vector<Pair> pairs;
    if (sources.size() * targets.size() > 4'000'000) return;
    for (const size_t s : sources)
      for (const uint32_t t : targets) pairs.push_back({guide.score(sources_[s].ref, t), s, t});
    std::stable_sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.score > b.score; });
    const bool equal_anyway = targets_[targets[0]].print.constant == false;
    for (const auto& [score, s, t] : pairs) {
      if (sources_[s].used || targets_[t].done) continue;
      double next = -1;
      for (const auto& other : pairs)
        if ((other.s == s) != (other.t == t) && !sources_[other.s].used && !targets_[other.t].done) next = std::max(next, other.score);
      rename(s, t, score - next < 0.5 && next > 0 ? fmt::format("'{}' holds the same values as others; its name decided", info(sources_[s]).key) : "");
    }
    // The same bytes again, on either side.
    const auto first_target = std::find_if(targets.begin(), targets.end(), [&](uint32_t t) { return targets_[t].done; });
    const auto first_source = std::find_if(sources.begin(), sources.end(), [&](size_t s) { return sources_[s].used; });
    if (!equal_anyway) return;
    for (const uint32_t t : targets)
      if (!targets_[t].done && first_target != targets.end()) {
        findings_.copies.push_back({t, *first_target});
        targets_[t].done = true;
      }
    for (const size_t s : sources)
      if (!sources_[s].used && first_source != sources.end() && sources_[s].ref.source == sources_[*first_source].ref.source) {
        findings_.twins.push_back({sources_[s].ref, sources_[*first_source].ref});
        sources_[s].used = true;
      }
  }

  // ------------------------------------------------------------ the same elements in another order

  Elements whole(const SourceTensor& s, DType as) const { return {source_of(s), s.ref.tensor, {Shape(info(s).shape.size(), 0), info(s).shape}, as}; }
  Elements whole(uint32_t t) const { return {*problem_.target, t, {Shape(info(t).shape.size(), 0), info(t).shape}, info(t).dtype}; }

  // `constants`: tensors of one value, which fit anywhere; only once it is known where everything else goes.
  void match_rearranged(bool constants) {
    std::map<Whole, std::vector<size_t>> by_content;
    for (size_t s = 0; s < sources_.size(); ++s)
      if (!sources_[s].used)
        for (const auto& [dtype, print] : sources_[s].prints) by_content[{print.multiset, element_count(info(sources_[s]).shape), dtype}].push_back(s);
    NameGuide guide(problem_, findings_.relations, suggested_);
    for (uint32_t t = 0; t < targets_.size(); ++t) {
      if (targets_[t].done || targets_[t].print.constant != constants) continue;
      const auto it = by_content.find({targets_[t].print.multiset, element_count(info(t).shape), info(t).dtype});
      if (it == by_content.end()) continue;
      std::vector<size_t> candidates = it->second;
      std::stable_sort(candidates.begin(), candidates.end(), [&](size_t a, size_t b) { return guide.score(sources_[a].ref, t) > guide.score(sources_[b].ref, t); });
      for (const size_t s : candidates) {
        if (sources_[s].used) continue;
        const auto layout = find_layout(whole(sources_[s], info(t).dtype), info(sources_[s]).shape, whole(t), info(t).shape);
        if (!layout) continue;
        rename(s, t, "");
        findings_.relations.back().layout = *layout;
        break;
      }
    }
  }

  // ------------------------------------------------------------ parts

  void match_parts() {
    gather();
    scatter();
  }

  // Sums of `length` neighbours, wherever the sum is that of a needle.
  using Needles = std::unordered_map<uint64_t, std::vector<size_t>>;
  void find_windows(const std::vector<uint64_t>& slices, size_t first, int64_t count, const std::set<int64_t>& lengths, const Needles& needles, const std::function<int64_t(size_t)>& length_of, std::vector<Hit>& hits) {
    for (const int64_t length : lengths) {
      if (length > count || n_windows_ > kMaxWindows) continue;
      n_windows_ += static_cast<size_t>(count);
      uint64_t sum = 0;
      for (int64_t i = 0; i < count; ++i) {
        sum += slices[first + static_cast<size_t>(i)];
        if (i >= length) sum -= slices[first + static_cast<size_t>(i - length)];
        if (i + 1 < length) continue;
        const auto it = needles.find(sum);
        if (it == needles.end()) continue;
        for (const size_t needle : it->second)
          if (length_of(needle) == length) hits.push_back({needle, i + 1 - length, length});
      }
    }
  }

  // Parts that follow each other from 0 to `count`; of several that fit, the first that is not taken. Empty: there is a gap.
  static std::vector<Hit> tiled(std::vector<Hit> hits, int64_t count, const std::function<bool(size_t)>& taken) {
    std::stable_sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) { return a.begin < b.begin; });
    std::vector<Hit> chosen;
    std::set<size_t> used;
    int64_t at = 0;
    for (const Hit& hit : hits) {
      if (hit.begin != at || used.contains(hit.part) || taken(hit.part)) continue;
      chosen.push_back(hit);
      used.insert(hit.part);
      at += hit.length;
    }
    if (at != count) chosen.clear();
    return chosen;
  }

  Box box_of(const Shape& shape, size_t axis, int64_t begin, int64_t length) const {
    Box box{Shape(shape.size(), 0), shape};
    box.origin[axis] = begin;
    box.extent[axis] = length;
    return box;
  }
  static Shape without(Shape shape, size_t axis) {
    shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis));
    return shape;
  }
  static Shape with(Shape shape, size_t axis, int64_t extent) {
    shape[axis] = extent;
    return shape;
  }

  // Targets that are made of several sources: joined, stacked, joined and stacked.
  void gather() {
    std::map<DType, Needles> needles;
    std::map<DType, std::set<int64_t>> counts;
    for (size_t s = 0; s < sources_.size(); ++s) {
      if (sources_[s].used) continue;
      for (const auto& [dtype, print] : sources_[s].prints)
        if (!print.constant || element_count(info(sources_[s]).shape) == 1) {
          needles[dtype][print.multiset].push_back(s);
          counts[dtype].insert(element_count(info(sources_[s]).shape));
        }
    }
    for (uint32_t t = 0; t < targets_.size(); ++t) {
      if (targets_[t].done || targets_[t].print.constant || info(t).shape.empty()) continue;
      if (needles[info(t).dtype].empty()) continue;
      if (!gather_along_one(t, needles[info(t).dtype], counts[info(t).dtype]) && info(t).shape.size() >= 2) gather_along_two(t, needles[info(t).dtype], counts[info(t).dtype]);
    }
  }

  std::set<int64_t> lengths(const std::set<int64_t>& counts, int64_t slice, int64_t limit) const {
    std::set<int64_t> result;
    for (const int64_t count : counts)
      if (slice > 0 && count > 0 && count % slice == 0 && count / slice <= limit) result.insert(count / slice);
    return result;
  }

  bool gather_along_one(uint32_t t, const Needles& needles, const std::set<int64_t>& counts) {
    const Shape& shape = info(t).shape;
    const int64_t total = element_count(shape);
    const auto slices = slices_of(*problem_.target, t, info(t).dtype);
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      const int64_t slice = total / shape[axis];
      std::vector<Hit> hits;
      find_windows(slices[axis], 0, shape[axis], lengths(counts, slice, shape[axis] - 1), needles, [&](size_t s) { return element_count(info(sources_[s]).shape) / slice; }, hits);
      const auto parts = tiled(std::move(hits), shape[axis], [&](size_t s) { return sources_[s].used; });
      if (parts.size() < 2) continue;
      if (join(t, axis, parts)) return true;
    }
    return false;
  }

  // One layout for all parts; nullopt if they need different ones.
  std::optional<Layout> common_layout(uint32_t t, const std::vector<Box>& boxes, const std::vector<size_t>& parts, const std::function<Shape(const Box&)>& shape_of) const {
    std::optional<Layout> layout;
    for (size_t i = 0; i < parts.size(); ++i) {
      const SourceTensor& s = sources_[parts[i]];
      const Shape wanted = shape_of(boxes[i]);
      const Elements to(*problem_.target, t, boxes[i], info(t).dtype);
      const auto own = find_layout(whole(s, info(t).dtype), info(s).shape, to, wanted);
      if (!own || (layout && *layout != *own)) return std::nullopt;
      layout = own;
      if (i == 2) i = std::max(i, parts.size() - 2);  // first, second, last: the plan's values are compared in the end
    }
    return layout;
  }

  bool join(uint32_t t, size_t axis, const std::vector<Hit>& parts) {
    const Shape& shape = info(t).shape;
    std::vector<Box> boxes;
    std::vector<size_t> numbers;
    bool ones = true;
    for (const Hit& hit : parts) {
      boxes.push_back(box_of(shape, axis, hit.begin, hit.length));
      numbers.push_back(hit.part);
      ones &= hit.length == 1;
    }
    const bool stacking = ones && info(sources_[numbers[0]]).shape.size() < shape.size();
    auto layout = common_layout(t, boxes, numbers, [&](const Box& box) { return stacking ? without(box.extent, axis) : box.extent; });
    if (!layout) return false;
    Relation relation;
    relation.kind = stacking ? Relation::Kind::stack : Relation::Kind::concat;
    relation.axis = static_cast<int>(axis);
    relation.layout = *layout;
    relation.targets = {t};
    std::vector<std::string> keys;
    for (size_t i = 0; i < parts.size(); ++i) {
      relation.sources.push_back(sources_[numbers[i]].ref);
      if (!stacking) relation.sizes.push_back(parts[i].length);
      keys.push_back(problem_.key(sources_[numbers[i]].ref));
    }
    if (stacking && !counting_place(keys)) {
      // Named parts of length 1: joined, once each has that axis.
      relation.kind = Relation::Kind::concat;
      Shape one = shape;
      one[axis] = 1;
      if (!layout->empty()) return false;
      relation.layout.reshape = one;
    }
    for (const size_t s : numbers) sources_[s].used = true;
    targets_[t].done = true;
    findings_.relations.push_back(std::move(relation));
    return true;
  }

  // target[e] = concat(parts of e)
  bool gather_along_two(uint32_t t, const Needles& needles, const std::set<int64_t>& counts) {
    const Shape& shape = info(t).shape;
    const int64_t each = element_count(shape) / shape[0];
    const auto slices = inner_slices_of(*problem_.target, t, info(t).dtype);
    for (size_t axis = 1; axis < shape.size(); ++axis) {
      const int64_t slice = each / shape[axis];
      std::vector<std::vector<Hit>> all;
      std::set<size_t> taken;
      for (int64_t e = 0; e < shape[0]; ++e) {
        std::vector<Hit> hits;
        find_windows(slices[axis - 1], static_cast<size_t>(e * shape[axis]), shape[axis], lengths(counts, slice, shape[axis] - 1), needles, [&](size_t s) { return element_count(info(sources_[s]).shape) / slice; }, hits);
        all.push_back(tiled(std::move(hits), shape[axis], [&](size_t s) { return sources_[s].used || taken.contains(s); }));
        if (all.back().size() < 2 || all.back().size() != all.front().size()) break;
        for (const Hit& hit : all.back()) taken.insert(hit.part);
      }
      if (static_cast<int64_t>(all.size()) != shape[0] || all.back().size() < 2 || all.back().size() != all.front().size()) continue;
      Relation relation;
      relation.kind = Relation::Kind::stack_concat;
      relation.axis = 0;
      relation.inner_axis = static_cast<int>(axis) - 1;
      relation.targets = {t};
      std::vector<Box> boxes;
      std::vector<size_t> numbers;
      for (size_t e = 0; e < all.size(); ++e)
        for (const Hit& hit : all[e]) {
          Box box = box_of(shape, axis, hit.begin, hit.length);
          box.origin[0] = static_cast<int64_t>(e), box.extent[0] = 1;
          boxes.push_back(box);
          numbers.push_back(hit.part);
          relation.sources.push_back(sources_[hit.part].ref);
          if (e == 0) relation.sizes.push_back(hit.length);
        }
      const auto layout = common_layout(t, boxes, numbers, [&](const Box& box) { return without(box.extent, 0); });
      if (!layout) continue;
      relation.layout = *layout;
      for (const size_t s : numbers) sources_[s].used = true;
      targets_[t].done = true;
      findings_.relations.push_back(std::move(relation));
      return true;
    }
    return false;
  }

  // Sources that become several targets.
  void scatter() {
    std::map<DType, Needles> needles;
    std::map<DType, std::set<int64_t>> counts;
    for (uint32_t t = 0; t < targets_.size(); ++t)
      if (!targets_[t].done && (!targets_[t].print.constant || element_count(info(t).shape) == 1)) {
        needles[info(t).dtype][targets_[t].print.multiset].push_back(t);
        counts[info(t).dtype].insert(element_count(info(t).shape));
      }
    for (size_t s = 0; s < sources_.size(); ++s) {
      if (sources_[s].used || info(sources_[s]).shape.empty() || element_count(info(sources_[s]).shape) == 0) continue;
      for (const auto& [dtype, print] : sources_[s].prints)
        if (!print.constant && !needles[dtype].empty() && cut(s, dtype, needles[dtype], counts[dtype])) break;
    }
  }

  bool cut(size_t s, DType dtype, const Needles& needles, const std::set<int64_t>& counts) {
    const Shape& shape = info(sources_[s]).shape;
    const int64_t total = element_count(shape);
    const auto slices = slices_of(source_of(sources_[s]), sources_[s].ref.tensor, dtype);
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      const int64_t slice = total / shape[axis];
      std::vector<Hit> hits;
      find_windows(slices[axis], 0, shape[axis], lengths(counts, slice, shape[axis] - 1), needles, [&](size_t t) { return element_count(info(static_cast<uint32_t>(t)).shape) / slice; }, hits);
      const auto parts = tiled(std::move(hits), shape[axis], [&](size_t t) { return targets_[t].done; });
      if (parts.size() >= 2 && cut_into(s, dtype, axis, parts)) return true;
    }
    return false;
  }

  bool cut_into(size_t s, DType dtype, size_t axis, const std::vector<Hit>& parts) {
    const Shape& shape = info(sources_[s]).shape;
    const bool ones = std::all_of(parts.begin(), parts.end(), [](const Hit& h) { return h.length == 1; });
    std::vector<std::string> keys;
    for (const Hit& hit : parts) keys.push_back(info(static_cast<uint32_t>(hit.part)).key);
    const bool each = ones && counting_place(keys).has_value();
    // Parts of one layout form a relation; the others are left out of it, and have their own.
    std::vector<std::pair<Layout, std::vector<size_t>>> by_layout;
    for (size_t i = 0; i < parts.size(); ++i) {
      const auto t = static_cast<uint32_t>(parts[i].part);
      const Elements from(source_of(sources_[s]), sources_[s].ref.tensor, box_of(shape, axis, parts[i].begin, parts[i].length), dtype);
      const Shape own = each ? without(shape, axis) : with(shape, axis, parts[i].length);
      if (each && i > 1 && i + 1 < parts.size()) {
        by_layout.front().second.push_back(i);
        continue;
      }
      const auto layout = find_layout(from, own, whole(t), info(t).shape);
      if (!layout) return false;
      const auto it = std::find_if(by_layout.begin(), by_layout.end(), [&](const auto& group) { return group.first == *layout; });
      if (it == by_layout.end()) by_layout.push_back({*layout, {i}});
      else it->second.push_back(i);
    }
    if (each && by_layout.size() > 1) return false;
    for (auto& [layout, members] : by_layout) {
      std::sort(members.begin(), members.end());
      Relation relation;
      relation.kind = each ? Relation::Kind::split_each : Relation::Kind::split_into;
      relation.axis = static_cast<int>(axis);
      relation.layout = layout;
      relation.sources = {sources_[s].ref};
      for (size_t i = 0; i < parts.size(); ++i) {
        const bool own = std::find(members.begin(), members.end(), i) != members.end();
        relation.targets.push_back(own ? static_cast<uint32_t>(parts[i].part) : Relation::kNoPart);
        if (!each) relation.sizes.push_back(parts[i].length);
      }
      findings_.relations.push_back(std::move(relation));
    }
    for (const Hit& hit : parts) targets_[hit.part].done = true;
    sources_[s].used = true;
    return true;
  }

  // ------------------------------------------------------------ what hashes cannot tell

  // A bias of zeros goes where its weight went: the keys of a relation with one word exchanged.
  void match_siblings() {
    std::map<std::string, uint32_t> open_targets;
    std::map<std::pair<uint32_t, std::string>, size_t> open_sources;
    for (uint32_t t = 0; t < targets_.size(); ++t)
      if (!targets_[t].done) open_targets[info(t).key] = t;
    for (size_t s = 0; s < sources_.size(); ++s)
      if (!sources_[s].used && info(sources_[s]).unread == nullptr)
        open_sources[{sources_[s].ref.source, info(sources_[s]).key}] = s;
    if (open_targets.empty() || open_sources.empty()) return;
    const size_t count = findings_.relations.size();
    for (size_t r = 0; r < count; ++r) {
      if (findings_.relations[r].kind == Relation::Kind::rename) continue;
      Relation relation = findings_.relations[r];
      const auto sibling = [](const std::string& key) {
        return key.ends_with("weight") ? key.substr(0, key.size() - 6) + "bias" : std::string();
      };
      bool all = true;
      std::vector<size_t> numbers;
      for (Ref& ref : relation.sources) {
        const auto it = open_sources.find({ref.source, sibling(problem_.info(ref).key)});
        if (it == open_sources.end()) { all = false; break; }
        ref = sources_[it->second].ref;
        numbers.push_back(it->second);
      }
      for (uint32_t& t : relation.targets) {
        if (t == Relation::kNoPart || !all) continue;
        const auto it = open_targets.find(sibling(info(t).key));
        if (it == open_targets.end()) all = false;
        else t = it->second;
      }
      if (!all || relation.layout.order.size() > 1 || !same_sums(relation)) continue;
      if (relation.layout.regroup_axis > 0 || !relation.layout.reshape.empty()) relation.layout = {};
      for (const size_t s : numbers) sources_[s].used = true;
      for (const uint32_t t : relation.targets)
        if (t != Relation::kNoPart) targets_[t].done = true;
      findings_.relations.push_back(std::move(relation));
    }
  }

  bool same_sums(const Relation& relation) const {
    uint64_t source = 0, target = 0;
    const DType dtype = info(*std::find_if(relation.targets.begin(), relation.targets.end(), [](uint32_t t) { return t != Relation::kNoPart; })).dtype;
    for (const Ref& ref : relation.sources) source += print_of(*problem_.sources[ref.source].source, ref.tensor, dtype).multiset;
    for (const uint32_t t : relation.targets)
      if (t == Relation::kNoPart) return true;
      else target += targets_[t].print.multiset;
    return source == target;
  }

  void finish() {
    for (uint32_t t = 0; t < targets_.size(); ++t) {
      if (targets_[t].left) findings_.open_targets.push_back(t);
      if (targets_[t].done) continue;
      const auto value = targets_[t].print.constant ? constant_of(t) : std::nullopt;
      if (value) findings_.fills.push_back({t, *value});
      else if (const auto of = copy_of(t)) findings_.copies.push_back({t, *of});
      else findings_.open_targets.push_back(t);
    }
    for (const auto& s : sources_)
      if (!s.used) findings_.open_sources.push_back(s.ref);
  }

  std::optional<double> constant_of(uint32_t t) const {
    const TensorInfo& tensor = info(t);
    if (tensor.dtype == DType::c64 || tensor.dtype == DType::c128 || element_count(tensor.shape) == 0) return std::nullopt;
    double value = 0;
    bool first = true;
    read_in_order(*problem_.target, t, tensor.dtype, [&](const std::byte* data, int64_t, int64_t) {
      if (first) ops::to_doubles(data, tensor.dtype, 1, &value);
      first = false;
    });
    std::byte encoded[16];
    if (!std::isfinite(value) || !ops::encode_value(value, tensor.dtype, encoded)) return std::nullopt;
    return value;
  }

  // Another target that is made of something and holds the same.
  std::optional<uint32_t> copy_of(uint32_t t) {
    if (done_by_content_.empty())
      for (uint32_t other = 0; other < targets_.size(); ++other)
        if (targets_[other].done && !targets_[other].left)
          done_by_content_.try_emplace(
              {{targets_[other].print.ordered, element_count(info(other).shape), info(other).dtype}, info(other).shape},
              other);
    const auto it = done_by_content_.find({{targets_[t].print.ordered, element_count(info(t).shape), info(t).dtype}, info(t).shape});
    return it == done_by_content_.end() ? std::nullopt : std::optional(it->second);
  }

  const Problem& problem_;
  Findings findings_;
  std::vector<Relation> suggested_;   // by names
  std::vector<SourceTensor> sources_;
  std::vector<TargetTensor> targets_;
  std::map<size_t, std::vector<size_t>> replicas_;   // the first of each
  std::map<std::pair<Whole, Shape>, uint32_t> done_by_content_;
  size_t n_windows_ = 0;
};

}  // namespace

Findings find_by_values(const Problem& problem) { return Search(problem).run(); }

}  // namespace remap::infer
