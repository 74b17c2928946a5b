// Lists that a training program wrote as Python source into its settings, such as fairseq's
// "[(512, 10, 5)] + [(512, 3, 2)] * 4": parsed by a small grammar, never run.
//
//   sum  = product { "+" product } .      product = list { "*" integer } .
//   list = ( "[" | "(" ) [ item { "," item } [ "," ] ] ( "]" | ")" ) .      item = number | text | list .
#pragma once

#include <optional>
#include <string>

#include "remap/metadata.h"

namespace remap::lang {

// The list as JSON (tuples are lists); nullopt, and what is wrong with the text in `wrong`.
std::optional<Json> parse_python_list(const std::string& text, std::string& wrong);

}  // namespace remap::lang
