#include <algorithm>
#include <cstring>

#include "remap/source.h"

namespace remap {
namespace {

// Copies `extent` elements from strided `from` to row-major `to`, dimension by dimension.
void copy_strided(const std::byte* from, const std::vector<int64_t>& from_strides, std::byte* to, const std::vector<int64_t>& to_strides,
                  const Shape& extent, size_t dim, int64_t element_bytes) {
  if (dim == extent.size()) {
    std::memcpy(to, from, static_cast<size_t>(element_bytes));
    return;
  }
  if (dim + 1 == extent.size() && from_strides[dim] == 1 && to_strides[dim] == 1) {
    std::memcpy(to, from, static_cast<size_t>(extent[dim] * element_bytes));
    return;
  }
  for (int64_t i = 0; i < extent[dim]; ++i)
    copy_strided(from + i * from_strides[dim] * element_bytes, from_strides, to + i * to_strides[dim] * element_bytes, to_strides, extent,
                 dim + 1, element_bytes);
}

}  // namespace

void read_box(const Source& source, size_t index, const Box& box, std::byte* out, TileBuffer& scratch) {
  const TensorInfo& tensor = source.manifest()[index];
  const int64_t element_bytes = size_bytes(tensor.dtype);
  const size_t rank = tensor.shape.size();
  std::vector<int64_t> out_strides(rank, 1);
  for (size_t d = rank; d-- > 1;) out_strides[d - 1] = out_strides[d] * box.extent[d];
  const auto tiles = source.tile_boxes(index);
  for (size_t t = 0; t < tiles.size(); ++t) {
    Box common{Shape(rank), Shape(rank)};
    bool empty = false;
    for (size_t d = 0; d < rank; ++d) {
      common.origin[d] = std::max(box.origin[d], tiles[t].origin[d]);
      common.extent[d] = std::min(box.origin[d] + box.extent[d], tiles[t].origin[d] + tiles[t].extent[d]) - common.origin[d];
      empty |= common.extent[d] <= 0;
    }
    if (empty) continue;
    const TileView view = source.load(index, t, scratch);
    int64_t from_offset = 0, to_offset = 0;
    for (size_t d = 0; d < rank; ++d) {
      from_offset += (common.origin[d] - tiles[t].origin[d]) * view.strides[d];
      to_offset += (common.origin[d] - box.origin[d]) * out_strides[d];
    }
    copy_strided(view.data + from_offset * element_bytes, view.strides, out + to_offset * element_bytes, out_strides, common.extent, 0,
                 element_bytes);
  }
}

}  // namespace remap
