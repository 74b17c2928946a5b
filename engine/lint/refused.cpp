// What the planner will refuse whatever the checkpoint: found by the rules alone, under the planner's own ids.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "lint/linter.h"

namespace remap::linting {
namespace {

using lang::KeyPattern;
using lang::PatternToken;
using lang::Rule;

// What ${name} stands for is not known here: any text, or none at all.
std::vector<KeyPattern> opened(const KeyPattern& pattern) {
  KeyPattern any = pattern, none = pattern;
  for (PatternToken& token : any.tokens)
    if (token.kind == PatternToken::Kind::variant) token.kind = PatternToken::Kind::rest;
  if (std::none_of(pattern.tokens.begin(), pattern.tokens.end(),
                   [](const PatternToken& t) { return t.kind == PatternToken::Kind::variant; }))
    return {any};
  return {any, none};
}

class Refused {
 public:
  explicit Refused(Linter& linter) : linter_(linter), set_(linter.set) {
    for (const auto& variant : set_.variants) empty_[variant.name];
    for (const auto& [name, expression] : set_.let) empty_[name];
  }

  void check() {
    for (const Rule& rule : set_.rules) {
      if (rule.equal_to) check_twin(rule);
      if (rule.kind == Rule::Kind::copy) check_copy(rule);
      if (rule.kind == Rule::Kind::move) check_axes(rule);
    }
    check_made_twice();
  }

 private:
  void error(const char* id, const TextPlace& place, std::string message, std::string hint = {},
             std::vector<std::string> notes = {}) {
    linter_.diagnostics.error(id, place, std::move(message), std::move(hint), std::move(notes));
  }

  // ------------------------------------------------------------ keys that nothing takes or gives

  std::vector<std::string> source_regexes(const KeyPattern& pattern) const {
    std::vector<std::string> all;
    for (const KeyPattern& one : opened(pattern)) all.push_back(lang::Matcher(one, empty_).regex());
    return all;
  }
  std::vector<std::string> target_regexes(const Rule& rule) const {
    KeyPattern from = rule.from;
    if (rule.split && !rule.split->each) {  // the names of the parts are what its hole can be
      PatternToken hole;
      hole.kind = PatternToken::Kind::hole;
      hole.text = rule.split->hole;
      for (const auto& part : rule.split->parts) hole.alternatives.push_back(part.name);
      from.tokens.push_back(std::move(hole));
    }
    std::vector<std::string> all;
    for (const KeyPattern& one : opened(rule.to)) all.push_back(lang::regex_of_target(one, from, set_.tables, empty_));
    return all;
  }
  // Whether a key can be matched by one of both lists. Where that is not known, it can.
  static bool can_meet(const std::vector<std::string>& a, const std::vector<std::string>& b) {
    for (const auto& x : a)
      for (const auto& y : b) {
        const auto left = Automaton::of(x), right = Automaton::of(y);
        size_t steps = kMaxStepsAPair;
        if (!left || !right || !common_texts(*left, *right, {}, 1, steps).empty() || steps == 0) return true;
      }
    return false;
  }
  const Rule* taker_of(const KeyPattern& key, const std::string& source) const {
    const auto keys = source_regexes(key);
    const auto it = std::find_if(set_.rules.begin(), set_.rules.end(), [&](const Rule& r) {
      return takes_keys(r) && r.source == source && can_meet(keys, source_regexes(r.from));
    });
    return it == set_.rules.end() ? nullptr : &*it;
  }
  const Rule* giver_of(const KeyPattern& key) const {
    const auto keys = source_regexes(key);
    const auto it = std::find_if(set_.rules.begin(), set_.rules.end(), [&](const Rule& r) {
      return r.kind != Rule::Kind::drop && can_meet(keys, target_regexes(r));
    });
    return it == set_.rules.end() ? nullptr : &*it;
  }
  // Every key of the checkpoint is taken by a rule: a twin that none takes is not there, or would be left over.
  void check_twin(const Rule& rule) {
    if (rule.from.is_regex || taker_of(*rule.equal_to, rule.source) != nullptr) return;  // \1 can be anything
    const auto own = lang::without_prefix(*rule.equal_to);
    error(
        "plan-twin-differs", rule.place,
        fmt::format("'{}' is dropped as equal to '{}', a key that no rule takes", rule.from.text, rule.equal_to->text),
        own && taker_of(*own, rule.source) != nullptr ? lang::prefix_hint("equal_to", *rule.equal_to, own->text)
                                                      : "name a source key that the checkpoint has");
  }
  void check_copy(const Rule& rule) {
    if (giver_of(rule.copy_of) != nullptr) return;
    const auto own = lang::without_prefix(rule.copy_of);
    error("plan-copy-of-nothing", rule.place,
          fmt::format("'{}' is a copy of '{}', which no rule produces", rule.to.text, rule.copy_of.text),
          own && giver_of(*own) != nullptr ? lang::prefix_hint("copy_of", rule.copy_of, own->text)
                                           : "name a target key that another rule gives");
  }
  // Constants and copies do not wait for a key: two of one name are always too many.
  void check_made_twice() {
    std::map<std::string, const Rule*> made;
    for (const Rule& rule : set_.rules) {
      if ((rule.kind != Rule::Kind::fill && rule.kind != Rule::Kind::copy) || rule.when || !rule.each.empty()) continue;
      const auto [it, fresh] = made.emplace(rule.to.text, &rule);
      if (fresh) continue;
      const Rule& first = *it->second;
      error("plan-target-twice", rule.place, fmt::format("the target '{}' is given twice", rule.to.text),
            "a target tensor has one origin",
            {fmt::format("{}: {}", to_string(Place(first.place)), first.summary),
             fmt::format("{}: {}", to_string(Place(rule.place)), rule.summary)});
    }
  }

  // ------------------------------------------------------------ axes that a shape does not have

  void check_axes(const Rule& rule) {
    if (!rule.shape) return;
    size_t rank = rule.shape->size();
    const auto axes = [&] { return fmt::format("{} {}", rank, rank == 1 ? "axis" : "axes"); };
    const auto is_there = [&](const lang::AxisParts& parts, size_t end, const char* what) {
      if (static_cast<size_t>(parts.axis) < end) return true;
      error("plan-layout", rule.place,
            fmt::format("there is no axis {} to {}: '{}' has {} here, counted from 0", parts.axis, what, rule.from.text,
                        axes()));
      return false;
    };
    const auto splits = [&](const std::optional<lang::AxisParts>& split) {
      if (!split) return true;
      if (!is_there(*split, rank, "split")) return false;
      if (split->each && !split->count) --rank;
      return true;
    };
    // Split, concat and stack stand before, behind or among the steps.
    for (size_t s = 0; s <= rule.steps.size(); ++s) {
      if (s == rule.split_at && !splits(rule.split)) return;
      if (s == rule.inner_split_at && !splits(rule.inner_split)) return;
      if (s == rule.steps_of_parts()) {
        if (rule.concat && !is_there(*rule.concat, rank, "join along")) return;
        if (rule.stack && !is_there(*rule.stack, rank + 1, "join along")) return;
        if (rule.stack) ++rank;
      }
      if (s == rule.steps.size()) return;
      const auto& step = rule.steps[s];
      if (step.kind == lang::LayoutStep::Kind::slice) {
        if (static_cast<size_t>(step.axis) < rank) continue;
        return error("plan-layout", step.place,
                     fmt::format("there is no axis {} to slice: '{}' has {} here, counted from 0", step.axis,
                                 rule.from.text, axes()));
      }
      if (step.kind == lang::LayoutStep::Kind::reshape) {
        rank = step.shape.size();
      } else if (step.order.size() != rank) {
        error(
            "plan-layout", step.place,
            step.transpose
                ? fmt::format("'transpose' exchanges the axes of a matrix; '{}' has {} here", rule.from.text, axes())
                : fmt::format("'permute' orders {} axes; '{}' has {} here", step.order.size(), rule.from.text, axes()));
        return;
      }
    }
  }

  Linter& linter_;
  const lang::RuleSet& set_;
  lang::VariantValues empty_;
};

}  // namespace

void lint_refused(Linter& linter) { Refused(linter).check(); }

}  // namespace remap::linting
