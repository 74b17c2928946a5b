// Rules that share a source tensor: each takes parts of it and leaves the others ('_') to the other rules.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lang/rules.h"
#include "layout/key_table.h"
#include "plan/strided_view.h"

namespace remap::plan {

// What a rule says of one part of a tensor: it takes it, or it leaves it.
struct Claim {
  const layout::SourceKey* key;
  const lang::Rule* rule;
  std::string part;
  size_t axis;
  int64_t begin, end;
  StridedView whole;  // what is cut: the tensor, or what the steps before the split made of it
};
using Claims = std::map<std::pair<uint32_t, uint32_t>, std::vector<Claim>>;  // by source and tensor

// Reports elements that no rule takes, and those that two rules take.
void check_claims(const Claims& claims, Diagnostics& diagnostics);

}  // namespace remap::plan
