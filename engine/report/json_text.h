// A value as it is shown and written: what is not UTF-8 is replaced, and floats that are none of JSON's numbers are
// written as Python writes them (NaN, Infinity).
#pragma once

#include <string>

#include "remap/metadata.h"

namespace remap::report {

// On one line, with what a terminal would act on escaped.
std::string one_line(const Json& json);

// Two spaces a level.
std::string indented(const Json& json);

}  // namespace remap::report
