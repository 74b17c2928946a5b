// The operators between two plain values, one row each: parsing and evaluation go by the rows.
#pragma once

#include <string_view>

#include "lang/expression.h"

namespace remap::lang {

struct OperatorRow {
  std::string_view sign;
  // Throws Error without a place if it has no value for these.
  Json (*run)(std::string_view sign, const Json& a, const Json& b);
};

// nullptr for a sign of none. 'or', 'and' and '??' are none: they do not always look at their right side.
const OperatorRow* find_operator(std::string_view sign);

}  // namespace remap::lang
