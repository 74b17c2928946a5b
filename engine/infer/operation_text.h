// What a rule does with its tensors, as fields of the rule language. Private to infer.
#pragma once

#include <string>

#include "infer/pattern_rule.h"
#include "infer/shared_names.h"

namespace remap::infer {

// ", split: {…}, transpose: true" and so on; "" for a plain rename. `part`, `each`: what the rule's named and numbered
// parts are called in its keys.
std::string operation_text(const Operation& operation, const std::string& part, const std::string& each,
                           SharedNames& names);

}  // namespace remap::infer
