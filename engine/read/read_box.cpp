#include "ops/strided_copy.h"
#include "remap/source.h"
#include "tensor/box.h"

namespace remap {

void read_box(const Source& source, size_t index, const Box& box, std::byte* out, TileBuffer& scratch) {
  const int element_bytes = size_bytes(source.manifest()[index].dtype);
  const auto out_strides = row_major_strides(box.extent);
  const auto tiles = source.tile_boxes(index);
  for (size_t t = 0; t < tiles.size(); ++t) {
    const Box common = common_part(box, tiles[t]);
    if (is_empty(common)) continue;
    const TileView view = source.load(index, t, scratch);
    ops::CopyRegion region{
        offset_in_tile(common, box, out_strides), offset_in_tile(common, tiles[t], view.strides), {}};
    for (size_t d = 0; d < common.extent.size(); ++d)
      region.axes.push_back({common.extent[d], out_strides[d], view.strides[d]});
    ops::strided_copy(out, view.data, ops::normalised(std::move(region)), element_bytes);
    source.check_bytes();
  }
}

}  // namespace remap
