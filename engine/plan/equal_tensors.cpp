#include "plan/equal_tensors.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "base/text.h"

namespace remap::plan {
namespace {

using lang::Rule;

// The key without what the replicated hole took.
std::string key_without(const Rule& rule, const Match& match, const Choices& choices) {
  lang::Captures rest = match.captures;
  for (auto& [name, text] : rest.holes)
    if (name == rule.replicated) text.clear();
  return lang::expand_source(rule.from, rule.from, rest, choices.texts);
}

// `first` is converted, and `key` should hold the same.
void check_replica(const PlanInput& input, const Rule& rule, const layout::SourceKey& first,
                   const layout::SourceKey& key, bool same, Diagnostics& diagnostics) {
  const Shape &shape = input.info(key).shape, &kept = input.info(first).shape;
  if (shape != kept)
    diagnostics.error(
        "plan-twin-differs", rule.place,
        fmt::format("'{}' of shape {} and '{}' of shape {} cannot hold the same values ('replicated: {}')", first.key,
                    to_string(kept), key.key, to_string(shape), rule.replicated),
        "copies have one shape; the checkpoint is not what the rule file takes it for");
  else if (!same && !input.chose("replicas", "first"))
    diagnostics.error("plan-twin-differs", rule.place,
                      fmt::format("'{}' and '{}' should hold the same values ('replicated: {}'), but they differ",
                                  first.key, key.key, rule.replicated),
                      "'remap compare' shows how much; --set replicas=first takes the first and drops the others");
}

void add_replicas(const PlanInput& input, const Choices& choices, uint32_t r, const RuleMatches& matches,
                  layout::CheckpointScope& scope, Replicas& found, Diagnostics& diagnostics) {
  const Rule& rule = input.rules.rules[r];
  struct First {
    const layout::SourceKey* key = nullptr;
    std::string replica;
  };
  std::map<std::string, First> firsts;
  for (const Match& match : matches) {
    First& first = firsts[key_without(rule, match, choices)];
    const std::string& replica = *match.captures.hole(rule.replicated);
    if (first.key == nullptr || natural_less(replica, first.replica)) first = {match.key, replica};
  }
  for (const Match& match : matches) {
    const layout::SourceKey &key = *match.key, &first = *firsts.at(key_without(rule, match, choices)).key;
    if (&first == &key) continue;
    const bool same = scope.same(key, first);
    check_replica(input, rule, first, key, same, diagnostics);
    found.skipped.emplace(r, &key);
    found.dropped.push_back({key.source,
                             key.tensor,
                             r,
                             (same ? "the same as " : "replicas=first: it differs from ") + input.info(first).key,
                             {},
                             0});
  }
}

// True where it was reported that nobody can tell.
bool same_as_twin(const layout::SourceKey& key, const layout::SourceKey& twin, layout::CheckpointScope& scope,
                  Diagnostics& diagnostics) {
  try {
    return scope.same(key, twin);
  } catch (const Error& e) {
    diagnostics.add(e.diagnostic());
    return true;
  }
}

void report_missing_twin(const PlanInput& input, const Choices& choices, const Rule& rule, const Match& match,
                         const std::string& twin, Diagnostics& diagnostics) {
  const auto own = lang::without_prefix(*rule.equal_to);
  const std::string whole = own ? lang::expand_source(*own, rule.from, match.captures, choices.texts) : "";
  const bool there = own && input.keys.find(match.key->source, whole) != nullptr;
  diagnostics.error(
      "plan-twin-differs", rule.place,
      fmt::format("'{}' is dropped as equal to '{}', which the checkpoint does not have", match.key->key, twin),
      there ? lang::prefix_hint("equal_to", *rule.equal_to, whole) : "");
}

}  // namespace

Replicas find_replicas(const PlanInput& input, const Choices& choices, const Matches& matches,
                       layout::CheckpointScope& scope, Diagnostics& diagnostics) {
  Replicas found;
  for (uint32_t r = 0; r < matches.by_rule.size(); ++r) {
    const Rule& rule = input.rules.rules[r];
    if (rule.replicated.empty()) continue;
    try {
      add_replicas(input, choices, r, matches.by_rule[r], scope, found, diagnostics);
    } catch (const Error& e) {
      add_about(rule, e, diagnostics);
      for (size_t i = 0; i < matches.by_rule[r].size(); ++i) found.skipped.emplace(r, &matches.by_rule[r].key(i));
    }
  }
  return found;
}

DifferingTwins check_twins(const PlanInput& input, const Choices& choices, const Matches& matches,
                           layout::CheckpointScope& scope, Diagnostics& diagnostics) {
  DifferingTwins differing;
  for (size_t r = 0; r < matches.by_rule.size(); ++r) {
    const Rule& rule = input.rules.rules[r];
    if (!rule.equal_to) continue;
    for (const Match& match : matches.by_rule[r]) {
      const layout::SourceKey& key = *match.key;
      const std::string name = lang::expand_source(*rule.equal_to, rule.from, match.captures, choices.texts);
      const layout::SourceKey* twin = input.keys.find(key.source, name);
      if (twin == nullptr)
        report_missing_twin(input, choices, rule, match, name, diagnostics);
      else if (same_as_twin(key, *twin, scope, diagnostics))
        continue;
      else if (input.chose("twins", "kept"))
        differing[{key.source, key.tensor}] = name;
      else
        diagnostics.error(
            "plan-twin-differs", rule.place,
            fmt::format("'{}' is dropped as equal to '{}', but they differ", key.key, name),
            "the checkpoint is not what the rule file takes it for; --set twins=kept drops it nevertheless");
    }
  }
  return differing;
}

std::vector<DroppedTensor> dropped_tensors(const PlanInput& input, const Matches& matches, const Replicas& replicas,
                                           const DifferingTwins& twins, const SharedOnce& shared,
                                           const std::vector<DroppedTensor>& parts) {
  std::vector<DroppedTensor> dropped = replicas.dropped;
  dropped.insert(dropped.end(), shared.dropped.begin(), shared.dropped.end());
  for (uint32_t r = 0; r < matches.by_rule.size(); ++r) {
    const Rule& rule = input.rules.rules[r];
    if (rule.kind != Rule::Kind::drop || rule.split) continue;  // of a split only parts are dropped
    for (size_t i = 0; i < matches.by_rule[r].size(); ++i) {
      const layout::SourceKey& key = matches.by_rule[r].key(i);
      dropped.push_back({key.source, key.tensor, r, rule.because, {}, 0});
      const auto twin = twins.find({key.source, key.tensor});
      if (twin != twins.end())
        dropped.back().because += fmt::format("; differs from {}, which is taken (twins=kept)", twin->second);
    }
  }
  dropped.insert(dropped.end(), parts.begin(), parts.end());
  const auto place = [](const DroppedTensor& d) { return std::tie(d.source, d.tensor, d.part); };
  std::stable_sort(dropped.begin(), dropped.end(), [&](const auto& a, const auto& b) { return place(a) < place(b); });
  // Rules that share a tensor slice it alike.
  const auto same = [&](const auto& a, const auto& b) { return !a.part.empty() && place(a) == place(b); };
  dropped.erase(std::unique(dropped.begin(), dropped.end(), same), dropped.end());
  return dropped;
}

}  // namespace remap::plan
