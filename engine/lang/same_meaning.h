// Whether two YAML trees say the same, however they are written.
#pragma once

#include "lang/yaml_tree.h"

namespace remap::lang {

// Kinds, order and values are the same; quotes, braces and places may differ.
bool same_meaning(const YamlNode& a, const YamlNode& b);

}  // namespace remap::lang
