// What remap::Rules holds.
#pragma once

#include "lang/rules.h"
#include "lang/schema.h"
#include "remap/plan.h"

namespace remap {

struct Rules::Impl {
  lang::RuleSet set;
  std::optional<lang::Schema> schema;
  std::shared_ptr<const lang::SourceText> source_model, target_model;  // forward passes as data; null: none
};

namespace plan {

// What a built-in rule file says of the checkpoints it is for, without its rules and schema. It can recognise a
// checkpoint, and not plan. nullopt if there is none of the name, or one of the folders has one.
std::optional<Rules> load_head(const std::string& name, const std::vector<std::string>& folders);

}  // namespace plan
}  // namespace remap
