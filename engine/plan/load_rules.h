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

}  // namespace remap
