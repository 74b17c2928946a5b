// Which part of a piece reads which part of its source tensor. Private to exec.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/strided_copy.h"
#include "remap/plan.h"
#include "remap/source.h"

namespace remap::exec {

// A run of indices on one axis of a piece.
struct IndexRange {
  int64_t begin = 0;
  int64_t extent = 0;
  bool operator==(const IndexRange&) const = default;
};

// One range an axis of the piece: a box of its iteration space.
using IndexBox = std::vector<IndexRange>;

// All of a piece's indices.
IndexBox whole_piece(const Piece& piece);

// The elements of `piece` whose source lies inside `tile`, as disjoint boxes. Where several axes share a source
// dimension (a reshape, a stride that does not divide a tile) the boundary indices of the outer ones are taken one by
// one.
std::vector<IndexBox> clip(const Piece& piece, const Box& tile);

// The copy that such a box stands for: offsets in elements from the target tensor's first and from the loaded tile's
// `data`.
ops::CopyRegion lower(const Piece& piece, const IndexBox& box, const std::vector<int64_t>& target_strides,
                      const Box& tile, const std::vector<int64_t>& source_strides);

}  // namespace remap::exec
