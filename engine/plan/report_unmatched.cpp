// Keys that no rule matches: which rule was meant for each.
#include <algorithm>

#include <fmt/format.h>
#include <re2/re2.h>

#include "plan/key_form.h"
#include "plan/match_keys.h"
#include "plan/near_miss.h"

namespace remap::plan {
namespace {

using lang::Rule;

// Of every rule that keys match, a few of the targets that it gives.
std::vector<std::string> some_targets(const PlanInput& input, const Choices& choices, const Matches& matches) {
  std::vector<std::string> targets;
  for (size_t r = 0; r < matches.by_rule.size(); ++r) {
    const Rule& rule = input.rules.rules[r];
    const auto& matched = matches.by_rule[r];
    std::vector<std::string> parts = {""};
    if (rule.split) parts.front() = "0";
    if (rule.split && !rule.split->each) {
      parts.clear();
      for (const auto& part : rule.split->parts) parts.push_back(part.name);
    }
    try {
      for (size_t m = 0; m < matched.size(); m += matched.size() / 4 + 1)
        for (const auto& part : parts) {
          lang::Captures captures;
          matched.take(m, captures);
          if (rule.split) captures.holes.emplace_back(rule.split->hole, part);
          targets.push_back(lang::expand(rule.to, rule.from, captures, input.rules.tables, choices.texts));
        }
    } catch (const Error&) {
      continue;  // it is said where the targets are made
    }
  }
  return targets;
}

std::vector<NearRule> near_rules(const PlanInput& input, const Choices& choices, const ActiveRules& active,
                                 const Matches& matches, const std::vector<std::string>& targets, uint32_t source) {
  std::vector<NearRule> candidates;
  for (size_t r = 0; r < matches.by_rule.size(); ++r) {
    const Rule& rule = input.rules.rules[r];
    const bool matching = rule.kind == Rule::Kind::move || rule.kind == Rule::Kind::drop;
    if (!matching || input.rules.sources[source].name != rule.source) continue;
    NearRule near{&rule.from, &rule.place, active[r] ? nullptr : &*rule.when};
    if (active[r] && rule.where) candidates.push_back({&rule.from, &rule.place, &*rule.where});
    near.unused = active[r] && matches.by_rule[r].empty();
    if (near.unused && rule.kind == Rule::Kind::move && !rule.optional) {
      const RE2 given(lang::regex_of_target(rule.to, rule.from, input.rules.tables, choices.texts), RE2::Quiet);
      near.needed = std::none_of(targets.begin(), targets.end(),
                                 [&](const std::string& key) { return RE2::FullMatch(key, given); });
    }
    candidates.push_back(near);
  }
  return candidates;
}

void report(const PlanInput& input, const layout::SourceKey& key, const NearMisses::Near& near,
            Diagnostics& diagnostics) {
  const TensorInfo& info = input.info(key);
  const bool blamed = near.unused != nullptr;
  diagnostics.error(
      "plan-unmatched-key", blamed ? Place(near.place) : input.place_of_source(key.source),
      fmt::format("no rule matches the key '{}'{} ({})", key.key,
                  info.key == key.key ? "" : fmt::format(" ('{}' in the file)", info.key), describe(info)),
      blamed                   ? "correct this pattern; or add a rule for the key, or drop it with a reason"
      : info.unread != nullptr ? way_on(*info.unread)
                               : "add a rule for it, or drop it with a reason",
      near.notes);
}

}  // namespace

void report_unmatched(const PlanInput& input, const Choices& choices, const ActiveRules& active, const Matches& matches,
                      Diagnostics& diagnostics) {
  if (matches.unmatched.empty()) return;
  const std::vector<std::string> targets = some_targets(input, choices, matches);
  for (uint32_t source = 0; source < input.sources.size(); ++source) {
    const NearMisses near_misses(near_rules(input, choices, active, matches, targets, source), choices.texts);
    std::map<std::string, NearMisses::Near> explained;  // by the form of the key
    for (const layout::SourceKey* key : matches.unmatched) {
      if (key->source != source) continue;
      const std::string form = KeyForm(key->key).text;
      const auto known = explained.find(form);
      NearMisses::Near near;
      if (known != explained.end())
        near = known->second;
      else if (explained.size() < kMaxExplained)
        near = explained[form] = near_misses.explain(std::string(key->key));
      report(input, *key, near, diagnostics);
    }
  }
}

}  // namespace remap::plan
