// The files of rules/ and schemas/, compiled into the library (see embed.cmake), so that `--rules NAME` works wherever
// the program runs.
#pragma once

#include <string_view>
#include <vector>

namespace remap::lang {

struct BuiltInFile {
  std::string_view name;  // "family"
  std::string_view path;  // "rules/family.yaml", for messages
  std::string_view text;
};
const std::vector<BuiltInFile>& built_in_rules();
const std::vector<BuiltInFile>& built_in_schemas();

}  // namespace remap::lang
