// The section 'computed': keys that are computed of others, in whose place the rules see them.
#pragma once

#include "lang/node_reader.h"

namespace remap::lang {

// Reports what is wrong with it. Sources are read before.
void read_computed(NodeReader& in, const YamlNode& node, RuleSet& set);

}  // namespace remap::lang
