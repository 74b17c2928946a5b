// Planned tensors made smaller or plainer before they are run. Private to the engine.
#pragma once

#include "remap/plan.h"
#include "remap/source.h"

namespace remap::exec {

// The tensor as its bytes are copied: itself, or, if its type has less than a byte, its stored form with pieces that
// move bytes (which execute() runs: a U8 tensor made of one whose elements have less than a byte is made of its bytes).
// Throws Error "plan-inconsistent" if a piece would take a byte apart.
PlannedTensor stored(const PlannedTensor& tensor, const std::vector<const Source*>& sources);

// The elements of `tensor`, which is stored(), inside `box`, as a tensor of the box's shape, so that a large one can be
// made a piece at a time. Piece::source indexes `sources`.
PlannedTensor part_of(const PlannedTensor& tensor, const Box& box, const std::vector<const Source*>& sources);

}  // namespace remap::exec
