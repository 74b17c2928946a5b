// Moves a strided N-dimensional region of elements, bit for bit. The one kernel that rename, transpose, split, stack
// and reshape come down to. Elements are copied as unsigned integers, never through a floating register that could
// quiet a NaN; neither side needs to be aligned. Private to the engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace remap::ops {

// One axis of a region: advancing it by 1 moves both sides by so many elements. Strides may be negative, the source's
// also 0.
struct CopyAxis {
  int64_t extent = 1;
  int64_t target_stride = 1;
  int64_t source_stride = 1;
  bool operator==(const CopyAxis&) const = default;
};

// A region: element (i, j, …) of the target is at target_offset + i*axes[0].target_stride + j*axes[1].target_stride +
// …, elements.
struct CopyRegion {
  int64_t target_offset = 0;
  int64_t source_offset = 0;
  std::vector<CopyAxis> axes;
  bool operator==(const CopyRegion&) const = default;
};

int64_t element_count(const CopyRegion& region);

// The same region with as few axes as possible: target strides positive and descending, no axis of extent 1, neighbours
// that continue each other merged. A region without elements keeps one axis of extent 0.
CopyRegion normalised(CopyRegion region);

// Of a normalised region: one run of bytes on both sides.
bool is_contiguous(const CopyRegion& region);

// The part of a normalised region whose target elements are in [begin, end), as disjoint normalised regions, which are
// appended to `parts`.
void clip_target(const CopyRegion& region, int64_t begin, int64_t end, std::vector<CopyRegion>& parts);

// The first and last source element that a region reaches, and the last target element that a normalised one does; of
// one without elements, any.
std::pair<int64_t, int64_t> source_reach(const CopyRegion& region);
int64_t last_target(const CopyRegion& region);

// Copies a normalised region. `element_bytes` is 1, 2, 4, 8 or 16. The two sides must not overlap.
void strided_copy(std::byte* target, const std::byte* source, const CopyRegion& region, int element_bytes);

}  // namespace remap::ops
