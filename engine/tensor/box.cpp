#include "tensor/box.h"

#include <algorithm>

namespace remap {

std::vector<int64_t> row_major_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  if (std::find(shape.begin(), shape.end(), 0) != shape.end())
    return strides;  // the other dimensions may be too many to multiply
  for (size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

std::vector<Box> whole_tensor_tile(const Shape& shape) {
  Box whole{Shape(shape.size(), 0), shape};
  return is_empty(whole) ? std::vector<Box>{} : std::vector<Box>{std::move(whole)};
}

Box common_part(const Box& a, const Box& b) {
  Box common{Shape(a.origin.size()), Shape(a.origin.size())};
  for (size_t d = 0; d < a.origin.size(); ++d) {
    common.origin[d] = std::max(a.origin[d], b.origin[d]);
    common.extent[d] = std::min(a.origin[d] + a.extent[d], b.origin[d] + b.extent[d]) - common.origin[d];
  }
  return common;
}

bool is_empty(const Box& box) {
  return std::any_of(box.extent.begin(), box.extent.end(), [](int64_t extent) { return extent <= 0; });
}

int64_t offset_in_tile(const Box& part, const Box& tile, const std::vector<int64_t>& strides) {
  int64_t offset = 0;
  for (size_t d = 0; d < part.origin.size(); ++d) offset += (part.origin[d] - tile.origin[d]) * strides[d];
  return offset;
}

}  // namespace remap
