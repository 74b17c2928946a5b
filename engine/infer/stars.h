// Which variables of a rule can be written as *. Private to infer.
#pragma once

#include <set>
#include <vector>

#include "infer/pattern_rule.h"

namespace remap::infer {

// Of each rule, its variables that are written *: a * counts from 0 under its prefix, so the indices there, over all
// rules that write * there, must be 0 … n-1; and the n-th * of the target is the n-th of the source.
std::vector<std::set<size_t>> stars_of(const std::vector<PatternRule>& rules, const Problem& problem,
                                       const Roots& roots);

}  // namespace remap::infer
