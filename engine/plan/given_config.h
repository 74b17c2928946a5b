// The fields of config.json that the user gives (--config).
#pragma once

#include "plan/planning.h"

namespace remap::plan {

// Without those that describe the file they are from and not the model, and without those that make a program load
// code.
Json given_config(const PlanInput& input, Diagnostics& diagnostics);

// Facts of the checkpoint that say otherwise.
void report_contradictions(const PlanInput& input, const Json& given, const Json& facts, Diagnostics& diagnostics);

// Fields that are not in config.json as they were given, one finding a reason.
void report_left_out(const PlanInput& input, const Json& config, Diagnostics& diagnostics);

// Fields that the target's class does not have: of the rules, those that expressions gave (their own names were checked
// when they were loaded), and the user's. A newer class may have more than the schema knows.
void check_fields(const PlanInput& input, const lang::Schema& schema, const std::vector<Json>& of_rules,
                  const Json& given, Diagnostics& diagnostics);

// "'a', 'b' and 3 more".
std::string quoted_names(const std::vector<std::string>& names);

}  // namespace remap::plan
