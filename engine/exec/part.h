// A part of a planned tensor as a tensor of its own, so that a large one can be made a piece at a time. Private to the engine.
#pragma once

#include "remap/plan.h"
#include "remap/source.h"

namespace remap::exec {

// The elements of `tensor` inside `box`, as a tensor of the box's shape. Piece::source indexes `sources`.
PlannedTensor part_of(const PlannedTensor& tensor, const Box& box, const std::vector<const Source*>& sources);

}  // namespace remap::exec
