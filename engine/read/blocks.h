// Reading a tensor's elements a block at a time, dense and in row-major order within the block. Private to the engine.
#pragma once

#include <functional>
#include <vector>

#include "ops/strided_copy.h"
#include "remap/source.h"

namespace remap {

// Elements looked at together; bounds scratch memory to a few MiB.
inline constexpr int64_t kBlockElements = int64_t{1} << 17;
// Units of a stored form that are looked at together: elements, or bytes of a type of less than one. Three bytes are
// four F6.
inline int64_t block_units(DType dtype) { return is_sub_byte(dtype) ? int64_t{3} << 15 : kBlockElements; }
// How many elements so many units are.
inline int64_t elements_in(DType dtype, int64_t units) { return is_sub_byte(dtype) ? units * 8 / bits(dtype) : units; }

// Reads one side of a part in dense order: in place if it is dense already, else through `scratch`. The part's axes
// have this side's strides as source_stride and dense ones as target_stride.
const std::byte* dense(const std::byte* data, ops::CopyRegion part, int element_bytes, std::vector<std::byte>& scratch);

// A part of a box as the region that reads it in row-major order.
ops::CopyRegion reading_region(const Box& part, const Box& common, const TileView& view, int64_t base_offset);

// Cuts a box along its outer dimensions into boxes of at most `max_elements`. False if `body` said so and the walk
// ended.
bool for_each_part(const Box& box, size_t dim, const std::function<bool(const Box&)>& body,
                   int64_t max_elements = kBlockElements);

// A box of a tensor, row-major; without `box`: all of it.
std::vector<std::byte> read_bytes(const Source& source, size_t index);
std::vector<std::byte> read_bytes(const Source& source, size_t index, const Box& box);

// Every element of a tensor once, in an order that depends on the source alone. `count`: elements, or bytes of a type
// of less than one; then whole groups of bytes that hold whole elements.
void for_each_block(const Source& source, size_t index,
                    const std::function<void(const std::byte* data, int64_t count)>& body);

}  // namespace remap
