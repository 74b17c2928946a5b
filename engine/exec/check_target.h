// Whether a target holds, byte for byte, what a plan makes of its sources. Private to the engine.
#pragma once

#include "remap/plan.h"
#include "remap/progress.h"
#include "remap/source.h"

namespace remap::exec {

// One for each planned tensor: "", or what is wrong with it in the target. Makes them again, a few MiB at a time on
// every core; Piece::source indexes `sources`; progress is counted in bytes of the tensors. Throws Error if reading
// fails.
std::vector<std::string> target_faults(const std::vector<PlannedTensor>& tensors,
                                       const std::vector<const Source*>& sources, const Source& target,
                                       const ProgressFunction& progress = {});

}  // namespace remap::exec
