// Source keys that no target is made of. Private to infer.
#pragma once

#include <vector>

#include "infer/source_keys.h"

namespace remap::infer {

// Rules that drop what nothing is made of: whole subtrees as one, then keys that differ in numbers only. `left`:
// relations without a rule, whose sources are dropped too.
std::vector<PatternRule> dropped_keys(const Problem& problem, const Findings& findings, const Roots& roots,
                                      uint32_t source, const SourceKeys& keys, const std::vector<size_t>& left);

}  // namespace remap::infer
