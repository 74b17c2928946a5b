// What can be done about a finding. Private to report.
#pragma once

#include <string>

#include "remap/diagnostic.h"

namespace remap::report {

// The finding's own hint; if it has none, what helps with all of its class, or "".
std::string way_on(const Diagnostic& d);

}  // namespace remap::report
