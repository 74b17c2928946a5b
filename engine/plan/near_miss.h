// Why did no rule match this key? Compares the key with every rule's pattern segment by segment.
#pragma once

#include <string>
#include <vector>

#include "lang/pattern.h"

namespace remap::plan {

struct NearRule {
  const lang::KeyPattern* pattern;
  const TextPlace* place;
  const lang::Expression* inactive;  // the condition that is false; nullptr for a rule that is in force
};

// One or two lines about the rules that came nearest, and the first place where each failed. Empty if nothing came near.
std::vector<std::string> explain_near_miss(const std::string& key, const std::vector<NearRule>& rules, const lang::VariantValues& variants);

}  // namespace remap::plan
