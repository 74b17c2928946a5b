// What the rules demand of a checkpoint beside its keys ('require').
#pragma once

#include "plan/planning.h"

namespace remap::plan {

// Refuses the checkpoint where a requirement does not hold. Those that cannot be evaluated yet are returned: they may
// need a dim that the shapes will bind.
using Requirements = std::vector<const lang::Requirement*>;
Requirements check_requirements(const PlanInput& input, const Choices& choices, layout::CheckpointScope& scope,
                                Diagnostics& diagnostics);
// The same for these, when the dims are bound: what cannot be evaluated now is an error, or returned as what stays
// open.
std::vector<std::string> check_requirements(const PlanInput& input, const Choices& choices, const Requirements& left,
                                            layout::CheckpointScope& scope, Diagnostics& diagnostics);

}  // namespace remap::plan
