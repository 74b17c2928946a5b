// Pieces of tensors whose elements are less than a byte, as pieces of their stored forms. Private to the engine.
#pragma once

#include <optional>

#include "remap/plan.h"

namespace remap {

// `piece` moves elements of `dtype` from a tensor of shape `source` to one of shape `target`; the result moves bytes
// from stored_form(dtype, source) to stored_form(dtype, target). nullopt if that would take a byte apart.
std::optional<Piece> piece_in_bytes(const Piece& piece, DType dtype, const Shape& target, const Shape& source);

}  // namespace remap
