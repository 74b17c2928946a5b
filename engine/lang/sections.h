// The sections of a rule file but its rules; and those that a schema has too.
#pragma once

#include "lang/node_reader.h"

namespace remap::lang {

// Fills in all of `set` but `rules` and `text`, 'maps' first: `in` reads patterns by them. `root` is a map.
void read_sections(const YamlNode& root, NodeReader& in, RuleSet& set);

// A list of {from, to}; `section` is its name, for messages.
void read_spellings(NodeReader& in, const std::string& section, const YamlNode& node,
                    std::vector<Normalise>& spellings);
void read_files(NodeReader& in, const YamlNode& node, std::vector<FileSpec>& files);

}  // namespace remap::lang
