// What a rule file tells the user of a checkpoint ('notes').
#pragma once

#include "plan/planning.h"

namespace remap::plan {

void add_notes(const PlanInput& input, layout::CheckpointScope& scope, Diagnostics& diagnostics);

}  // namespace remap::plan
