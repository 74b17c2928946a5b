// What a rule does to the tensors that it takes.
#pragma once

#include "lang/node_reader.h"

namespace remap::lang {

// The fields split, concat, stack, replicated, transpose, permute, reshape, steps and cast of a rule. What does not go
// together is reported.
void read_operations(const YamlNode& item, NodeReader& in, Rule& rule);

}  // namespace remap::lang
