// The sections of a rule file but its rules.
#pragma once

#include "lang/node_reader.h"

namespace remap::lang {

// Fills in all of `set` but `rules` and `text`, 'maps' first: `in` reads patterns by them. `root` is a map.
void read_sections(const YamlNode& root, NodeReader& in, RuleSet& set);

}  // namespace remap::lang
