// The planned tensors beside those that the target schema demands.
#pragma once

#include "plan/planning.h"

namespace remap::plan {

// One mistake is told once: a rule that gives wrong shapes may give too many or too few tensors for the same reason,
// and one whose target is misspelt gives one that is not wanted instead of one that is missing. `config`: all fields,
// implied ones included. Reports nothing if there are errors already. Throws Error if the schema does not say what is
// demanded with this config.
void compare_with_schema(const PlanInput& input, const Choices& choices, const ActiveRules& active,
                         const Targets& targets, const std::string& architecture, const Json& config,
                         Diagnostics& diagnostics);

}  // namespace remap::plan
