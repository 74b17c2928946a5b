// The gin file that T5X writes beside its checkpoints (gin.config_str()), as plain values. Nothing is imported, looked
// up or called.
//
//   file      = { import | include | binding | block }
//   binding   = key "=" value            key: [scope/]… module.Class.param, or a macro's NAME
//   block     = key ":" newline { indented param "=" value }
//   value     = Python literal | "%" macro | "@" reference [ "()" ], and containers of them
//
// A line goes on after a backslash, and inside brackets.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "remap/limits.h"
#include "remap/metadata.h"

namespace remap::formats {

struct GinConfig {
  // Key, as written left of '=' -> value; the last of several bindings of one key counts, as in gin. Tuples are arrays,
  // None is null, integers and floats stay apart. Macros that the file defines are replaced by their values, others are
  // {"$macro": name}; references are {"$ref": "scope/name()"}. "$imports", if any, lists the import statements.
  Json values = Json::object();
  std::vector<std::string> remarks;  // includes that were not followed
};

// Throws Error "gin-syntax" or "gin-macro-cycle" with line and column, or "limit-exceeded".
GinConfig parse_gin(std::string_view text, const std::string& file, const Limits& limits = {});

}  // namespace remap::formats
