// Tied tensors: several names for the same memory.
#pragma once

#include "plan/planning.h"

namespace remap::plan {

// Of targets that are made alike of one tensor under several names, the first by key stays. Nothing is done unless the
// user asked for it (--set shared=once).
SharedOnce share_once(const PlanInput& input, Targets& targets);

}  // namespace remap::plan
