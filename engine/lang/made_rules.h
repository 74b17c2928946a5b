// Reads the rules whose targets no source has, fill and copy_of, and what they share with the other rules.
#pragma once

#include "lang/node_reader.h"

namespace remap::lang {

// Reports fields that a rule of this kind does not have; `what` makes it one.
void only_fields(NodeReader& in, const YamlNode& item, const Rule& rule, const std::string& what);
// The source in this field, `inherited` if it is not there. Reports one that the file does not name.
std::string read_source_name(NodeReader& in, const RuleSet& set, const YamlNode& item, const std::string& inherited);
// A rule's 'where', once its holes are known; nullptr: it has none.
void read_where(NodeReader& in, const YamlNode* where, const std::vector<std::string>& holes, Rule& rule);
// The shape in this field, if it is there.
void read_shape(NodeReader& in, const YamlNode& item, const char* field, Rule& rule);

// 'to' with 'fill' or 'copy_of', below the prefix.
void read_made(NodeReader& in, const YamlNode& item, const KeyPattern& prefix, const YamlNode* where, Rule& rule);

}  // namespace remap::lang
