// Numbers that no source has, while planning: constants among parts, tensors that count, and the loops of 'each'.
#pragma once

#include <functional>
#include <map>

#include "plan/planning.h"

namespace remap::plan {

// Calls build(captures) for each combination of what the rule's loops take for which its 'where' holds; once if it has
// no loops. Throws Error if a list has no value, or "limit-exceeded" for more combinations than a plan has tensors.
void for_each_loop(const PlanInput& input, const lang::Rule& rule, layout::CheckpointScope& scope,
                   const std::function<void(const lang::Captures& loops)>& build);

// The whole of a tensor of this shape that counts. Throws Error if a number has no value, or is too large to be exact.
FilledPart counted_part(const lang::Rule& rule, const Shape& shape, layout::CheckpointScope& scope);

// How long the constants among the parts of the rule's concat are, by their place there. Throws Error likewise.
std::map<size_t, int64_t> constant_sizes(const lang::Rule& rule, layout::CheckpointScope& scope);

}  // namespace remap::plan
