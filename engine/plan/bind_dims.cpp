#include "plan/bind_dims.h"

#include <algorithm>

#include <fmt/format.h>

namespace remap::plan {
namespace {

constexpr size_t kMaxTrials = 6;

void state_shapes(const PlanInput& input, const Matches& matches, Dims& dims, Diagnostics& diagnostics) {
  for (size_t r = 0; r < matches.by_rule.size(); ++r) {
    const lang::Rule& rule = input.rules.rules[r];
    if (!rule.shape || rule.kind != lang::Rule::Kind::move) continue;
    for (const Match& match : matches.by_rule[r]) {
      const Shape& shape = input.info(*match.key).shape;
      if (shape.size() != rule.shape->size()) {
        diagnostics.error("plan-shape-mismatch", rule.shape_place,
                          fmt::format("'{}' has the shape {}: {} axes, where the rule says {}", match.key->key,
                                      to_string(shape), shape.size(), rule.shape->size()));
        continue;
      }
      for (size_t d = 0; d < shape.size(); ++d)
        if ((*rule.shape)[d].expression)
          dims.state(line_of(rule.place), *(*rule.shape)[d].expression, shape[d], d, match.key->key, match.captures);
    }
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
  state_shapes(input, matches, dims, diagnostics);
  dims.resolve(disbelieved ? Dims::Blame{{*disbelieved}, true, true} : blame(dims.suspects(), choices, trial),
               diagnostics);
  scope.forget_let();
  return dims;
}

}  // namespace remap::plan
