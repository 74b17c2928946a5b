#include "infer/drops.h"

#include <algorithm>
#include <map>
#include <set>

#include "infer/key_text.h"

namespace remap::infer {
namespace {

PatternRule drop_rule(uint32_t source, KeyForm from) {
  PatternRule rule;
  rule.kind = PatternRule::Kind::drop;
  rule.source = source;
  rule.from = std::move(from);
  return rule;
}

// Whole subtrees of which no key stays, and more than one is open; what they hold is no longer open.
std::vector<PatternRule> dropped_subtrees(uint32_t source, const SourceKeys& keys, std::set<Ref>& open) {
  if (open.empty()) return {};
  std::set<std::string> used;  // prefixes of keys that stay
  for (const auto& [key, ref] : keys)
    if (!open.contains(ref))
      for (std::string path = key; !path.empty(); path = parent_of(path)) used.insert(path);
  std::map<std::string, PatternRule> by_top;
  for (const auto& [key, ref] : keys) {
    if (!open.contains(ref)) continue;
    std::string top;
    for (std::string path = parent_of(key); !path.empty() && !used.contains(path); path = parent_of(path)) top = path;
    if (top.empty()) continue;
    const auto rule =
        by_top.try_emplace(top, drop_rule(source, KeyForm(key.substr(0, top.size() + 1)) + KeyForm::rest()));
    rule.first->second.refs.push_back(ref);
  }
  std::vector<PatternRule> rules;
  for (auto& [top, rule] : by_top) {
    if (rule.refs.size() < 2) continue;
    std::sort(rule.refs.begin(), rule.refs.end());
    for (const Ref ref : rule.refs) open.erase(ref);
    rules.push_back(std::move(rule));
  }
  return rules;
}

// Keys that differ in numbers only.
PatternRule dropped_numbers(uint32_t source, const std::vector<std::pair<std::string, Ref>>& members) {
  std::vector<Numbered> keys;
  for (const auto& [key, ref] : members) keys.push_back(numbered(key));
  PatternRule rule = drop_rule(source, KeyForm(keys[0].texts[0]));
  for (size_t c = 0; c < keys[0].numbers.size(); ++c) {
    Variable variable;
    variable.index = true;
    std::set<std::string> known;
    for (const auto& key : keys)
      if (known.insert(key.numbers[c]).second) variable.values.emplace_back(key.numbers[c], key.numbers[c]);
    if (variable.values.size() == 1) {
      rule.from += keys[0].numbers[c];
    } else {
      rule.from += KeyForm::variable(rule.variables.size());
      rule.variables.push_back(std::move(variable));
    }
    rule.from += keys[0].texts[c + 1];
  }
  for (const auto& [key, ref] : members) rule.refs.push_back(ref);
  return rule;
}

}  // namespace

std::vector<PatternRule> dropped_keys(const Problem& problem, const Findings& findings, const Roots& roots,
                                      uint32_t source, const SourceKeys& keys, const std::vector<size_t>& left) {
  std::vector<Ref> unused;
  for (const Ref ref : findings.open_sources)
    if (ref.source == source && is_below_root(problem, roots, ref)) unused.push_back(ref);
  for (const size_t r : left)
    for (const Ref ref : findings.relations[r].sources)
      if (ref.source == source) unused.push_back(ref);
  std::set<Ref> open(unused.begin(), unused.end());
  auto rules = dropped_subtrees(source, keys, open);
  std::map<KeyForm, std::vector<std::pair<std::string, Ref>>> by_shape;
  for (const Ref ref : unused) {
    if (!open.erase(ref)) continue;
    const std::string key = key_below_root(problem, roots, ref);
    by_shape[numbered(key).shape()].emplace_back(key, ref);
  }
  for (const auto& [shape, members] : by_shape) rules.push_back(dropped_numbers(source, members));
  for (const auto& twin : findings.twins)
    if (twin.ref.source == source && is_below_root(problem, roots, twin.ref)) {
      rules.push_back(drop_rule(source, KeyForm(key_below_root(problem, roots, twin.ref))));
      rules.back().refs = {twin.ref};
    }
  return rules;
}

}  // namespace remap::infer
