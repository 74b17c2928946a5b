// What a class of diagnostic means and what to do about it, at more length than a message has.
#pragma once

#include <string_view>

namespace remap {

// The page that docs/diagnostics.md has on a row of diagnostic_table(): Markdown, with its headline; "" for no such
// row.
std::string_view diagnostic_page(std::string_view id);

}  // namespace remap
