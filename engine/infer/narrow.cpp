#include "infer/narrow.h"

#include <algorithm>
#include <memory>
#include <set>

#include <re2/re2.h>

#include "base/text.h"

namespace remap::infer {
namespace {

// What a token stands for, as a list of texts; empty: any number.
std::vector<std::string> texts_of(const PatternRule& rule, const KeyToken& token) {
  std::vector<std::string> texts;
  const Operation& operation = rule.operation;
  if (token.kind == KeyToken::Kind::each) {
    for (int64_t n = operation.first; operation.gathers() && n <= operation.last; ++n)
      texts.push_back(std::to_string(n));
  } else if (token.kind == KeyToken::Kind::part) {
    for (const auto& name : operation.names) texts.push_back(RE2::QuoteMeta(name));
  } else if (token.kind == KeyToken::Kind::variable && token.variable < rule.variables.size()) {
    const Variable& variable = rule.variables[token.variable];
    if (!variable.index || variable.listed)
      for (const auto& [value, translated] : variable.values) texts.push_back(RE2::QuoteMeta(value));
  }
  return texts;
}

std::string regex_of(const PatternRule& rule, const KeyForm& form) {
  std::string regex;
  for (const auto& token : form.tokens()) {
    using Kind = KeyToken::Kind;
    if (token.kind == Kind::text) {
      regex += RE2::QuoteMeta(token.text);
    } else if (token.kind == Kind::rest) {
      regex += "(?s:.+)";
    } else if (token.kind == Kind::word) {
      regex += "[^./]+";
    } else {
      const auto texts = texts_of(rule, token);
      regex += texts.empty() ? "[0-9]+" : "(?:" + join(texts, "|") + ")";
    }
  }
  return regex;
}

// Whether the rule would take a key that is not its own, or leaves one of its own out.
bool takes_others(const PatternRule& rule, const SourceKeys& keys) {
  const std::set<Ref> own(rule.refs.begin(), rule.refs.end());
  const RE2 pattern(regex_of(rule, rule.from), RE2::Quiet);
  std::vector<std::unique_ptr<RE2>> except;
  for (const auto& form : rule.except) except.push_back(std::make_unique<RE2>(regex_of(rule, form), RE2::Quiet));
  const std::string prefix = rule.from.leading_text();
  auto it = std::lower_bound(keys.begin(), keys.end(), prefix,
                             [](const auto& entry, const std::string& p) { return entry.first < p; });
  for (; it != keys.end() && it->first.starts_with(prefix); ++it) {
    if (!RE2::FullMatch(it->first, pattern)) continue;
    const bool excepted =
        std::any_of(except.begin(), except.end(), [&](const auto& e) { return RE2::FullMatch(it->first, *e); });
    if (excepted == own.contains(it->second)) return true;
  }
  return false;
}

// Numbered parts that other numbers follow which are not the rule's: how many there are is said. False: the relations
// differ in it.
bool give_end(PatternRule& rule, const Findings& findings) {
  Operation& o = rule.operation;
  if (!o.gathers() || o.last >= 0 || rule.relations.empty() || !rule.from.has(KeyToken::Kind::each)) return false;
  const size_t parts = o.kind == Relation::Kind::stack_concat ? o.names.size() : 1,
               count = findings.relations[rule.relations[0]].sources.size();
  for (const size_t r : rule.relations)
    if (findings.relations[r].sources.size() != count) return false;
  o.last = o.first + static_cast<int64_t>(count / parts) - 1;
  return true;
}

}  // namespace

std::vector<PatternRule> narrowed(PatternRule rule, const SourceKeys& keys, const Findings& findings,
                                  const std::function<std::vector<PatternRule>(const PatternRule&)>& literal) {
  constexpr size_t kMaxListed = 64;
  if (!takes_others(rule, keys)) return {std::move(rule)};
  PatternRule listed = rule;
  for (auto& variable : listed.variables) variable.listed = variable.index && variable.values.size() <= kMaxListed;
  if (!takes_others(listed, keys)) return {std::move(listed)};
  for (PatternRule one : {rule, listed})
    if (give_end(one, findings) && !takes_others(one, keys)) return {std::move(one)};
  auto parts = rule.parts.empty() ? literal(rule) : std::move(rule.parts);
  if (parts.size() == 1) {
    if (takes_others(parts[0], keys)) give_end(parts[0], findings);
    return parts;
  }
  std::vector<PatternRule> result;
  for (auto& part : parts)
    for (auto& good : narrowed(std::move(part), keys, findings, literal)) result.push_back(std::move(good));
  return result;
}

}  // namespace remap::infer
