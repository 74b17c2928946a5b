// Ranges of a tensor's elements, counted row-major, as boxes. Private to the engine.
#pragma once

#include <vector>

#include "remap/source.h"

namespace remap {

// A box whose elements, row-major, are a range of the tensor's: `first` is its first element's number.
struct RangeBox {
  Box box;
  int64_t first = 0;
};

// The boxes that cover the elements begin … end-1 of a row-major tensor, each once, in order: at most two a dimension.
// The elements of the shape can be counted, and `end` is not behind the last.
std::vector<RangeBox> boxes_of_range(const Shape& shape, int64_t begin, int64_t end);

// Cuts a box along its outer dimensions into boxes of at most `max_elements`, in row-major order.
std::vector<Box> cut_box(const Box& box, int64_t max_elements);

}  // namespace remap
