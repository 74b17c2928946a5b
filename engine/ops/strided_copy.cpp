#include "ops/strided_copy.h"

#include <algorithm>
#include <cstring>

namespace remap::ops {
namespace {

struct Word16 {
  uint64_t low, high;
};

// Unaligned loads and stores: checkpoints place tensors at any byte. Compiles to single moves.
template <typename Word>
Word load(const std::byte* from) {
  Word word;
  std::memcpy(&word, from, sizeof(Word));
  return word;
}
template <typename Word>
void store(std::byte* to, Word word) {
  std::memcpy(to, &word, sizeof(Word));
}

// Calls body(target, source) for every index of `axes`, with byte pointers; outermost axis first.
template <typename Body>
void for_each_index(std::byte* target, const std::byte* source, const CopyAxis* axes, size_t rank, int64_t element_bytes, const Body& body) {
  if (rank == 0) {
    body(target, source);
    return;
  }
  for (int64_t i = 0; i < axes->extent; ++i)
    for_each_index(target + i * axes->target_stride * element_bytes, source + i * axes->source_stride * element_bytes, axes + 1, rank - 1,
                   element_bytes, body);
}

template <typename Word>
void copy_run(std::byte* target, int64_t target_stride, const std::byte* source, int64_t source_stride, int64_t count) {
  constexpr int64_t kSize = sizeof(Word);
  for (int64_t i = 0; i < count; ++i) store(target + i * target_stride * kSize, load<Word>(source + i * source_stride * kSize));
}

// Transposes blocks of one cache line by one cache line through a buffer, so that every line of either side is touched once
// however the strides fall into the cache's sets; blocks are visited in squares of kSquare elements, which keeps the pages of both
// sides in the TLB. Target element (r, c) is source element (c, r): `rows` strides over the source, `columns` over the target.
template <typename Word>
void transpose(std::byte* target, int64_t target_row_stride, const std::byte* source, int64_t source_column_stride, int64_t rows,
               int64_t columns) {
  constexpr int64_t kSize = sizeof(Word);
  constexpr int64_t kBlock = std::max<int64_t>(8, 64 / kSize);
  constexpr int64_t kSquare = 16 * kBlock;
  const auto block = [&](int64_t row, int64_t column, int64_t n_rows, int64_t n_columns) {
    Word buffer[kBlock][kBlock];
    for (int64_t c = 0; c < n_columns; ++c) {
      const std::byte* from = source + ((column + c) * source_column_stride + row) * kSize;
      for (int64_t r = 0; r < n_rows; ++r) buffer[r][c] = load<Word>(from + r * kSize);
    }
    for (int64_t r = 0; r < n_rows; ++r)
      std::memcpy(target + ((row + r) * target_row_stride + column) * kSize, buffer[r], static_cast<size_t>(n_columns * kSize));
  };
  for (int64_t square_row = 0; square_row < rows; square_row += kSquare)
    for (int64_t square_column = 0; square_column < columns; square_column += kSquare) {
      const int64_t end_row = std::min(rows, square_row + kSquare), end_column = std::min(columns, square_column + kSquare);
      for (int64_t row = square_row; row < end_row; row += kBlock)
        for (int64_t column = square_column; column < end_column; column += kBlock) {
          if (end_row - row >= kBlock && end_column - column >= kBlock)
            block(row, column, kBlock, kBlock);  // constant counts: unrolled
          else
            block(row, column, std::min(kBlock, end_row - row), std::min(kBlock, end_column - column));
        }
    }
}

template <typename Word>
void copy_words(std::byte* target, const std::byte* source, std::vector<CopyAxis> axes) {
  constexpr int64_t kSize = sizeof(Word);
  const CopyAxis inner = axes.empty() ? CopyAxis{} : axes.back();
  if (!axes.empty()) axes.pop_back();
  if (inner.target_stride == 1 && inner.source_stride == 1) {
    const auto bytes = static_cast<size_t>(inner.extent * kSize);
    for_each_index(target, source, axes.data(), axes.size(), kSize,
                   [bytes](std::byte* to, const std::byte* from) { std::memcpy(to, from, bytes); });
    return;
  }
  // A transpose: the target runs along one axis, the source along another.
  const auto along_source = std::find_if(axes.begin(), axes.end(), [](const CopyAxis& axis) { return axis.source_stride == 1; });
  if (inner.target_stride == 1 && along_source != axes.end()) {
    const CopyAxis row = *along_source;
    axes.erase(along_source);
    for_each_index(target, source, axes.data(), axes.size(), kSize, [&](std::byte* to, const std::byte* from) {
      transpose<Word>(to, row.target_stride, from, inner.source_stride, row.extent, inner.extent);
    });
    return;
  }
  for_each_index(target, source, axes.data(), axes.size(), kSize, [&](std::byte* to, const std::byte* from) {
    copy_run<Word>(to, inner.target_stride, from, inner.source_stride, inner.extent);
  });
}

// A short contiguous inner run (a pair of heads, a complex number's parts) is one wider element.
void widen_elements(CopyRegion& region, int& element_bytes) {
  if (region.axes.size() < 2) return;
  const CopyAxis inner = region.axes.back();
  if (inner.target_stride != 1 || inner.source_stride != 1) return;
  const int64_t wide = inner.extent * element_bytes;
  if (wide != 2 && wide != 4 && wide != 8 && wide != 16) return;
  for (size_t i = 0; i + 1 < region.axes.size(); ++i)
    if (region.axes[i].target_stride % inner.extent != 0 || region.axes[i].source_stride % inner.extent != 0) return;
  region.axes.pop_back();
  for (CopyAxis& axis : region.axes) axis.target_stride /= inner.extent, axis.source_stride /= inner.extent;
  element_bytes = static_cast<int>(wide);
}

}  // namespace

int64_t element_count(const CopyRegion& region) {
  int64_t count = 1;
  for (const CopyAxis& axis : region.axes) count *= axis.extent;
  return count;
}

CopyRegion normalised(CopyRegion region) {
  auto& axes = region.axes;
  if (std::any_of(axes.begin(), axes.end(), [](const CopyAxis& axis) { return axis.extent == 0; })) return {0, 0, {{0, 1, 1}}};
  std::erase_if(axes, [](const CopyAxis& axis) { return axis.extent == 1; });
  for (CopyAxis& axis : axes) {
    if (axis.target_stride >= 0) continue;
    region.target_offset += (axis.extent - 1) * axis.target_stride;
    region.source_offset += (axis.extent - 1) * axis.source_stride;
    axis.target_stride = -axis.target_stride;
    axis.source_stride = -axis.source_stride;
  }
  std::stable_sort(axes.begin(), axes.end(), [](const CopyAxis& a, const CopyAxis& b) { return a.target_stride > b.target_stride; });
  std::vector<CopyAxis> merged;
  for (const CopyAxis& axis : axes) {
    if (!merged.empty() && merged.back().target_stride == axis.target_stride * axis.extent &&
        merged.back().source_stride == axis.source_stride * axis.extent)
      merged.back() = {merged.back().extent * axis.extent, axis.target_stride, axis.source_stride};
    else
      merged.push_back(axis);
  }
  axes = std::move(merged);
  return region;
}

bool is_contiguous(const CopyRegion& region) {
  return region.axes.empty() || (region.axes.size() == 1 && region.axes[0].target_stride == 1 && region.axes[0].source_stride == 1);
}

void split(const CopyRegion& region, int64_t max_elements, std::vector<CopyRegion>& parts) {
  const int64_t count = element_count(region);
  if (count == 0) return;
  if (count <= std::max<int64_t>(max_elements, 1)) {
    parts.push_back(region);
    return;
  }
  const CopyAxis outer = region.axes.front();
  const int64_t per_part = std::max<int64_t>(1, max_elements / (count / outer.extent));
  for (int64_t begin = 0; begin < outer.extent; begin += per_part) {
    CopyRegion part = region;
    part.target_offset += begin * outer.target_stride;
    part.source_offset += begin * outer.source_stride;
    part.axes.front().extent = std::min(per_part, outer.extent - begin);
    if (part.axes.front().extent == 1) part.axes.erase(part.axes.begin());
    split(part, max_elements, parts);
  }
}

void strided_copy(std::byte* target, const std::byte* source, const CopyRegion& region, int element_bytes) {
  if (element_count(region) == 0) return;
  target += region.target_offset * element_bytes;
  source += region.source_offset * element_bytes;
  CopyRegion wide = region;
  widen_elements(wide, element_bytes);
  switch (element_bytes) {
    case 1: return copy_words<uint8_t>(target, source, std::move(wide.axes));
    case 2: return copy_words<uint16_t>(target, source, std::move(wide.axes));
    case 4: return copy_words<uint32_t>(target, source, std::move(wide.axes));
    case 8: return copy_words<uint64_t>(target, source, std::move(wide.axes));
    default: return copy_words<Word16>(target, source, std::move(wide.axes));
  }
}

}  // namespace remap::ops
