// Keys that are computed of others ('computed'), before any rule looks at keys.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lang/rules.h"
#include "layout/key_table.h"

namespace remap::plan {

// A key that is not there for the rules, and the one that stands in its place.
struct Operand {
  uint32_t source = 0;
  std::string key, file_key, of;  // as the rules would see it, as the checkpoint has it; what is computed of it
};

struct ComputedKeys {
  std::vector<NamedSource> sources;  // those given; one of which something is computed, with that beside its tensors
  // By source, as PlanSource has them.
  std::vector<std::shared_ptr<const Source>> computing;
  std::vector<std::vector<uint32_t>> tensors;
  std::vector<PlanComputed> entries;
  std::vector<Operand> operands;
};

// Puts what is computed in the place of its operands in `keys`. Reports operands that are missing, or cannot be
// computed with, and keys that are there already. The sources outlive the result.
ComputedKeys compute_keys(const lang::RuleSet& rules, const std::vector<NamedSource>& sources, layout::KeyTable& keys,
                          Diagnostics& diagnostics);

}  // namespace remap::plan
