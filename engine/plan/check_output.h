// Whether what is planned can be written.
#pragma once

#include "plan/planning.h"

namespace remap::plan {

// Reports tensors that a safetensors file cannot hold, each at its rule.
void check_output(const PlanInput& input, const Targets& targets, Diagnostics& diagnostics);

}  // namespace remap::plan
