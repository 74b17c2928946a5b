// A file of the source tree that is compiled into the library (see engine/embed.cmake): it is there wherever the
// program runs.
#pragma once

#include <string_view>
#include <vector>

namespace remap {

struct BuiltInFile {
  std::string_view name;  // "family"
  std::string_view path;  // "rules/family.yaml", for messages
  std::string_view text;
};

}  // namespace remap
