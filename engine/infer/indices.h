// Numbers that source and target keys have in common become variables. Private to infer.
#pragma once

#include <set>
#include <vector>

#include "infer/key_pairs.h"

namespace remap::infer {

// Prefixes below which numbers count, on both sides: a number there may be an index though it does not vary.
struct CountedPrefixes {
  std::set<KeyForm> source, target;
};

// A rule for all pairs that have the same operation and differ in numbers only, where each number of the target is one
// of the source, or that and the same more in all of them. Where a number is rather a name, a rule for each of its
// values.
std::vector<PatternRule> with_indices(const std::vector<KeyPair>& pairs, uint32_t source, const Findings& findings,
                                      const Operations& operations, const CountedPrefixes& counted);

// A rule for this pair alone, without variables.
PatternRule literal_rule(const KeyPair& pair, uint32_t source, const Findings& findings, const Operations& operations);

}  // namespace remap::infer
