// Whole subtrees that keep their names below a prefix become one rule with **. Private to infer.
#pragma once

#include <optional>
#include <vector>

#include "infer/pattern_rule.h"

namespace remap::infer {

// The target prefix under which a rule's target has the rest of its key as it is below `path`, a prefix of its source
// key; nullopt: it is another, or what varies in it is not said by `path`.
std::optional<KeyForm> prefix_of(const PatternRule& rule, const KeyForm& path);

// Joins rules where that makes the fewest rules and exceptions; the others stay as they are. Rules that drop keys may
// be exceptions.
std::vector<PatternRule> with_rest(std::vector<PatternRule> rules);

}  // namespace remap::infer
