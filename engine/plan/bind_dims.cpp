#include "plan/bind_dims.h"

#include <algorithm>

#include <fmt/format.h>

#include "lang/hole_scope.h"

namespace remap::plan {
namespace {

constexpr size_t kMaxTrials = 6;

// What the holes took of those that the expression names.
std::map<std::string, Json> holes_in(const lang::Expression& expression, const lang::Captures& captures) {
  std::map<std::string, Json> holes;
  lang::visit(expression.root, [&](const lang::ExpressionNode& node) {
    if (node.kind != lang::NodeKind::name && node.kind != lang::NodeKind::member) return;
    if (const std::string* text = captures.hole(node.text)) holes[node.text] = lang::value_of_hole(*text);
  });
  return holes;
}

bool names_holes(const lang::Rule& rule) {
  bool any = false;
  for (const lang::DimTerm& term : *rule.shape)
    if (term.expression)
      lang::visit(term.expression->root,
                  [&](const lang::ExpressionNode& node) { any |= rule.from.hole(node.text) != nullptr; });
  return any;
}

// The rule says one thing of all its tensors that follow each other in one shape, unless it names holes.
void state_shapes(const PlanInput& input, const lang::Rule& rule, const RuleMatches& matches, Dims& dims,
                  Diagnostics& diagnostics) {
  const auto shape_of = [&](size_t i) -> const SharedShape& { return input.info(matches.key(i)).shape; };
  const bool each = names_holes(rule);
  lang::Captures captures;
  for (size_t begin = 0, end = 1; begin < matches.size(); begin = end++) {
    for (; !each && end < matches.size() && shape_of(end) == shape_of(begin); ++end)
      matches.fetch_later(end, [&](const layout::SourceKey& key) { return &input.info(key).shape; });
    const SharedShape& shape = shape_of(begin);
    if (shape.size() != rule.shape->size()) {
      for (size_t i = begin; i < end; ++i)
        diagnostics.error("plan-shape-mismatch", rule.shape_place,
                          fmt::format("'{}' has the shape {}: {} axes, where the rule says {}", matches.key(i).key,
                                      to_string(shape), shape.size(), rule.shape->size()));
      continue;
    }
    if (each) matches.take(begin, captures);
    for (size_t d = 0; d < shape.size(); ++d)
      if (const auto& expression = (*rule.shape)[d].expression)
        dims.state(line_of(rule.place), *expression, shape[d], d, matches, {begin, end},
                   each ? holes_in(*expression, captures) : std::map<std::string, Json>());
  }
}

// Of rules that contradict each other, that one without which the rest of the plan fits best.
Dims::Blame blame(const std::vector<Dims::RuleLine>& suspects, const Choices& choices, const Trial& trial) {
  if (suspects.empty()) return {};
  if (suspects.size() == 1) return {{suspects.front()}};
  size_t least = SIZE_MAX, n_least = 0;
  Dims::RuleLine best;
  for (size_t i = 0; i < std::min(kMaxTrials, suspects.size()); ++i) {
    std::set<std::pair<std::string, int>> places;
    const Diagnostics found = trial(choices, suspects[i]);
    for (const auto& d : found.items()) {
      const auto* place = std::get_if<TextPlace>(&d.place);
      places.emplace(place ? place->file : d.id, place ? place->line : 0);
    }
    if (places.size() < least) least = places.size(), n_least = 0, best = suspects[i];
    n_least += places.size() == least;
  }
  return {{best}, n_least == 1};
}

}  // namespace

Dims bind_dims(const PlanInput& input, const Choices& choices, const Matches& matches,
               const std::optional<Dims::RuleLine>& disbelieved, const Trial& trial, layout::CheckpointScope& scope,
               Diagnostics& diagnostics) {
  Dims dims(scope);
  for (size_t r = 0; r < matches.by_rule.size(); ++r) {
    const lang::Rule& rule = input.rules.rules[r];
    if (rule.shape && rule.kind == lang::Rule::Kind::move)
      state_shapes(input, rule, matches.by_rule[r], dims, diagnostics);
  }
  dims.resolve(disbelieved ? Dims::Blame{{*disbelieved}, true, true} : blame(dims.suspects(), choices, trial),
               diagnostics);
  scope.forget_let();
  return dims;
}

}  // namespace remap::plan
