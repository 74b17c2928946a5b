#include "read/blocks.h"

#include <algorithm>

#include "tensor/box.h"

namespace remap {

const std::byte* dense(const std::byte* data, ops::CopyRegion part, int element_bytes,
                       std::vector<std::byte>& scratch) {
  part.target_offset = 0;
  part = ops::normalised(std::move(part));
  if (ops::is_contiguous(part)) return data + part.source_offset * element_bytes;
  scratch.resize(static_cast<size_t>(ops::element_count(part) * element_bytes));
  ops::strided_copy(scratch.data(), data, part, element_bytes);
  return scratch.data();
}

ops::CopyRegion reading_region(const Box& part, const Box& common, const TileView& view, int64_t base_offset) {
  const auto strides = row_major_strides(part.extent);
  ops::CopyRegion region{0, base_offset + offset_in_tile(part, common, view.strides), {}};
  for (size_t d = 0; d < part.extent.size(); ++d) region.axes.push_back({part.extent[d], strides[d], view.strides[d]});
  return region;
}

bool for_each_part(const Box& box, size_t dim, const std::function<bool(const Box&)>& body, int64_t max_elements) {
  int64_t count = 1;
  for (const int64_t extent : box.extent) count *= extent;
  if (count <= max_elements || dim == box.extent.size()) return body(box);
  const int64_t per_part = std::max<int64_t>(1, max_elements / (count / box.extent[dim]));
  for (int64_t begin = 0; begin < box.extent[dim]; begin += per_part) {
    Box part = box;
    part.origin[dim] += begin;
    part.extent[dim] = std::min(per_part, box.extent[dim] - begin);
    if (!for_each_part(part, dim + 1, body, max_elements)) return false;
  }
  return true;
}

std::vector<std::byte> read_bytes(const Source& source, size_t index, const Box& box) {
  const TensorInfo& info = source.manifest()[index];
  std::vector<std::byte> bytes(static_cast<size_t>(element_count(box.extent, info.key) * size_bytes(info.dtype)));
  TileBuffer scratch;
  if (!bytes.empty()) read_box(source, index, box, bytes.data(), scratch);
  return bytes;
}

std::vector<std::byte> read_bytes(const Source& source, size_t index) {
  const Shape shape = stored_form(source.manifest()[index]).shape;
  return read_bytes(source, index, {Shape(shape.size(), 0), shape});
}

void for_each_block(const Source& source, size_t index,
                    const std::function<void(const std::byte* data, int64_t count)>& body) {
  const DType dtype = source.manifest()[index].dtype;
  const int element_bytes = size_bytes(dtype);
  const auto tiles = source.tile_boxes(index);
  TileBuffer buffer;
  std::vector<std::byte> scratch;
  for (size_t t = 0; t < tiles.size(); ++t) {
    const TileView view = source.load(index, t, buffer);
    for_each_part(
        tiles[t], 0,
        [&](const Box& part) {
          const auto region = reading_region(part, tiles[t], view, 0);
          body(dense(view.data, region, element_bytes, scratch), ops::element_count(region));
          return true;
        },
        block_units(dtype));
    source.check_bytes();
  }
}

}  // namespace remap
