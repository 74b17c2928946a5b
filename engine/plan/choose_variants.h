// Which variants, and what else --set can choose, hold for this checkpoint; and which rules are in force then.
#pragma once

#include "plan/planning.h"

namespace remap::plan {

// From the user's --set, else as the rules detect it. `root`: below which the keys lie, if it is not the rules' own.
// Variants are in `scope` from then on, each as soon as it is chosen.
Choices choose_variants(const PlanInput& input, const std::optional<std::string>& root, layout::CheckpointScope& scope,
                        Diagnostics& diagnostics);

// The rules whose 'when' holds.
ActiveRules active_rules(const PlanInput& input, layout::CheckpointScope& scope, Diagnostics& diagnostics);

}  // namespace remap::plan
