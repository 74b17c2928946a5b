// Tensors that are dropped since another one holds the same values: replicas of one rule, and twins ('equal_to').
#pragma once

#include "plan/planning.h"

namespace remap::plan {

// Of the keys that differ only in the hole 'replicated', the first in natural order is converted; the others must hold
// the same bytes.
Replicas find_replicas(const PlanInput& input, const Choices& choices, const Matches& matches,
                       layout::CheckpointScope& scope, Diagnostics& diagnostics);

// Dropped tensors that differ from their twins, which the user takes (--set twins=kept): by source and tensor, the
// twin.
using DifferingTwins = std::map<std::pair<uint32_t, uint32_t>, std::string>;
// What is dropped as equal to another tensor must be equal to it, or the user takes it as it is.
DifferingTwins check_twins(const PlanInput& input, const Choices& choices, const Matches& matches,
                           layout::CheckpointScope& scope, Diagnostics& diagnostics);

// All that the plan drops, `parts` of tensors too, sorted by source, tensor and part.
std::vector<DroppedTensor> dropped_tensors(const PlanInput& input, const Matches& matches, const Replicas& replicas,
                                           const DifferingTwins& twins, const SharedOnce& shared,
                                           const std::vector<DroppedTensor>& parts);

}  // namespace remap::plan
