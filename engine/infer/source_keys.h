// The keys of one source as its rules see them: below the root, sorted. Private to infer.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "infer/pattern_rule.h"

namespace remap::infer {

using SourceKeys = std::vector<std::pair<std::string, Ref>>;
SourceKeys source_keys(const Problem& problem, const Roots& roots, uint32_t source);

}  // namespace remap::infer
