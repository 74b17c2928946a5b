#include "plan/join_keys.h"

#include <algorithm>

#include <fmt/format.h>

namespace remap::plan {

void join_keys(const PlanInput& input, Targets& targets, Diagnostics& diagnostics) {
  const char wanted = input.rules.separator;
  if (wanted == '\0') return;
  std::vector<char> separators;
  for (size_t s = 0; s < input.sources.size(); ++s)
    separators.push_back(layout::separator_of(input.rules.sources[s], *input.sources[s].source));
  Targets joined;
  joined.reserve(targets.tensors.size());
  for (PlannedTensor& target : targets.tensors) {
    if (!target.pieces.empty())
      std::replace(target.key.begin(), target.key.end(), separators[target.pieces.front().source], wanted);
    const std::string key = target.key;
    const lang::Rule& rule = input.rules.rules[target.rule];
    if (!joined.add(std::move(target)).second)
      diagnostics.error(
          "plan-target-twice", rule.place,
          fmt::format("two tensors would be called '{}' once their parts are joined by '{}'", key, wanted));
  }
  targets = std::move(joined);
}

}  // namespace remap::plan
