// The end of every way out: whatever happens, a message in remap's own form and an exit code, never an abort.
#pragma once

#include <functional>

#include "cli/command.h"

namespace cli {

// Runs `body`, then writes out what is left for standard output. The exit code is body's; kFailed if it threw, or if
// standard output could not be written; kInterrupted if it was cancelled. `options` are read when something is printed.
// Never throws.
int guarded(const std::function<int()>& body, const Options& options) noexcept;

}  // namespace cli
