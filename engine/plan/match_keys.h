// Which rule every key of the checkpoint belongs to.
#pragma once

#include "plan/planning.h"

namespace remap::plan {

// Total: a key that no rule matches, or two, is reported, and so is a tensor that a rule moves and that is not read.
// `scope`: what 'where' sees beside the holes.
Matches match_keys(const PlanInput& input, const Choices& choices, const ActiveRules& active,
                   layout::CheckpointScope& scope, Diagnostics& diagnostics);

// The indices seen under one prefix, over all rules, must be 0 … n-1.
void check_indices(const PlanInput& input, const LayerIndices& indices, Diagnostics& diagnostics);

// Says of every unmatched key which rule came nearest: at the rule that was meant for the key, if that can be told,
// else at the checkpoint.
void report_unmatched(const PlanInput& input, const Choices& choices, const ActiveRules& active, const Matches& matches,
                      Diagnostics& diagnostics);

}  // namespace remap::plan
