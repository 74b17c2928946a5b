#include "ops/strided_copy.h"

#include <algorithm>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

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
void for_each_index(std::byte* target, const std::byte* source, const CopyAxis* axes, size_t rank,
                    int64_t element_bytes, const Body& body) {
  if (rank == 0) {
    body(target, source);
    return;
  }
  for (int64_t i = 0; i < axes->extent; ++i)
    for_each_index(target + i * axes->target_stride * element_bytes, source + i * axes->source_stride * element_bytes,
                   axes + 1, rank - 1, element_bytes, body);
}

template <typename Word>
void copy_run(std::byte* target, int64_t target_stride, const std::byte* source, int64_t source_stride, int64_t count) {
  constexpr int64_t kSize = sizeof(Word);
  for (int64_t i = 0; i < count; ++i)
    store(target + i * target_stride * kSize, load<Word>(source + i * source_stride * kSize));
}

// Transposes a square of kBlock x kBlock words: source columns are `source_stride` bytes apart, target rows
// `target_stride`.
template <typename Word, int64_t kBlock>
void transpose_block(std::byte* target, int64_t target_stride, const std::byte* source, int64_t source_stride) {
  constexpr int64_t kSize = sizeof(Word);
  for (int64_t c = 0; c < kBlock; ++c)
    for (int64_t r = 0; r < kBlock; ++r)
      store(target + r * target_stride + c * kSize, load<Word>(source + c * source_stride + r * kSize));
}

#ifdef __SSE2__
// Interleaves the lower, or the upper, halves of two vectors of words.
template <size_t kSize>
__m128i interleave_low(__m128i a, __m128i b) {
  if constexpr (kSize == 1) return _mm_unpacklo_epi8(a, b);
  if constexpr (kSize == 2) return _mm_unpacklo_epi16(a, b);
  if constexpr (kSize == 4) return _mm_unpacklo_epi32(a, b);
  if constexpr (kSize == 8) return _mm_unpacklo_epi64(a, b);
}
template <size_t kSize>
__m128i interleave_high(__m128i a, __m128i b) {
  if constexpr (kSize == 1) return _mm_unpackhi_epi8(a, b);
  if constexpr (kSize == 2) return _mm_unpackhi_epi16(a, b);
  if constexpr (kSize == 4) return _mm_unpackhi_epi32(a, b);
  if constexpr (kSize == 8) return _mm_unpackhi_epi64(a, b);
}

// The same in registers, for the square that fills one vector a row: each pass interleaves the two halves of the rows,
// and as many passes as the index has bits exchange row and column.
template <typename Word>
void transpose_vectors(std::byte* target, int64_t target_stride, const std::byte* source, int64_t source_stride) {
  constexpr size_t kLanes = 16 / sizeof(Word);
  __m128i rows[kLanes], next[kLanes];
  for (size_t i = 0; i < kLanes; ++i)
    rows[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + static_cast<int64_t>(i) * source_stride));
  for (size_t pass = 1; pass < kLanes; pass *= 2) {
    for (size_t i = 0; i < kLanes / 2; ++i) {
      next[2 * i] = interleave_low<sizeof(Word)>(rows[i], rows[i + kLanes / 2]);
      next[2 * i + 1] = interleave_high<sizeof(Word)>(rows[i], rows[i + kLanes / 2]);
    }
    for (size_t i = 0; i < kLanes; ++i) rows[i] = next[i];
  }
  for (size_t i = 0; i < kLanes; ++i)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target + static_cast<int64_t>(i) * target_stride), rows[i]);
}
#endif

// Transposes one cache line by one cache line through a buffer, so that every line of either side is touched once
// however the strides fall into the cache's sets.
template <typename Word, int64_t kBlock>
void transpose_lines(std::byte* target, int64_t target_stride, const std::byte* source, int64_t source_stride) {
  constexpr int64_t kSize = sizeof(Word), kLineBytes = kBlock * kSize;
  alignas(64) std::byte buffer[kBlock * kLineBytes];
#ifdef __SSE2__
  if constexpr (kSize < 16) {
    constexpr int64_t kLanes = 16 / kSize;
    for (int64_t c = 0; c < kBlock; c += kLanes)
      for (int64_t r = 0; r < kBlock; r += kLanes)
        transpose_vectors<Word>(buffer + r * kLineBytes + c * kSize, kLineBytes, source + c * source_stride + r * kSize,
                                source_stride);
  } else {
    transpose_block<Word, kBlock>(buffer, kLineBytes, source, source_stride);
  }
#else
  transpose_block<Word, kBlock>(buffer, kLineBytes, source, source_stride);
#endif
  for (int64_t r = 0; r < kBlock; ++r) std::memcpy(target + r * target_stride, buffer + r * kLineBytes, kLineBytes);
}

// Target element (r, c) is source element (c, r): the target's rows are `target_stride` apart, the source's columns
// `source_stride`, in elements. Goes by squares of kSquare, which keeps the pages of both sides in the TLB.
template <typename Word>
void transpose(std::byte* target, int64_t target_stride, const std::byte* source, int64_t source_stride, int64_t rows,
               int64_t columns) {
  constexpr int64_t kSize = sizeof(Word);
  constexpr int64_t kBlock = std::max<int64_t>(8, 64 / kSize);
  constexpr int64_t kSquare = 16 * kBlock;
  const auto block = [&](int64_t row, int64_t column, int64_t end_row, int64_t end_column) {
    std::byte* to = target + (row * target_stride + column) * kSize;
    const std::byte* from = source + (column * source_stride + row) * kSize;
    if (end_row - row >= kBlock && end_column - column >= kBlock)
      return transpose_lines<Word, kBlock>(to, target_stride * kSize, from, source_stride * kSize);
    for (int64_t r = 0; r < std::min(kBlock, end_row - row); ++r)
      copy_run<Word>(to + r * target_stride * kSize, 1, from + r * kSize, source_stride,
                     std::min(kBlock, end_column - column));
  };
  for (int64_t square_row = 0; square_row < rows; square_row += kSquare)
    for (int64_t square_column = 0; square_column < columns; square_column += kSquare) {
      const int64_t end_row = std::min(rows, square_row + kSquare),
                    end_column = std::min(columns, square_column + kSquare);
      for (int64_t column = square_column; column < end_column; column += kBlock)
        for (int64_t row = square_row; row < end_row; row += kBlock) block(row, column, end_row, end_column);
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
  const auto along_source =
      std::find_if(axes.begin(), axes.end(), [](const CopyAxis& axis) { return axis.source_stride == 1; });
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
  if (std::any_of(axes.begin(), axes.end(), [](const CopyAxis& axis) { return axis.extent == 0; }))
    return {0, 0, {{0, 1, 1}}};
  std::erase_if(axes, [](const CopyAxis& axis) { return axis.extent == 1; });
  for (CopyAxis& axis : axes) {
    if (axis.target_stride >= 0) continue;
    region.target_offset += (axis.extent - 1) * axis.target_stride;
    region.source_offset += (axis.extent - 1) * axis.source_stride;
    axis.target_stride = -axis.target_stride;
    axis.source_stride = -axis.source_stride;
  }
  std::stable_sort(axes.begin(), axes.end(),
                   [](const CopyAxis& a, const CopyAxis& b) { return a.target_stride > b.target_stride; });
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
  return region.axes.empty() ||
         (region.axes.size() == 1 && region.axes[0].target_stride == 1 && region.axes[0].source_stride == 1);
}

int64_t last_target(const CopyRegion& region) {
  int64_t last = region.target_offset;
  for (const CopyAxis& axis : region.axes) last += (axis.extent - 1) * axis.target_stride;
  return last;
}

std::pair<int64_t, int64_t> source_reach(const CopyRegion& region) {
  std::pair reach{region.source_offset, region.source_offset};
  for (const CopyAxis& axis : region.axes) {
    const int64_t way = (axis.extent - 1) * axis.source_stride;
    (way < 0 ? reach.first : reach.second) += way;
  }
  return reach;
}

void clip_target(const CopyRegion& region, int64_t begin, int64_t end, std::vector<CopyRegion>& parts) {
  const int64_t first = region.target_offset, last = last_target(region);
  if (element_count(region) == 0 || last < begin || first >= end) return;
  if (first >= begin && last < end) {
    parts.push_back(region);
    return;
  }
  // One element is inside or outside: here there is an axis. Its first indices may reach in from before `begin`, its
  // last ones out beyond `end`; those between stay together.
  const CopyAxis outer = region.axes.front();
  const int64_t below = last - first - (outer.extent - 1) * outer.target_stride;
  const auto first_at = [&](int64_t from) { return from <= 0 ? 0 : (from - 1) / outer.target_stride + 1; };
  const auto last_at = [&](int64_t to) { return to < 0 ? -1 : std::min(outer.extent - 1, to / outer.target_stride); };
  const auto take = [&](int64_t i, int64_t extent) {
    CopyRegion part = region;
    part.target_offset += i * outer.target_stride;
    part.source_offset += i * outer.source_stride;
    part.axes.front().extent = extent;
    if (extent == 1) part.axes.erase(part.axes.begin());
    clip_target(part, begin, end, parts);
  };
  const int64_t whole_begin = first_at(begin - first), whole_last = last_at(end - 1 - first - below);
  const int64_t touched_last = last_at(end - 1 - first);
  int64_t i = first_at(begin - first - below);
  for (; i <= touched_last; ++i) {
    if (i == whole_begin && whole_begin <= whole_last) {
      take(i, whole_last - whole_begin + 1);
      i = whole_last;
    } else {
      take(i, 1);
    }
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
