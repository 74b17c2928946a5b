// What a rule does to the tensors that it takes.
#pragma once

#include "lang/node_reader.h"

namespace remap::lang {

// The fields slice, split, concat, pad, stack, replicated, transpose, permute, reshape, steps and cast of a rule. What
// does not go together is reported.
void read_operations(const YamlNode& item, NodeReader& in, Rule& rule);

// The number under 'fill'; 0, and reported, if it is none.
double parse_value(NodeReader& in, const YamlNode& node);

}  // namespace remap::lang
