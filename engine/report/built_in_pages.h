// docs/diagnostics.md, compiled into the library.
#pragma once

#include <vector>

#include "base/built_in.h"

namespace remap::report {

const std::vector<BuiltInFile>& diagnostics_file();

}  // namespace remap::report
