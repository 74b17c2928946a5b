// The functions that steps of a forward pass call beside those of the expression language: one row each, with what
// runs. Private to the engine.
#pragma once

#include "lang/functions.h"

namespace remap::forward {

const std::vector<lang::FunctionRow>& part_table();
// Those of the language, and the parts.
const std::vector<lang::FunctionRow>& forward_functions();

}  // namespace remap::forward
