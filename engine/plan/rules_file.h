// What remap::Rules holds.
#pragma once

#include "lang/schema.h"
#include "remap/plan.h"

namespace remap {

struct Rules::Impl {
  lang::RuleSet set;
  std::optional<lang::Schema> schema;
};

}  // namespace remap
