// Whether a target holds, byte for byte, what a plan makes of its sources. Private to the engine.
#pragma once

#include "remap/plan.h"
#include "remap/source.h"

namespace remap::exec {

// One for each tensor of the plan: "", or what is wrong with it. Runs the plan again, a few MiB at a time on every
// core; `sources` are those that the pieces name, in their order. Throws Error if reading fails.
std::vector<std::string> target_faults(const Plan& plan, const std::vector<const Source*>& sources,
                                       const Source& target);

}  // namespace remap::exec
