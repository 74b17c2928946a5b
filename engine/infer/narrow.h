// No rule may take a key that is not its own. Private to infer.
#pragma once

#include <functional>
#include <vector>

#include "infer/source_keys.h"

namespace remap::infer {

// The rule, made narrower until it takes no key but its own: only its own numbers, then a stated end of numbered parts,
// then the rules that it was merged from, in the end one for each relation. `literal`: those last ones.
std::vector<PatternRule> narrowed(PatternRule rule, const SourceKeys& keys, const Findings& findings,
                                  const std::function<std::vector<PatternRule>(const PatternRule&)>& literal);

}  // namespace remap::infer
