// The target tensors, with the pieces of source tensors that each is made of.
#pragma once

#include "plan/planning.h"

namespace remap::plan {

// What all rules in force give. Reports layouts that do not fit, targets that are given twice, parts of a tensor that
// no rule or two take, and casts that would not keep the meaning.
Targets build_tensors(const PlanInput& input, const Choices& choices, const ActiveRules& active, const Matches& matches,
                      const Replicas& replicas, layout::CheckpointScope& scope, Diagnostics& diagnostics);

// A rule that matches nothing is a mistake, unless another rule gave what it would have given, as for older and newer
// spellings.
void check_unused_rules(const PlanInput& input, const Choices& choices, const ActiveRules& active,
                        const Matches& matches, const Targets& targets, Diagnostics& diagnostics);

}  // namespace remap::plan
