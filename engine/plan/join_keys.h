// Target keys whose parts are joined in one way, whatever the source does ('target: {separator: …}').
#pragma once

#include "plan/planning.h"

namespace remap::plan {

// Reports two targets that get one key so.
void join_keys(const PlanInput& input, Targets& targets, Diagnostics& diagnostics);

}  // namespace remap::plan
