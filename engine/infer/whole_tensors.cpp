// Tensors that hold the same as a whole, in the same order or in another.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "infer/key_text.h"
#include "infer/value_search.h"

namespace remap::infer {
namespace {

using SameValues = ValueSearch::SameValues;

// Of the sources that hold the same, those that all files of one have alike count as one: the first.
std::vector<size_t> without_replicas(ValueSearch& search, const std::vector<size_t>& sources) {
  std::vector<size_t> firsts;
  std::map<std::pair<uint32_t, std::string>, std::vector<size_t>> by_key;
  for (const size_t s : sources) {
    const uint32_t source = search.sources[s].ref.source;
    const auto one = search.problem.files[source] ? in_file(search.info(s).key) : std::nullopt;
    if (one)
      by_key[{source, one->key}].push_back(s);
    else
      firsts.push_back(s);
  }
  for (auto& [key, members] : by_key) {
    std::sort(members.begin(), members.end());
    firsts.push_back(members[0]);
    if (members.size() > 1) search.replicas[members[0]] = members;
  }
  std::sort(firsts.begin(), firsts.end());
  return firsts;
}

// The module's name and the tensor's: "ln_1.weight".
std::string end_of(const std::string& key) {
  const std::string outer = parent_of(parent_of(key));
  return outer.empty() ? key : key.substr(outer.size() + 1);
}

// A source and a target that hold the same, and how well their names fit.
struct Match {
  double score;
  size_t s;
  uint32_t t;
};

void sort_best_first(std::vector<Match>& matches) {
  std::stable_sort(matches.begin(), matches.end(), [](const Match& a, const Match& b) { return a.score > b.score; });
}

constexpr double kVoteOfLayers = 3;  // most that it adds to a score
constexpr double kSureLead = 0.5;    // a smaller one is marked

// What most layers would do, all do: a first choice votes for ends of keys that correspond.
void add_votes(std::vector<Match>& matches, const ValueSearch& search) {
  std::map<std::pair<std::string, std::string>, double> votes;
  std::map<std::string, double> most;
  std::set<size_t> taken_sources;
  std::set<uint32_t> taken_targets;
  for (const Match& match : matches) {
    if (taken_sources.contains(match.s) || taken_targets.contains(match.t)) continue;
    taken_sources.insert(match.s), taken_targets.insert(match.t);
    const std::string end = end_of(search.source_key(match.s));
    most[end] = std::max(most[end], ++votes[{end, end_of(search.target_key(match.t))}]);
  }
  for (Match& match : matches) {
    const std::string end = end_of(search.source_key(match.s));
    const auto vote = votes.find({end, end_of(search.target_key(match.t))});
    if (vote != votes.end()) match.score += kVoteOfLayers * vote->second / most.at(end);
  }
}

std::string name_decided(const std::string& key) {
  return fmt::format("'{}' holds the same values as others; its name decided", key);
}

// The best matches hold; those that lead little are marked.
void rename_by_name(ValueSearch& search, const std::vector<Match>& matches) {
  std::map<size_t, std::vector<const Match*>> by_source;
  std::map<uint32_t, std::vector<const Match*>> by_target;
  for (const Match& match : matches) by_source[match.s].push_back(&match), by_target[match.t].push_back(&match);
  // The best that is left for one of both, but for the match itself.
  const auto next_of = [&](const std::vector<const Match*>& list, const Match& match) {
    for (const Match* other : list)
      if ((other->s == match.s) != (other->t == match.t) && !search.sources[other->s].used &&
          !search.targets[other->t].done)
        return other->score;
    return -1.0;
  };
  for (const Match& match : matches) {
    if (search.sources[match.s].used || search.targets[match.t].done) continue;
    const double next = std::max(next_of(by_source[match.s], match), next_of(by_target[match.t], match));
    const bool close = match.score - next < kSureLead && next > 0;
    search.rename(match.s, match.t, {}, close ? name_decided(search.info(match.s).key) : "");
  }
}

// The same bytes again, on either side.
void note_repetitions(ValueSearch& search, const SameValues& same) {
  const auto& [sources, targets] = same;
  const auto target = std::find_if(targets.begin(), targets.end(), [&](uint32_t t) { return search.targets[t].done; });
  const auto source = std::find_if(sources.begin(), sources.end(), [&](size_t s) { return search.sources[s].used; });
  for (const uint32_t t : targets)
    if (!search.targets[t].done && target != targets.end()) {
      search.findings.copies.push_back({t, *target});
      search.targets[t].done = true;
    }
  for (const size_t s : sources)
    if (!search.sources[s].used && source != sources.end() &&
        search.sources[s].ref.source == search.sources[*source].ref.source) {
      search.findings.twins.push_back({search.sources[s].ref, search.sources[*source].ref});
      search.sources[s].used = true;
    }
}

// Tensors that all hold the same: names decide who is whose.
void decide(ValueSearch& search, const NameGuide& guide, const SameValues& same) {
  constexpr size_t kMaxMatches = 4'000'000;
  const auto& [sources, targets] = same;
  if (sources.size() * targets.size() > kMaxMatches) return;
  std::vector<Match> matches;
  for (const size_t s : sources)
    for (const uint32_t t : targets) matches.push_back({guide.score(search.sources[s].ref, t), s, t});
  sort_best_first(matches);
  add_votes(matches, search);
  sort_best_first(matches);
  const bool constant = search.targets[targets[0]].print.constant;
  rename_by_name(search, matches);
  if (!constant) note_repetitions(search, same);
}

void decide_all(ValueSearch& search, const std::vector<SameValues>& groups) {
  if (groups.empty()) return;
  search.suggested();
  const NameGuide guide = search.guide();
  for (const auto& same : groups) decide(search, guide, same);
}

}  // namespace

void match_whole(ValueSearch& search) {
  using Content = std::tuple<uint64_t, int64_t, DType, Shape>;
  const auto content = [](const Print& print, DType dtype, const Shape& shape) {
    return Content{print.ordered, element_count(shape), dtype, shape};
  };
  std::map<Content, SameValues> by_content;
  for (uint32_t t = 0; t < search.targets.size(); ++t)
    if (const TensorInfo& info = search.target_info(t); !search.targets[t].left)
      by_content[content(search.targets[t].print, info.dtype, info.shape)].second.push_back(t);
  for (size_t s = 0; s < search.sources.size(); ++s)
    for (const auto& [dtype, print] : search.sources[s].prints)
      if (const auto it = by_content.find(content(print, dtype, search.info(s).shape)); it != by_content.end())
        it->second.first.push_back(s);
  std::vector<SameValues> ambiguous;
  for (auto& [key, same] : by_content) {
    same.first = without_replicas(search, same.first);
    if (same.first.empty()) continue;
    if (search.targets[same.second[0]].print.constant)
      search.constants.push_back(same);
    else if (same.first.size() == 1 && same.second.size() == 1)
      search.rename(same.first[0], same.second[0], {}, "");
    else
      ambiguous.push_back(same);
  }
  decide_all(search, ambiguous);
}

void decide_constants(ValueSearch& search) {
  std::vector<SameValues> open;
  for (auto& [sources, targets] : search.constants) {
    std::erase_if(sources, [&](size_t s) { return search.sources[s].used; });
    std::erase_if(targets, [&](uint32_t t) { return search.targets[t].done; });
    if (sources.size() == 1 && targets.size() == 1)
      search.rename(sources[0], targets[0], {}, "");
    else if (!sources.empty() && !targets.empty())
      open.push_back({sources, targets});
  }
  decide_all(search, open);
}

void match_rearranged(ValueSearch& search, bool constants) {
  if (!search.any_open()) return;
  search.sum_open();
  using Content = std::tuple<uint64_t, int64_t, DType>;
  std::map<Content, std::vector<size_t>> by_content;
  for (size_t s = 0; s < search.sources.size(); ++s)
    if (!search.sources[s].used)
      for (const auto& [dtype, print] : search.sources[s].prints)
        by_content[{*print.multiset, element_count(search.info(s).shape), dtype}].push_back(s);
  const NameGuide guide = search.guide();
  for (uint32_t t = 0; t < search.targets.size(); ++t) {
    const TensorInfo& info = search.target_info(t);
    if (search.targets[t].done || search.targets[t].print.constant != constants) continue;
    const auto it = by_content.find({*search.targets[t].print.multiset, element_count(info.shape), info.dtype});
    if (it == by_content.end()) continue;
    std::vector<std::pair<double, size_t>> candidates;
    for (const size_t s : it->second) candidates.emplace_back(guide.score(search.sources[s].ref, t), s);
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    for (const auto& [score, s] : candidates) {
      if (search.sources[s].used) continue;
      const auto layout = find_layout(search.source_elements(s, info.dtype), search.info(s).shape,
                                      search.target_elements(t), info.shape);
      if (!layout) continue;
      search.rename(s, t, *layout, "");
      break;
    }
  }
}

void match_suggested(ValueSearch& search) {
  if (!search.any_open()) return;
  for (Relation relation : search.suggested()) {
    if (!is_open(search, relation) || !holds(search, relation)) continue;
    relation.checks = {name_decided(search.problem.key(relation.sources[0]))};
    search.take(std::move(relation));
  }
}

}  // namespace remap::infer
