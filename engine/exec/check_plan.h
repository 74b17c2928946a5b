// Whether a plan can be run at all. Private to exec.
#pragma once

#include <vector>

#include "remap/plan.h"
#include "remap/source.h"

namespace remap::exec {

// Throws Error for the first tensor, in plan order, that cannot be written: "plan-inconsistent", "cast-unsupported",
// "source-without-data". After this no copy reaches outside its tensors.
void check_plan(const std::vector<PlannedTensor>& tensors, const std::vector<const Source*>& sources);

}  // namespace remap::exec
