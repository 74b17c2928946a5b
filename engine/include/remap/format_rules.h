// One layout for rule files, schemas and forward passes, so that a review shows what changed and nothing else.
#pragma once

#include <optional>
#include <string>

#include "remap/diagnostic.h"

namespace remap {

// The text in its canonical layout, comments kept: laying it out again changes nothing. What the result says is
// compared with what the text says before it is given; nullopt if `diagnostics` has errors.
std::optional<std::string> format_rules(const std::string& file, const std::string& text, Diagnostics& diagnostics);

}  // namespace remap
