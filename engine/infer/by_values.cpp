// Which tensors hold the same elements. First whole tensors, by hashes; then tensors that are parts of others: the hash
// of a part is the sum of its slices' hashes, so a part is found in the sums over windows of slices, whatever order its
// elements have; where parts take turns (a head of q, of k, of v, and again), in the sums over all groups. Which of
// several tensors that hold the same is meant, their keys say: those that count along, or belong to the modules that
// are certain already. Constants come last: they fit anywhere.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "infer/key_text.h"
#include "infer/name_guide.h"
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
  size_t part;  // number of a needle
  int64_t begin, length;
};

// A part of a whole, and the needles that hold what is there.
struct Slot {
  int64_t begin, length;
  std::vector<size_t> candidates;
};

// How parts lie along an axis: one after another, or by turns in so many groups of `period` entries.
struct Turns {
  int64_t groups = 1, period = 0;
};

class Search {
 public:
  explicit Search(const Problem& problem) : problem_(problem) {}

  Findings run() {
    read_all();
    match_whole();
    leave_shared_bytes();
    match_rearranged(false);
    match_parts(false);
    if (any_constant()) match_parts(true);
    match_neighbours();
    match_siblings();
    decide_constants();
    match_suggested();
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
      first_.push_back(sources_.size());
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

  using SameValues = std::pair<std::vector<size_t>, std::vector<uint32_t>>;  // sources, targets

  void match_whole() {
    std::map<std::pair<Whole, Shape>, SameValues> same;
    for (uint32_t t = 0; t < targets_.size(); ++t) {
      if (targets_[t].left) continue;
      const Whole whole{targets_[t].print.ordered, element_count(info(t).shape), info(t).dtype};
      same[{whole, info(t).shape}].second.push_back(t);
    }
    for (size_t s = 0; s < sources_.size(); ++s)
      for (const auto& [dtype, print] : sources_[s].prints) {
        const auto it =
            same.find({{print.ordered, element_count(info(sources_[s]).shape), dtype}, info(sources_[s]).shape});
        if (it != same.end()) it->second.first.push_back(s);
      }
    std::vector<SameValues> ambiguous;
    for (auto& [key, both] : same) {
      both.first = without_replicas(std::move(both.first));
      if (both.first.empty()) continue;
      if (targets_[both.second[0]].print.constant)
        constants_.push_back(both);
      else if (both.first.size() == 1 && both.second.size() == 1)
        rename(both.first[0], both.second[0], {});
      else
        ambiguous.push_back(both);
    }
    decide_all(ambiguous);
  }

  // Constants belong where their neighbours went.
  void decide_constants() {
    std::vector<SameValues> open;
    for (auto& [sources, targets] : constants_) {
      std::erase_if(sources, [&](size_t s) { return sources_[s].used; });
      std::erase_if(targets, [&](uint32_t t) { return targets_[t].done; });
      if (sources.size() == 1 && targets.size() == 1)
        rename(sources[0], targets[0], {});
      else if (!sources.empty() && !targets.empty())
        open.push_back({sources, targets});
    }
    decide_all(open);
  }

  void decide_all(const std::vector<SameValues>& groups) {
    if (groups.empty()) return;
    suggest();
    NameGuide guide(problem_, findings_.relations, *suggested_);
    for (const auto& [sources, targets] : groups) decide(guide, sources, targets);
  }

  // What names say of all tensors.
  void suggest() {
    if (!suggested_) suggested_ = find_by_names(problem_, Weights()).relations;
  }

  // Of tensors that all files of a source hold alike, the first: the others go with it.
  std::vector<size_t> without_replicas(std::vector<size_t> sources) {
    std::vector<size_t> firsts;
    std::map<std::pair<uint32_t, std::string>, std::vector<size_t>> by_key;
    for (const size_t s : sources) {
      const auto one = problem_.files[sources_[s].ref.source] ? in_file(info(sources_[s]).key) : std::nullopt;
      if (one)
        by_key[{sources_[s].ref.source, one->key}].push_back(s);
      else
        firsts.push_back(s);
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

  // The module's name and the tensor's: "ln_1.weight".
  static std::string end_of(const std::string& key) {
    const std::string outer = parent_of(parent_of(key));
    return outer.empty() ? key : key.substr(outer.size() + 1);
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
    const auto sort = [&] {
      std::stable_sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.score > b.score; });
    };
    sort();
    // What most layers would do, all do: a first choice votes for ends of keys that correspond.
    std::map<std::pair<std::string, std::string>, double> votes;
    std::map<std::string, double> most;
    std::set<size_t> taken_sources;
    std::set<uint32_t> taken_targets;
    for (const Pair& pair : pairs) {
      if (taken_sources.contains(pair.s) || taken_targets.contains(pair.t)) continue;
      taken_sources.insert(pair.s), taken_targets.insert(pair.t);
      const std::string end = end_of(source_key(pair.s));
      most[end] = std::max(most[end], ++votes[{end, end_of(target_key(pair.t))}]);
    }
    for (Pair& pair : pairs) {
      const std::string end = end_of(source_key(pair.s));
      const auto vote = votes.find({end, end_of(target_key(pair.t))});
      if (vote != votes.end()) pair.score += 3 * vote->second / most.at(end);
    }
    sort();
    std::map<size_t, std::vector<const Pair*>> by_source;
    std::map<uint32_t, std::vector<const Pair*>> by_target;
    for (const Pair& pair : pairs) by_source[pair.s].push_back(&pair), by_target[pair.t].push_back(&pair);
    // The best that is left for one of both, but for the pair itself.
    const auto next_of = [&](const std::vector<const Pair*>& list, const Pair& pair) {
      for (const Pair* other : list)
        if ((other->s == pair.s) != (other->t == pair.t) && !sources_[other->s].used && !targets_[other->t].done)
          return other->score;
      return -1.0;
    };
    const bool equal_anyway = targets_[targets[0]].print.constant == false;
    for (const Pair& pair : pairs) {
      if (sources_[pair.s].used || targets_[pair.t].done) continue;
      const double next = std::max(next_of(by_source[pair.s], pair), next_of(by_target[pair.t], pair));
      rename(pair.s, pair.t,
             pair.score - next < 0.5 && next > 0
                 ? fmt::format("'{}' holds the same values as others; its name decided", info(sources_[pair.s]).key)
                 : "");
    }
    // The same bytes again, on either side.
    const auto first_target =
        std::find_if(targets.begin(), targets.end(), [&](uint32_t t) { return targets_[t].done; });
    const auto first_source = std::find_if(sources.begin(), sources.end(), [&](size_t s) { return sources_[s].used; });
    if (!equal_anyway) return;
    for (const uint32_t t : targets)
      if (!targets_[t].done && first_target != targets.end()) {
        findings_.copies.push_back({t, *first_target});
        targets_[t].done = true;
      }
    for (const size_t s : sources)
      if (!sources_[s].used && first_source != sources.end() &&
          sources_[s].ref.source == sources_[*first_source].ref.source) {
        findings_.twins.push_back({sources_[s].ref, sources_[*first_source].ref});
        sources_[s].used = true;
      }
  }

  // ------------------------------------------------------------ the same elements in another order

  Elements whole(const SourceTensor& s, DType as) const {
    return {source_of(s), s.ref.tensor, {Shape(info(s).shape.size(), 0), info(s).shape}, as};
  }
  Elements whole(uint32_t t) const {
    return {*problem_.target, t, {Shape(info(t).shape.size(), 0), info(t).shape}, info(t).dtype};
  }

  // `constants`: tensors of one value, which fit anywhere; only once it is known where everything else goes.
  void match_rearranged(bool constants) {
    std::map<Whole, std::vector<size_t>> by_content;
    for (size_t s = 0; s < sources_.size(); ++s)
      if (!sources_[s].used)
        for (const auto& [dtype, print] : sources_[s].prints)
          by_content[{print.multiset, element_count(info(sources_[s]).shape), dtype}].push_back(s);
    NameGuide guide(problem_, findings_.relations, suggested_ ? *suggested_ : std::vector<Relation>{});
    for (uint32_t t = 0; t < targets_.size(); ++t) {
      if (targets_[t].done || targets_[t].print.constant != constants) continue;
      const auto it = by_content.find({targets_[t].print.multiset, element_count(info(t).shape), info(t).dtype});
      if (it == by_content.end()) continue;
      std::vector<size_t> candidates = it->second;
      std::stable_sort(candidates.begin(), candidates.end(), [&](size_t a, size_t b) {
        return guide.score(sources_[a].ref, t) > guide.score(sources_[b].ref, t);
      });
      for (const size_t s : candidates) {
        if (sources_[s].used) continue;
        const auto layout =
            find_layout(whole(sources_[s], info(t).dtype), info(sources_[s]).shape, whole(t), info(t).shape);
        if (!layout) continue;
        rename(s, t, "");
        findings_.relations.back().layout = *layout;
        break;
      }
    }
  }

  // ------------------------------------------------------------ parts

  // `constants`: tensors of one value can be parts too, of a whole that has others.
  void match_parts(bool constants) {
    NameGuide guide(problem_, findings_.relations, suggested_ ? *suggested_ : std::vector<Relation>{});
    guide_ = &guide;
    gather(constants);
    scatter(constants);
    guide_ = nullptr;
  }
  bool any_constant() const {
    const auto is_open_part = [](const SourceTensor& s) {
      return !s.used && std::any_of(s.prints.begin(), s.prints.end(), [](const auto& p) { return p.second.constant; });
    };
    return std::any_of(sources_.begin(), sources_.end(), is_open_part) ||
           std::any_of(targets_.begin(), targets_.end(),
                       [](const TargetTensor& t) { return !t.done && t.print.constant; });
  }

  // Sums of `length` neighbours, wherever the sum is that of a needle.
  using Needles = std::unordered_map<uint64_t, std::vector<size_t>>;
  void find_windows(const std::vector<uint64_t>& slices, size_t first, int64_t count, const std::set<int64_t>& lengths,
                    const Needles& needles, const std::function<int64_t(size_t)>& length_of, std::vector<Hit>& hits) {
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

  // Parts that follow each other from 0 to `count`; empty: there is a gap.
  static std::vector<Slot> tiled(const std::vector<Hit>& hits, int64_t count,
                                 const std::function<bool(size_t)>& taken) {
    constexpr size_t kMaxTries = 100'000;
    std::map<int64_t, std::map<int64_t, std::vector<size_t>>> at;  // begin, length
    for (const Hit& hit : hits)
      if (!taken(hit.part)) at[hit.begin][hit.length].push_back(hit.part);
    for (auto& [begin, lengths] : at)
      for (auto& [length, candidates] : lengths) std::sort(candidates.begin(), candidates.end());
    std::vector<Slot> slots;
    std::map<size_t, size_t> uses;  // of those that hold the same, by the first of them
    size_t tries = 0;
    const std::function<bool(int64_t)> fill = [&](int64_t begin) {
      if (begin == count) return true;
      const auto here = at.find(begin);
      if (here == at.end() || ++tries > kMaxTries) return false;
      for (const auto& [length, candidates] : here->second) {
        size_t& used = uses[candidates[0]];
        if (used == candidates.size()) continue;
        ++used;
        slots.push_back({begin, length, candidates});
        if (fill(begin + length)) return true;
        slots.pop_back();
        --used;
      }
      return false;
    };
    if (!fill(0)) slots.clear();
    return slots;
  }

  using KeyOf = std::function<const std::string&(size_t)>;
  using ScoreOf = std::function<double(size_t)>;
  // Who is in which slot. Where several hold the same: those whose keys count along, or those whose names are nearest
  // to the others'. Empty: nobody can be told. `constants`: some hold one value only, so their keys must belong
  // together.
  static std::vector<size_t> assigned(const std::vector<Slot>& slots, const KeyOf& key_of, const ScoreOf& score_of,
                                      bool constants) {
    std::vector<size_t> parts;
    const auto certain = [](const Slot& slot) { return slot.candidates.size() == 1; };
    if (std::all_of(slots.begin(), slots.end(), certain)) {
      for (const Slot& slot : slots) parts.push_back(slot.candidates[0]);
    } else {
      parts = counted(slots, key_of, score_of);
      if (parts.empty()) parts = nearest(slots, key_of, score_of);
    }
    if (!constants || parts.empty()) return parts;
    std::vector<std::string> keys;
    for (const size_t part : parts) keys.push_back(key_of(part));
    if (counting_place(keys)) return parts;
    const auto place = differing_place(keys);
    const auto is_word = [](const std::string& name) { return std::none_of(name.begin(), name.end(), is_separator); };
    if (!place || place->before.size() + place->after.size() == 0 ||
        !std::all_of(place->names.begin(), place->names.end(), is_word))
      parts.clear();
    return parts;
  }

  static std::vector<size_t> counted(const std::vector<Slot>& slots, const KeyOf& key_of, const ScoreOf& score_of) {
    if (std::any_of(slots.begin(), slots.end(), [&](const Slot& slot) { return slot.length != slots[0].length; }))
      return {};
    std::vector<std::map<std::string, size_t>> known(slots.size());
    size_t fewest = 0;
    for (size_t i = 0; i < slots.size(); ++i) {
      for (const size_t part : slots[i].candidates) known[i].emplace(key_of(part), part);
      if (slots[i].candidates.size() < slots[fewest].candidates.size()) fewest = i;
    }
    std::vector<size_t> best;
    std::tuple<bool, double> best_rank;  // counts from 0; fits by its name
    for (const auto& [key, anchor] : known[fewest]) {
      const Numbered numbers = numbered(key);
      for (size_t column = 0; column < numbers.numbers.size(); ++column) {
        const auto first = std::stoll(numbers.numbers[column]) - static_cast<int64_t>(fewest);
        if (first < 0) continue;
        std::vector<size_t> parts;
        std::vector<std::string> keys;
        for (size_t i = 0; i < slots.size(); ++i) {
          std::string text = numbers.texts[0];
          for (size_t c = 0; c < numbers.numbers.size(); ++c)
            text += (c == column ? std::to_string(first + static_cast<int64_t>(i)) : numbers.numbers[c]) +
                    numbers.texts[c + 1];
          const auto found = known[i].find(text);
          if (found == known[i].end()) break;
          parts.push_back(found->second);
          keys.push_back(std::move(text));
        }
        if (parts.size() != slots.size() || !counting_place(keys)) continue;
        const std::tuple rank(first == 0, score_of(parts[0]));
        if (best.empty() || rank > best_rank) best = std::move(parts), best_rank = rank;
      }
    }
    return best;
  }

  static std::vector<size_t> nearest(const std::vector<Slot>& slots, const KeyOf& key_of, const ScoreOf& score_of) {
    std::vector<size_t> order(slots.size()), parts(slots.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return slots[a].candidates.size() < slots[b].candidates.size(); });
    std::vector<size_t> chosen;
    const auto in_common = [](const std::string& a, const std::string& b) {
      size_t begin = 0, end = 0;
      const size_t most = std::min(a.size(), b.size());
      while (begin < most && a[begin] == b[begin]) ++begin;
      while (end < most - begin && a[a.size() - 1 - end] == b[b.size() - 1 - end]) ++end;
      return static_cast<double>(begin + end);
    };
    for (const size_t i : order) {
      std::optional<size_t> best;
      std::pair<double, double> best_rank;
      for (const size_t part : slots[i].candidates) {
        if (std::find(chosen.begin(), chosen.end(), part) != chosen.end()) continue;
        double common = 0;
        for (const size_t other : chosen) common += in_common(key_of(part), key_of(other));
        const std::pair rank(common, score_of(part));
        if (!best || rank > best_rank) best = part, best_rank = rank;
      }
      if (!best) return {};
      chosen.push_back(*best);
      parts[i] = *best;
    }
    return parts;
  }

  // The ways to see an axis as groups in which parts take turns; first of all, as one.
  static std::vector<Turns> turns_of(int64_t extent) {
    std::vector<Turns> all = {{1, extent}};
    for (int64_t groups = 2; groups <= extent / 2; ++groups)
      if (extent % groups == 0) all.push_back({groups, extent / groups});
    return all;
  }
  // The sums of slices over all groups.
  static std::vector<uint64_t> folded(const std::vector<uint64_t>& slices, size_t first, const Turns& turns) {
    std::vector<uint64_t> sums(static_cast<size_t>(turns.period), 0);
    for (int64_t i = 0; i < turns.groups * turns.period; ++i)
      sums[static_cast<size_t>(i % turns.period)] += slices[first + static_cast<size_t>(i)];
    return sums;
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

  const std::string& source_key(size_t s) const { return problem_.key(sources_[s].ref); }
  const std::string& target_key(size_t t) const { return info(static_cast<uint32_t>(t)).key; }

  // Targets that are made of several sources: joined, stacked, joined and stacked.
  void gather(bool constants) {
    std::map<DType, Needles> needles;
    std::map<DType, std::set<int64_t>> counts;
    for (size_t s = 0; s < sources_.size(); ++s) {
      if (sources_[s].used) continue;
      for (const auto& [dtype, print] : sources_[s].prints)
        if (constants || !print.constant || element_count(info(sources_[s]).shape) == 1) {
          needles[dtype][print.multiset].push_back(s);
          counts[dtype].insert(element_count(info(sources_[s]).shape));
        }
    }
    for (uint32_t t = 0; t < targets_.size(); ++t) {
      if (targets_[t].done || targets_[t].print.constant || info(t).shape.empty() || element_count(info(t).shape) == 0)
        continue;
      if (needles[info(t).dtype].empty()) continue;
      if (!gather_along_one(t, needles[info(t).dtype], counts[info(t).dtype], constants) && info(t).shape.size() >= 2)
        gather_along_two(t, needles[info(t).dtype], counts[info(t).dtype], constants);
    }
  }

  std::set<int64_t> lengths(const std::set<int64_t>& counts, int64_t slice, int64_t limit) const {
    std::set<int64_t> result;
    for (const int64_t count : counts)
      if (slice > 0 && count > 0 && count % slice == 0 && count / slice <= limit) result.insert(count / slice);
    return result;
  }

  // The parts of an axis of a whole, cut as `turns` says.
  std::vector<Slot> slots_along(const std::vector<uint64_t>& slices, size_t first, int64_t slice, const Turns& turns,
                                const Needles& needles, const std::set<int64_t>& counts,
                                const std::function<int64_t(size_t)>& elements_of,
                                const std::function<bool(size_t)>& taken) {
    const int64_t unit = slice * turns.groups;
    const auto fitting = lengths(counts, unit, turns.period - 1);
    if (fitting.empty()) return {};
    std::vector<Hit> hits;
    const auto length_of = [&](size_t needle) {
      return elements_of(needle) % unit == 0 ? elements_of(needle) / unit : -1;
    };
    if (turns.groups == 1)
      find_windows(slices, first, turns.period, fitting, needles, length_of, hits);
    else
      find_windows(folded(slices, first, turns), 0, turns.period, fitting, needles, length_of, hits);
    return tiled(hits, turns.period, taken);
  }

  bool gather_along_one(uint32_t t, const Needles& needles, const std::set<int64_t>& counts, bool constants) {
    const Shape& shape = info(t).shape;
    const int64_t total = element_count(shape);
    const auto slices = slices_of(*problem_.target, t, info(t).dtype);
    const auto elements_of = [&](size_t s) { return element_count(info(sources_[s]).shape); };
    for (const bool by_turns : {false, true})
      for (size_t axis = 0; axis < shape.size(); ++axis)
        for (const Turns& turns : turns_of(shape[axis])) {
          if ((turns.groups > 1) != by_turns) continue;
          const auto slots = slots_along(slices[axis], 0, total / shape[axis], turns, needles, counts, elements_of,
                                         [&](size_t s) { return sources_[s].used; });
          if (slots.size() < 2) continue;
          const auto parts = assigned(
              slots, [&](size_t s) -> const std::string& { return source_key(s); },
              [&](size_t s) { return guide_->score(sources_[s].ref, t); }, constants);
          if (!parts.empty() && join(t, axis, slots, parts, turns)) return true;
        }
    return false;
  }

  // A part of a target as the element order of a source tensor has it.
  struct Place {
    Box box;
    size_t axis = 0;
    Turns turns;
    Shape shape;  // of all groups
  };
  Elements elements(const Source& source, size_t index, const Place& place, DType as) const {
    return {source, index, place.box, place.axis, place.turns.period, place.turns.groups, as};
  }

  // Numbers of the parts, constants last: any layout fits these.
  static std::vector<size_t> telling_first(const std::vector<size_t>& parts,
                                           const std::function<bool(size_t)>& is_constant) {
    std::vector<size_t> order(parts.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_partition(order.begin(), order.end(), [&](size_t i) { return !is_constant(parts[i]); });
    return order;
  }

  // One layout for all parts; nullopt if they need different ones.
  std::optional<Layout> common_layout(uint32_t t, const std::vector<Place>& places,
                                      const std::vector<size_t>& parts) const {
    std::optional<Layout> layout;
    const auto order = telling_first(parts, [&](size_t s) { return sources_[s].prints.at(info(t).dtype).constant; });
    for (size_t n = 0; n < order.size(); ++n) {
      const size_t i = order[n];
      const SourceTensor& s = sources_[parts[i]];
      const Elements to = elements(*problem_.target, t, places[i], info(t).dtype), from = whole(s, info(t).dtype);
      if (layout && !gives(*layout, from, info(s).shape, to, places[i].shape)) return std::nullopt;
      if (!layout) layout = find_layout(from, info(s).shape, to, places[i].shape);
      if (!layout || (places[i].turns.groups > 1 && layout->regroup_axis >= 0)) return std::nullopt;
      if (n == 2) n = std::max(n, parts.size() - 2);  // first, second, last: the plan's values are compared in the end
    }
    return layout;
  }

  bool join(uint32_t t, size_t axis, const std::vector<Slot>& slots, const std::vector<size_t>& numbers,
            const Turns& turns) {
    const Shape& shape = info(t).shape;
    const bool ones = std::all_of(slots.begin(), slots.end(), [](const Slot& slot) { return slot.length == 1; });
    const bool stacking = ones && turns.groups == 1 && info(sources_[numbers[0]]).shape.size() < shape.size();
    std::vector<Place> places;
    for (const Slot& slot : slots) {
      const Box box = box_of(shape, axis, slot.begin, slot.length);
      places.push_back({box, axis, turns,
                        stacking ? without(box.extent, axis) : with(box.extent, axis, slot.length * turns.groups)});
    }
    auto layout = common_layout(t, places, numbers);
    if (!layout) return false;
    Relation relation;
    relation.kind = stacking ? Relation::Kind::stack : Relation::Kind::concat;
    relation.axis = static_cast<int>(axis);
    relation.groups = turns.groups;
    relation.layout = *layout;
    relation.targets = {t};
    for (size_t i = 0; i < slots.size(); ++i) {
      relation.sources.push_back(sources_[numbers[i]].ref);
      if (!stacking) relation.sizes.push_back(slots[i].length);
    }
    take(std::move(relation));
    return true;
  }

  // Notes a relation, and that its tensors are done.
  void take(Relation relation) {
    for (const Ref ref : relation.sources) sources_[number_of(ref)].used = true;
    for (const uint32_t t : relation.targets)
      if (t != Relation::kNoPart) targets_[t].done = true;
    findings_.relations.push_back(std::move(relation));
  }
  size_t number_of(Ref ref) const { return first_[ref.source] + ref.tensor; }

  // target[e] = concat(parts of e)
  bool gather_along_two(uint32_t t, const Needles& needles, const std::set<int64_t>& counts, bool constants) {
    const Shape& shape = info(t).shape;
    const int64_t each = element_count(shape) / shape[0];
    const auto slices = inner_slices_of(*problem_.target, t, info(t).dtype);
    for (const bool by_turns : {false, true})
      for (size_t axis = 1; axis < shape.size(); ++axis)
        for (const Turns& turns : turns_of(shape[axis]))
          if ((turns.groups > 1) == by_turns &&
              gather_along_two(t, axis, each / shape[axis], turns, slices[axis - 1], needles, counts, constants))
            return true;
    return false;
  }

  bool gather_along_two(uint32_t t, size_t axis, int64_t slice, const Turns& turns, const std::vector<uint64_t>& slices,
                        const Needles& needles, const std::set<int64_t>& counts, bool constants) {
    const auto key_of = [&](size_t s) -> const std::string& { return source_key(s); };
    const auto score_of = [&](size_t s) { return guide_->score(sources_[s].ref, t); };
    const auto elements_of = [&](size_t s) { return element_count(info(sources_[s]).shape); };
    const auto grid = grid_along(
        info(t).shape, axis, slice, turns, slices, needles, counts, elements_of,
        [&](size_t s) { return sources_[s].used; }, key_of, score_of, constants);
    if (!grid) return false;
    const auto layout = common_layout(t, grid->places, grid->numbers);
    if (!layout) return false;
    Relation relation = grid->relation;
    relation.kind = Relation::Kind::stack_concat;
    relation.targets = {t};
    for (const size_t s : grid->numbers) relation.sources.push_back(sources_[s].ref);
    relation.layout = *layout;
    take(std::move(relation));
    return true;
  }

  // A whole that is stacked along its first axis, of what is joined along another one.
  struct Grid {
    std::vector<size_t> numbers;  // all parts of the first, then of the second …
    std::vector<Place> places;
    Relation relation;  // axes, sizes and groups
  };
  std::optional<Grid> grid_along(const Shape& shape, size_t axis, int64_t slice, const Turns& turns,
                                 const std::vector<uint64_t>& slices, const Needles& needles,
                                 const std::set<int64_t>& counts, const std::function<int64_t(size_t)>& elements_of,
                                 const std::function<bool(size_t)>& is_taken, const KeyOf& key_of,
                                 const ScoreOf& score_of, bool constants) {
    std::vector<std::vector<Slot>> all;
    for (int64_t e = 0; e < shape[0]; ++e) {
      all.push_back(slots_along(slices, static_cast<size_t>(e * shape[axis]), slice, turns, needles, counts,
                                elements_of, is_taken));
      const auto same_length = [](const Slot& a, const Slot& b) { return a.length == b.length; };
      if (all.back().size() < 2 ||
          !std::equal(all.back().begin(), all.back().end(), all.front().begin(), all.front().end(), same_length))
        return std::nullopt;
    }
    // Of each part, those of all e: their keys count.
    Grid grid;
    grid.numbers.resize(all.size() * all[0].size());
    std::set<size_t> taken;
    for (size_t p = 0; p < all[0].size(); ++p) {
      std::vector<Slot> column;
      for (const auto& slots : all) {
        column.push_back(slots[p]);
        std::erase_if(column.back().candidates, [&](size_t part) { return taken.contains(part); });
        if (column.back().candidates.empty()) return std::nullopt;
      }
      const auto parts = assigned(column, key_of, score_of, constants);
      if (parts.empty()) return std::nullopt;
      for (size_t e = 0; e < all.size(); ++e) grid.numbers[e * all[0].size() + p] = parts[e];
      taken.insert(parts.begin(), parts.end());
    }
    if (taken.size() != grid.numbers.size()) return std::nullopt;
    grid.relation.inner_axis = static_cast<int>(axis) - 1;
    grid.relation.groups = turns.groups;
    for (size_t e = 0; e < all.size(); ++e)
      for (const Slot& slot : all[e]) {
        Box box = box_of(shape, axis, slot.begin, slot.length);
        box.origin[0] = static_cast<int64_t>(e), box.extent[0] = 1;
        grid.places.push_back({box, axis, turns, without(with(box.extent, axis, slot.length * turns.groups), 0)});
        if (e == 0) grid.relation.sizes.push_back(slot.length);
      }
    return grid;
  }

  // Sources that become several targets.
  void scatter(bool constants) {
    std::map<DType, Needles> needles;
    std::map<DType, std::set<int64_t>> counts;
    for (uint32_t t = 0; t < targets_.size(); ++t)
      if (!targets_[t].done && (constants || !targets_[t].print.constant || element_count(info(t).shape) == 1)) {
        needles[info(t).dtype][targets_[t].print.multiset].push_back(t);
        counts[info(t).dtype].insert(element_count(info(t).shape));
      }
    for (size_t s = 0; s < sources_.size(); ++s) {
      if (sources_[s].used || sources_[s].prints.empty() || info(sources_[s]).shape.empty() ||
          element_count(info(sources_[s]).shape) == 0)
        continue;
      for (const auto& [dtype, print] : sources_[s].prints)
        if (!print.constant && !needles[dtype].empty() &&
            (cut(s, dtype, needles[dtype], counts[dtype], constants) ||
             cut_twice(s, dtype, needles[dtype], counts[dtype], constants)))
          break;
    }
  }

  bool cut(size_t s, DType dtype, const Needles& needles, const std::set<int64_t>& counts, bool constants) {
    const Shape& shape = info(sources_[s]).shape;
    const int64_t total = element_count(shape);
    const auto slices = slices_of(source_of(sources_[s]), sources_[s].ref.tensor, dtype);
    const auto elements_of = [&](size_t t) { return element_count(info(static_cast<uint32_t>(t)).shape); };
    for (const bool by_turns : {false, true})
      for (size_t axis = 0; axis < shape.size(); ++axis)
        for (const Turns& turns : turns_of(shape[axis])) {
          if ((turns.groups > 1) != by_turns) continue;
          const auto slots = slots_along(slices[axis], 0, total / shape[axis], turns, needles, counts, elements_of,
                                         [&](size_t t) { return targets_[t].done; });
          if (slots.size() < 2) continue;
          const auto parts = assigned(
              slots, [&](size_t t) -> const std::string& { return target_key(t); },
              [&](size_t t) { return guide_->score(sources_[s].ref, static_cast<uint32_t>(t)); }, constants);
          if (!parts.empty() && cut_into(s, dtype, axis, slots, parts, turns)) return true;
        }
    return false;
  }

  // source[e] = the parts of e, joined
  bool cut_twice(size_t s, DType dtype, const Needles& needles, const std::set<int64_t>& counts, bool constants) {
    const Shape& shape = info(sources_[s]).shape;
    if (shape.size() < 2) return false;
    const int64_t each = element_count(shape) / shape[0];
    const auto slices = inner_slices_of(source_of(sources_[s]), sources_[s].ref.tensor, dtype);
    for (const bool by_turns : {false, true})
      for (size_t axis = 1; axis < shape.size(); ++axis)
        for (const Turns& turns : turns_of(shape[axis]))
          if ((turns.groups > 1) == by_turns &&
              cut_twice(s, dtype, axis, each / shape[axis], turns, slices[axis - 1], needles, counts, constants))
            return true;
    return false;
  }

  bool cut_twice(size_t s, DType dtype, size_t axis, int64_t slice, const Turns& turns,
                 const std::vector<uint64_t>& slices, const Needles& needles, const std::set<int64_t>& counts,
                 bool constants) {
    const auto key_of = [&](size_t t) -> const std::string& { return target_key(t); };
    const auto score_of = [&](size_t t) { return guide_->score(sources_[s].ref, static_cast<uint32_t>(t)); };
    const auto elements_of = [&](size_t t) { return element_count(info(static_cast<uint32_t>(t)).shape); };
    const auto grid = grid_along(
        info(sources_[s]).shape, axis, slice, turns, slices, needles, counts, elements_of,
        [&](size_t t) { return targets_[t].done; }, key_of, score_of, constants);
    if (!grid) return false;
    Relation relation = grid->relation;
    relation.kind = Relation::Kind::split_each_into;
    relation.sources = {sources_[s].ref};
    std::optional<Layout> layout;
    const auto order = telling_first(grid->numbers, [&](size_t t) { return targets_[t].print.constant; });
    for (size_t n = 0; n < order.size(); ++n) {
      const size_t i = order[n];
      const auto t = static_cast<uint32_t>(grid->numbers[i]);
      const Elements from = elements(source_of(sources_[s]), sources_[s].ref.tensor, grid->places[i], dtype),
                     to = whole(t);
      if (layout && !gives(*layout, from, grid->places[i].shape, to, info(t).shape)) return false;
      if (!layout) layout = find_layout(from, grid->places[i].shape, to, info(t).shape);
      if (!layout || layout->regroup_axis >= 0) return false;
      if (n == 2) n = std::max(n, order.size() - 2);
    }
    for (const size_t t : grid->numbers) relation.targets.push_back(static_cast<uint32_t>(t));
    relation.layout = *layout;
    take(std::move(relation));
    return true;
  }

  bool cut_into(size_t s, DType dtype, size_t axis, const std::vector<Slot>& slots, const std::vector<size_t>& parts,
                const Turns& turns) {
    const Shape& shape = info(sources_[s]).shape;
    const bool ones = std::all_of(slots.begin(), slots.end(), [](const Slot& slot) { return slot.length == 1; });
    std::vector<std::string> keys;
    for (const size_t part : parts) keys.push_back(target_key(part));
    const bool each = ones && turns.groups == 1 && counting_place(keys).has_value();
    // Parts of one layout form a relation; the others are left out of it, and have their own.
    std::vector<std::pair<Layout, std::vector<size_t>>> by_layout;
    const auto order = telling_first(parts, [&](size_t t) { return targets_[t].print.constant; });
    for (size_t n = 0; n < order.size(); ++n) {
      const size_t i = order[n];
      const auto t = static_cast<uint32_t>(parts[i]);
      const Box box = box_of(shape, axis, slots[i].begin, slots[i].length);
      const Place place{box, axis, turns,
                        each ? without(shape, axis) : with(shape, axis, slots[i].length * turns.groups)};
      if (each && n > 1 && n + 1 < parts.size()) {
        by_layout.front().second.push_back(i);
        continue;
      }
      const Elements from = elements(source_of(sources_[s]), sources_[s].ref.tensor, place, dtype), to = whole(t);
      // What another part needed fits constants too.
      const auto known = std::find_if(by_layout.begin(), by_layout.end(), [&](const auto& group) {
        return gives(group.first, from, place.shape, to, info(t).shape);
      });
      if (known != by_layout.end()) {
        known->second.push_back(i);
        continue;
      }
      const auto layout = find_layout(from, place.shape, to, info(t).shape);
      if (!layout || (turns.groups > 1 && layout->regroup_axis >= 0)) return false;
      by_layout.push_back({*layout, {i}});
    }
    if (each && by_layout.size() > 1) return false;
    for (auto& [layout, members] : by_layout) {
      std::sort(members.begin(), members.end());
      Relation relation;
      relation.kind = each ? Relation::Kind::split_each : Relation::Kind::split_into;
      relation.axis = static_cast<int>(axis);
      relation.groups = turns.groups;
      relation.layout = layout;
      relation.sources = {sources_[s].ref};
      for (size_t i = 0; i < parts.size(); ++i) {
        const bool own = std::find(members.begin(), members.end(), i) != members.end();
        relation.targets.push_back(own ? static_cast<uint32_t>(parts[i]) : Relation::kNoPart);
        if (!each) relation.sizes.push_back(slots[i].length);
      }
      take(std::move(relation));
    }
    return true;
  }

  // ------------------------------------------------------------ what hashes cannot tell

  // Whether the tensors of a relation hold what it says: all elements, or a sample of large tensors.
  bool holds(const Relation& r) const {
    using Kind = Relation::Kind;
    const auto first =
        std::find_if(r.targets.begin(), r.targets.end(), [](uint32_t t) { return t != Relation::kNoPart; });
    if (first == r.targets.end()) return false;
    const DType dtype = info(*first).dtype;
    for (const Ref ref : r.sources)
      if (!sources_[number_of(ref)].prints.contains(dtype)) return false;
    for (const uint32_t t : r.targets)
      if (t != Relation::kNoPart && info(t).dtype != dtype) return false;
    const bool cutting = r.cuts(), twice = r.cuts_or_joins_twice();
    const size_t parts = cutting ? r.targets.size() : r.sources.size();
    const bool each = r.kind == Kind::split_each || r.kind == Kind::stack;
    const Shape whole_shape = cutting ? info(sources_[number_of(r.sources[0])]).shape : info(*first).shape;
    const size_t axis = static_cast<size_t>(twice ? r.inner_axis + 1 : r.axis);
    int64_t period = 0, at = 0;
    for (const int64_t size : r.sizes) period += size;
    const bool whole_tensor = r.kind == Kind::rename || r.kind == Kind::replicated;
    const bool sized = !each && !whole_tensor;
    if (!whole_tensor &&
        (axis >= whole_shape.size() || (sized ? period * r.groups : static_cast<int64_t>(parts)) != whole_shape[axis]))
      return false;
    if (twice && whole_shape[0] * static_cast<int64_t>(r.sizes.size()) != static_cast<int64_t>(parts)) return false;
    if (sized && !twice && r.sizes.size() != parts) return false;
    for (size_t i = 0; i < parts; ++i) {
      const SourceTensor& s = sources_[number_of(r.sources[cutting ? 0 : i])];
      const uint32_t t = cutting ? r.targets[i] : *first;
      if (whole_tensor) {
        if (!gives(r.layout, whole(s, dtype), info(s).shape, whole(t), info(t).shape)) return false;
        continue;
      }
      const int64_t length = each ? 1 : r.sizes[i % r.sizes.size()];
      if (twice && i % r.sizes.size() == 0) at = 0;
      Place place{
          box_of(whole_shape, axis, at, length), axis, {r.groups, period}, with(whole_shape, axis, length * r.groups)};
      at += length;
      if (each) place.shape = without(whole_shape, axis);
      if (twice) {
        place.box.origin[0] = static_cast<int64_t>(i / r.sizes.size()), place.box.extent[0] = 1;
        place.shape = without(place.shape, 0);
      }
      if (t == Relation::kNoPart) continue;
      if (cutting ? !gives(r.layout, elements(source_of(s), s.ref.tensor, place, dtype), place.shape, whole(t),
                           info(t).shape)
                  : !gives(r.layout, whole(s, dtype), info(s).shape, elements(*problem_.target, t, place, dtype),
                           place.shape))
        return false;
    }
    return true;
  }
  bool is_open(const Relation& r) const {
    const auto open_target = [&](uint32_t t) { return t == Relation::kNoPart || !targets_[t].done; };
    return std::none_of(r.sources.begin(), r.sources.end(), [&](Ref ref) { return sources_[number_of(ref)].used; }) &&
           std::all_of(r.targets.begin(), r.targets.end(), open_target);
  }

  // A whole goes the way of its neighbours whose keys differ in numbers only: the parts' numbers change as the whole's
  // do.
  void match_neighbours() {
    std::map<KeyForm, std::vector<uint32_t>> open_targets;
    std::map<std::pair<uint32_t, KeyForm>, std::vector<size_t>> open_sources;
    std::map<std::string, uint32_t> target_of;
    std::map<std::pair<uint32_t, std::string>, Ref> source_of_key;
    for (uint32_t t = 0; t < targets_.size(); ++t)
      if (!targets_[t].done)
        open_targets[numbered(info(t).key).shape()].push_back(t), target_of.emplace(info(t).key, t);
    for (size_t s = 0; s < sources_.size(); ++s)
      if (!sources_[s].used && info(sources_[s]).unread == nullptr)
        open_sources[{sources_[s].ref.source, numbered(source_key(s)).shape()}].push_back(s),
            source_of_key.emplace(std::pair(sources_[s].ref.source, source_key(s)), sources_[s].ref);
    if (open_targets.empty() || open_sources.empty()) return;
    const size_t count = findings_.relations.size();
    for (size_t r = 0; r < count; ++r) {
      const Relation known = findings_.relations[r];
      const uint32_t source = known.sources[0].source;
      const bool cutting = known.cuts();
      if (!cutting && known.kind != Relation::Kind::stack && known.kind != Relation::Kind::concat &&
          known.kind != Relation::Kind::stack_concat)
        continue;
      const Numbered from = numbered(cutting ? problem_.key(known.sources[0]) : info(known.targets[0]).key);
      std::vector<std::string> wholes;
      if (cutting)
        for (const size_t s : open_sources[{source, from.shape()}]) wholes.push_back(source_key(s));
      else
        for (const uint32_t t : open_targets[from.shape()]) wholes.push_back(info(t).key);
      for (const auto& key : wholes) {
        Relation relation = known;
        const Numbered to = numbered(key);
        std::vector<std::string> parts;
        for (size_t i = 0; i < (cutting ? known.targets.size() : known.sources.size()); ++i)
          parts.push_back(!cutting                                ? problem_.key(known.sources[i])
                          : known.targets[i] == Relation::kNoPart ? ""
                                                                  : info(known.targets[i]).key);
        if (!renumber(parts, from, to)) continue;
        bool all = true;
        const auto source_named = [&](const std::string& name, Ref& ref) {
          const auto it = source_of_key.find({source, name});
          if (it == source_of_key.end())
            all = false;
          else
            ref = it->second;
        };
        const auto target_named = [&](const std::string& name, uint32_t& t) {
          if (t == Relation::kNoPart) return;
          const auto it = target_of.find(name);
          if (it == target_of.end())
            all = false;
          else
            t = it->second;
        };
        if (cutting)
          source_named(key, relation.sources[0]);
        else
          target_named(key, relation.targets[0]);
        for (size_t i = 0; i < parts.size() && all; ++i)
          if (cutting)
            target_named(parts[i], relation.targets[i]);
          else
            source_named(parts[i], relation.sources[i]);
        if (all && is_open(relation) && holds(relation)) take(std::move(relation));
      }
    }
  }
  // Numbers of the parts that are one of the whole's in all of them, or that and the same more, change with it.
  static bool renumber(std::vector<std::string>& parts, const Numbered& from, const Numbered& to) {
    std::vector<Numbered> all;
    for (const auto& part : parts) all.push_back(numbered(part));
    const auto first = std::find_if(all.begin(), all.end(),
                                    [](const Numbered& one) { return !one.texts[0].empty() || !one.numbers.empty(); });
    if (first == all.end()) return false;
    const Numbered model = *first;
    for (size_t c = 0; c < model.numbers.size(); ++c)
      for (size_t d = 0; d < from.numbers.size(); ++d) {
        const auto add = std::stoll(model.numbers[c]) - std::stoll(from.numbers[d]);
        const bool alike = std::all_of(all.begin(), all.end(), [&](const Numbered& one) {
          return one.numbers.empty() ||
                 (c < one.numbers.size() && std::stoll(one.numbers[c]) - std::stoll(from.numbers[d]) == add);
        });
        const auto moved = std::stoll(to.numbers[d]) + add;
        if (!alike || moved < 0 || (add != 0 && from.numbers[d] == to.numbers[d])) continue;
        for (Numbered& one : all)
          if (c < one.numbers.size()) one.numbers[c] = std::to_string(moved);
        break;
      }
    for (size_t i = 0; i < parts.size(); ++i) {
      std::string text = all[i].texts[0];
      for (size_t c = 0; c < all[i].numbers.size(); ++c) text += all[i].numbers[c] + all[i].texts[c + 1];
      parts[i] = text;
    }
    return true;
  }

  // What names say of tensors that are still open, where the values agree: constants.
  void match_suggested() {
    const bool open = std::any_of(sources_.begin(), sources_.end(), [](const auto& s) { return !s.used; }) &&
                      std::any_of(targets_.begin(), targets_.end(), [](const auto& t) { return !t.done; });
    if (!open) return;
    suggest();
    for (Relation relation : *suggested_) {
      if (!is_open(relation) || !holds(relation)) continue;
      relation.checks = {
          fmt::format("'{}' holds the same values as others; its name decided", problem_.key(relation.sources[0]))};
      take(std::move(relation));
    }
  }

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
      for (Ref& ref : relation.sources) {
        const auto it = open_sources.find({ref.source, sibling(problem_.info(ref).key)});
        if (it == open_sources.end()) {
          all = false;
          break;
        }
        ref = sources_[it->second].ref;
      }
      for (uint32_t& t : relation.targets) {
        if (t == Relation::kNoPart || !all) continue;
        const auto it = open_targets.find(sibling(info(t).key));
        if (it == open_targets.end())
          all = false;
        else
          t = it->second;
      }
      if (!all || relation.layout.order.size() > 1) continue;
      if (relation.layout.regroup_axis > 0 || !relation.layout.reshape.empty()) relation.layout = {};
      if (is_open(relation) && holds(relation)) take(std::move(relation));
    }
  }

  void finish() {
    for (uint32_t t = 0; t < targets_.size(); ++t) {
      if (targets_[t].left) findings_.open_targets.push_back(t);
      if (targets_[t].done) continue;
      const auto value = targets_[t].print.constant ? constant_of(t) : std::nullopt;
      if (value)
        findings_.fills.push_back({t, *value});
      else if (const auto of = copy_of(t))
        findings_.copies.push_back({t, *of});
      else
        findings_.open_targets.push_back(t);
    }
    for (const auto& s : sources_)
      if (!s.used) findings_.open_sources.push_back(s.ref);
  }

  std::optional<double> constant_of(uint32_t t) const {
    const TensorInfo& tensor = info(t);
    if (tensor.dtype == DType::c64 || tensor.dtype == DType::c128 || element_count(tensor.shape) == 0)
      return std::nullopt;
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
    const auto it = done_by_content_.find(
        {{targets_[t].print.ordered, element_count(info(t).shape), info(t).dtype}, info(t).shape});
    return it == done_by_content_.end() ? std::nullopt : std::optional(it->second);
  }

  const Problem& problem_;
  Findings findings_;
  std::optional<std::vector<Relation>> suggested_;  // by names; absent: not asked for yet
  std::vector<SameValues> constants_;               // tensors of one value that are equal
  const NameGuide* guide_ = nullptr;                // while parts are looked for
  std::vector<size_t> first_;                       // number of each source's first tensor
  std::vector<SourceTensor> sources_;
  std::vector<TargetTensor> targets_;
  std::map<size_t, std::vector<size_t>> replicas_;  // the first of each
  std::map<std::pair<Whole, Shape>, uint32_t> done_by_content_;
  size_t n_windows_ = 0;
};

}  // namespace

Findings find_by_values(const Problem& problem) { return Search(problem).run(); }

}  // namespace remap::infer
