// Whether the plan gives what the target architecture demands: every tensor, in its shape, and no other; and a
// config.json that meets the schema's conditions.
#pragma once

#include "plan/dims.h"
#include "plan/planning.h"
#include "plan/target_config.h"

namespace remap::plan {

struct SchemaCheck {
  Json config;  // config.json as it is written: without the fields that the class implies
  std::vector<std::pair<std::string, Json>> files;  // that the schema has beside the weights
  std::vector<std::string> open;
};
SchemaCheck check_schema(const PlanInput& input, const Choices& choices, const ActiveRules& active,
                         const Targets& targets, const TargetConfig& target, layout::CheckpointScope& scope,
                         Diagnostics& diagnostics);

// What is wrong already may be wrong because of what the schema can tell: rules that give other tensors or shapes than
// it has. Adds the findings that do.
void blame_by_schema(const PlanInput& input, const Choices& choices, const ActiveRules& active, const Targets& targets,
                     Dims& dims, layout::CheckpointScope& scope, Diagnostics& diagnostics);

}  // namespace remap::plan
