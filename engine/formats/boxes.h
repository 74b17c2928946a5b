// Boxes of tensors that lie in memory in one run.
#pragma once

#include <vector>

#include "remap/source.h"

namespace remap::formats {

// Strides, in elements, of a row-major tensor of this shape. The caller has checked that the elements can be counted.
inline std::vector<int64_t> row_major_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

// The whole tensor as its only tile; none if it has no elements.
inline std::vector<Box> whole_tensor_tile(const Shape& shape) {
  for (const int64_t dim : shape)
    if (dim == 0) return {};
  return {Box{Shape(shape.size(), 0), shape}};
}

}  // namespace remap::formats
