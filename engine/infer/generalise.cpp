// Bottom up: numbers become indices where source and target count together; then whole subtrees that keep their names
// below a prefix become one rule with **; then rules that differ in one word become one with alternatives or a table.
// Every pattern is tried on all keys of its source: one that takes a key which is not its own is made narrower, in the
// end literal.
#include "infer/generalise.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "infer/drops.h"
#include "infer/indices.h"
#include "infer/key_text.h"
#include "infer/merge_words.h"
#include "infer/narrow.h"
#include "infer/subtrees.h"

namespace remap::infer {
namespace {

constexpr size_t kMaxChecks = 4;  // lines above a rule

// A pattern can say it as it is.
bool is_plain(const PatternRule& rule) {
  const auto& tokens = rule.from.tokens();
  return std::all_of(tokens.begin(), tokens.end(), [](const KeyToken& token) {
    return token.kind != KeyToken::Kind::text || can_be_written(token.text);
  });
}

std::vector<PatternRule> literal_rules(const PatternRule& rule, const Problem& problem, const Findings& findings,
                                       const Roots& roots, Operations& operations) {
  std::vector<PatternRule> rules;
  if (rule.kind == PatternRule::Kind::drop) {
    for (const Ref ref : rule.refs) {
      PatternRule one = rule;
      one.variables.clear();
      one.from = KeyForm(key_below_root(problem, roots, ref));
      one.refs = {ref};
      rules.push_back(std::move(one));
    }
    return rules;
  }
  for (const size_t r : rule.relations)
    if (const auto pair = pair_of(problem, findings, roots, r, operations))
      rules.push_back(literal_rule(*pair, rule.source, findings, operations));
  return rules;
}

template <typename T>
void append(std::vector<T>& list, std::vector<T> more) {
  list.insert(list.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

// Why the rule is not certain, and what is wrong with it, in at most kMaxChecks lines.
void note_checks(PatternRule& rule, const Findings& findings, const Lessons& lessons) {
  std::set<std::string> known;
  for (const size_t r : rule.relations)
    if (const auto it = lessons.open.find(r); it != lessons.open.end() && known.insert(it->second).second)
      rule.open.push_back(it->second);
  for (const size_t r : rule.relations)
    for (const auto& check : findings.relations[r].checks)
      if (known.insert(check).second) rule.checks.push_back(check);
  if (rule.checks.size() <= kMaxChecks) return;
  std::stable_partition(rule.checks.begin(), rule.checks.end(),
                        [](const std::string& check) { return !check.ends_with(kFitsAsWell); });
  const size_t more = rule.checks.size() - kMaxChecks + 1;
  rule.checks.resize(kMaxChecks - 1);
  rule.checks.push_back(fmt::format("and {} more reasons", more));
}

}  // namespace

GeneralRules generalise(const Problem& problem, const Findings& findings, const Roots& roots, const Lessons& lessons) {
  GeneralRules result;
  Operations operations;
  CountedPrefixes counted;
  std::vector<std::string> targets;
  for (const auto& tensor : problem.target->manifest().tensors()) targets.push_back(tensor.key);
  counted.target = counted_prefixes(targets);
  for (uint32_t source = 0; source < problem.sources.size(); ++source) {
    const SourceKeys keys = source_keys(problem, roots, source);
    std::vector<std::string> texts;
    for (const auto& [key, ref] : keys) texts.push_back(key);
    counted.source = counted_prefixes(texts);
    auto pairs = pairs_of(problem, findings, roots, source, lessons.out, operations, result.left);
    std::vector<PatternRule> apart;  // rules that are not made more general
    for (const KeyPair& pair : pairs)
      if (lessons.alone.contains(pair.relation)) apart.push_back(literal_rule(pair, source, findings, operations));
    std::erase_if(pairs, [&](const KeyPair& pair) { return lessons.alone.contains(pair.relation); });
    auto rules = with_indices(pairs, source, findings, operations, counted);
    for (auto& rule : dropped_keys(problem, findings, roots, source, keys, result.left))
      (is_plain(rule) ? rules : apart).push_back(std::move(rule));
    rules = with_words(with_rest(std::move(rules)), operations);
    const auto literal = [&](const PatternRule& rule) {
      return literal_rules(rule, problem, findings, roots, operations);
    };
    for (auto& rule : rules) append(result.rules, narrowed(std::move(rule), keys, findings, literal));
    for (auto& rule : apart) {
      if (rule.kind == PatternRule::Kind::drop)
        result.rules.push_back(std::move(rule));
      else
        append(result.rules, narrowed(std::move(rule), keys, findings, literal));
    }
  }
  for (auto& rule : result.rules) note_checks(rule, findings, lessons);
  return result;
}

}  // namespace remap::infer
