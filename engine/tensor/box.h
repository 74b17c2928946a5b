// Boxes of tensors, and the strides of those that lie in memory in one run. Private to the engine.
#pragma once

#include <vector>

#include "remap/source.h"

namespace remap {

// Strides, in elements, of a row-major tensor of this shape; of one without elements, any. The caller has checked that
// the elements can be counted.
std::vector<int64_t> row_major_strides(const Shape& shape);

// The whole tensor as its only tile; none if it has no elements.
std::vector<Box> whole_tensor_tile(const Shape& shape);

Box common_part(const Box& a, const Box& b);
bool is_empty(const Box& box);

// Where the first element of `part`, a box inside `tile`, is in the tile's view: in elements from `data`.
int64_t offset_in_tile(const Box& part, const Box& tile, const std::vector<int64_t>& strides);

}  // namespace remap
