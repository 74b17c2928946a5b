// The named sizes that the shapes of the matched tensors say.
#pragma once

#include <functional>

#include "plan/dims.h"
#include "plan/planning.h"

namespace remap::plan {

// What is found when everything is planned without believing the shapes of one rule.
using Trial = std::function<Diagnostics(const Choices& choices, Dims::RuleLine disbelieved)>;

// Binds the dims, in `scope` too, and reports shapes that contradict them: at that rule without which the rest of the
// plan fits best. `disbelieved`: in a trial, the rule whose shapes say nothing.
Dims bind_dims(const PlanInput& input, const Choices& choices, const Matches& matches,
               const std::optional<Dims::RuleLine>& disbelieved, const Trial& trial, layout::CheckpointScope& scope,
               Diagnostics& diagnostics);

}  // namespace remap::plan
