// The files of rules/ and schemas/, so that `--rules NAME` works wherever the program runs.
#pragma once

#include "base/built_in.h"

namespace remap::lang {

const std::vector<BuiltInFile>& built_in_rules();
const std::vector<BuiltInFile>& built_in_schemas();

}  // namespace remap::lang
