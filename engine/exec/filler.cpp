#include "exec/filler.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mapped_file.h"
#include "exec/read_file.h"
#include "ops/cast.h"
#include "remap/diagnostic.h"
#include "tensor/box.h"

namespace remap::exec {
namespace {

// Shorter runs are copied from the mapping: a system call costs more than they do. But the first touch of a page may
// make a whole folio, up to 2 MiB, resident.
constexpr int64_t kWorthReadingBytes = 512;
// Mapped memory of a thread that stays resident; what lies beyond it goes back to the page cache. A first touch may
// make as much as a folio resident.
constexpr int64_t kResidentBytes = int64_t{64} << 20;
constexpr int64_t kCastElements = int64_t{1} << 16;
constexpr int64_t kFolioBytes = int64_t{1} << 20;
// A larger tile is not read ahead as a whole: the first pages might be gone before they are used.
constexpr int64_t kReadAheadBytes = int64_t{256} << 20;

int64_t page_bytes() {
  static const auto bytes = static_cast<int64_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

bool is_empty(const Piece& piece) {
  return std::any_of(piece.axes.begin(), piece.axes.end(), [](const Axis& axis) { return axis.extent == 0; });
}

// Calls body(target element, source element) for each element of a region.
template <typename Body>
void count_along(const ops::CopyRegion& region, const Body& body) {
  std::vector<int64_t> index(region.axes.size(), 0);
  int64_t target = region.target_offset, source = region.source_offset;
  while (true) {
    body(target, source);
    size_t d = index.size();
    for (; d > 0; --d) {
      const ops::CopyAxis& axis = region.axes[d - 1];
      target += axis.target_stride, source += axis.source_stride;
      if (++index[d - 1] < axis.extent) break;
      target -= axis.extent * axis.target_stride, source -= axis.extent * axis.source_stride;
      index[d - 1] = 0;
    }
    if (d == 0) return;
  }
}

}  // namespace

PieceIndex::PieceIndex(const std::vector<PlannedTensor>& tensors) : tensors_(tensors) {
  for (size_t t = 0; t < tensors.size(); ++t) {
    const auto& pieces = tensors[t].pieces;
    if (pieces.size() < 2) continue;
    const auto strides = row_major_strides(tensors[t].shape);
    auto& reaches = reaches_[t];
    for (size_t p = 0; p < pieces.size(); ++p) {
      if (is_empty(pieces[p])) continue;
      Reach reach{0, 0, 0, p};
      for (size_t d = 0; d < pieces[p].target_origin.size(); ++d) reach.low += pieces[p].target_origin[d] * strides[d];
      reach.high = reach.low;
      for (const Axis& axis : pieces[p].axes) {
        const int64_t way = (axis.extent - 1) * axis.target_step * strides[axis.target_dim];
        (way < 0 ? reach.low : reach.high) += way;
      }
      reaches.push_back(reach);
    }
    std::sort(reaches.begin(), reaches.end(), [](const Reach& a, const Reach& b) { return a.low < b.low; });
    int64_t highest = 0;
    for (Reach& reach : reaches) reach.highest = highest = std::max(highest, reach.high);
  }
}

size_t PieceIndex::first_touching(const std::vector<Reach>& reaches, int64_t element) {
  const auto first = std::lower_bound(reaches.begin(), reaches.end(), element,
                                      [](const Reach& reach, int64_t wanted) { return reach.highest < wanted; });
  return static_cast<size_t>(first - reaches.begin());
}

FilePlace Filler::place_of(const Stretch& stretch) const {
  FilePlace place = place_in_source(tensors_[stretch.target], sources_).value_or(FilePlace{});
  place.offset_bytes +=
      static_cast<uint64_t>(stretch.begin) * static_cast<uint64_t>(size_bytes(tensors_[stretch.target].dtype));
  return place;
}

uint64_t Filler::size_of(const Stretch& stretch) const {
  return static_cast<uint64_t>(stretch.end - stretch.begin) *
         static_cast<uint64_t>(size_bytes(tensors_[stretch.target].dtype));
}

// Small tensors that follow each other in a file of a source too are read at once. What could not be read so is read
// one by one, which tells where it fails.
uint64_t Filler::fill(const std::vector<Stretch>& stretches, std::byte* out) {
  if (stretches.size() == 1) return fill(stretches[0], out);
  uint64_t filled = 0;
  FilePlace from = place_of(stretches[0]);
  for (size_t i = 0; i < stretches.size();) {
    std::byte* const at = out + (stretches[i].offset_bytes - stretches[0].offset_bytes);
    uint64_t length = size_of(stretches[i]);
    size_t next = i + 1;
    FilePlace further;
    for (; next < stretches.size(); ++next) {
      further = place_of(stretches[next]);
      if (from.fd < 0 || further.fd != from.fd || further.offset_bytes != from.offset_bytes + length ||
          stretches[next].offset_bytes != stretches[i].offset_bytes + length)
        break;
      length += size_of(stretches[next]);
    }
    const bool at_once = next > i + 1 && read_all_at(from.fd, from.offset_bytes, {at, length}).n_bytes == length;
    if (at_once && once_)
      drop_read(from.fd, from.offset_bytes, length);
    else if (!at_once)
      for (length = 0; i < next; ++i)
        length += fill(stretches[i], out + (stretches[i].offset_bytes - stretches[0].offset_bytes));
    filled += length;
    i = next;
    from = further;
  }
  return filled;
}

uint64_t Filler::fill(const Stretch& stretch, std::byte* out) {
  const PlannedTensor& tensor = tensors_[stretch.target];
  if (tensor.fill) return fill_constant(stretch, out);
  const auto strides = row_major_strides(tensor.shape);
  uint64_t filled = 0;
  index_.for_each(stretch, [&](const Piece& piece) {
    if (sources_[piece.source]->in_place(piece.tensor)) filled += fill_piece(piece, stretch, strides, out);
  });
  for (const FilledPart& part : tensor.filled) filled += fill_numbers(part, stretch, strides, out);
  return filled;
}

// A constant is a source whose stride is 0.
uint64_t Filler::fill_constant(const Stretch& stretch, std::byte* out) const {
  const PlannedTensor& tensor = tensors_[stretch.target];
  std::array<std::byte, 16> constant{};
  ops::encode_value(*tensor.fill, tensor.dtype, constant.data());
  const int64_t count = stretch.end - stretch.begin;
  const int element_bytes = size_bytes(tensor.dtype);
  ops::strided_copy(out, constant.data(), ops::normalised({0, 0, {{count, 1, 0}}}), element_bytes);
  return static_cast<uint64_t>(count * element_bytes);
}

// The numbers of a filled part lie along a line that nobody stores.
uint64_t Filler::fill_numbers(const FilledPart& part, const Stretch& stretch, const std::vector<int64_t>& strides,
                              std::byte* out) const {
  if (is_empty(part.region)) return 0;
  const DType dtype = tensors_[stretch.target].dtype;
  const int element_bytes = size_bytes(dtype);
  std::vector<ops::CopyRegion> regions;
  ops::clip_target(lower(part.region, whole_piece(part.region), strides, Box{{0}, {1}}, {1}), stretch.begin,
                   stretch.end, regions);
  int64_t elements = 0;
  for (ops::CopyRegion& region : regions) {
    region.target_offset -= stretch.begin;
    elements += ops::element_count(region);
    if (part.step == 0) {
      std::array<std::byte, 16> constant{};
      ops::encode_value(part.value, dtype, constant.data());
      region.source_offset = 0;
      for (ops::CopyAxis& axis : region.axes) axis.source_stride = 0;
      ops::strided_copy(out, constant.data(), region, element_bytes);
      continue;
    }
    count_along(region, [&](int64_t target, int64_t at) {
      ops::encode_value(part.value + part.step * static_cast<double>(at), dtype, out + target * element_bytes);
    });
  }
  return static_cast<uint64_t>(elements * element_bytes);
}

uint64_t Filler::fill_piece(const Piece& piece, const Stretch& stretch, const std::vector<int64_t>& strides,
                            std::byte* out) {
  if (is_empty(piece)) return 0;
  open(*sources_[piece.source], piece.tensor);
  const DType to = tensors_[stretch.target].dtype;
  int64_t elements = 0;
  for (size_t tile = 0; tile < opened_.tiles.size(); ++tile) {
    const Box& box = opened_.tiles[tile];
    const bool only = opened_.tiles.size() == 1;
    for (const IndexBox& indices : only ? std::vector<IndexBox>{whole_piece(piece)} : clip(piece, box)) {
      parts_.clear();
      ops::clip_target(lower(piece, indices, strides, box, opened_.views[tile].strides), stretch.begin, stretch.end,
                       parts_);
      for (ops::CopyRegion& part : parts_) {
        part.target_offset -= stretch.begin;
        try {
          copy(opened_.views[tile], part, to, out);
        } catch (const Error& error) {
          Diagnostic diagnostic = error.diagnostic();
          diagnostic.notes.push_back(fmt::format("while copying '{}' to '{}'",
                                                 opened_.source->manifest()[opened_.tensor].key,
                                                 tensors_[stretch.target].key));
          throw Error(std::move(diagnostic));
        }
        elements += ops::element_count(part);
      }
    }
  }
  return static_cast<uint64_t>(elements * size_bytes(to));
}

void Filler::open(const Source& source, size_t tensor) {
  if (opened_.source == &source && opened_.tensor == tensor) return;
  opened_.source = nullptr;
  opened_.is_ahead = false;
  opened_.tiles = source.tile_boxes(tensor);
  opened_.views.clear();
  for (size_t tile = 0; tile < opened_.tiles.size(); ++tile)
    opened_.views.push_back(source.load(tensor, tile, unused_));
  opened_.dtype = stored_form(source.manifest()[tensor]).dtype;
  opened_.source = &source, opened_.tensor = tensor;
}

void Filler::copy(const TileView& view, const ops::CopyRegion& region, DType to, std::byte* out) {
  const int64_t element_bytes = size_bytes(to);
  const bool contiguous = ops::is_contiguous(region);
  if (to == opened_.dtype && contiguous) {
    const int64_t length = ops::element_count(region) * element_bytes;
    const auto begin = static_cast<uint64_t>(region.source_offset * element_bytes);
    std::byte* const at = out + region.target_offset * element_bytes;
    if (view.fd >= 0 && length >= kWorthReadingBytes)
      return read_file_bytes(view, view.offset_bytes + begin, at, static_cast<uint64_t>(length), once_);
    std::memcpy(at, view.data + begin, static_cast<size_t>(length));
  } else if (contiguous && view.fd >= 0) {
    return cast_from_file(view, region, to, out);
  } else {
    if (!contiguous && view.fd >= 0) read_ahead();
    ops::strided_cast(out, to, view.data, opened_.dtype, region);
  }
  if (view.fd >= 0) touched(view, region);
}

// What is read once, in order, need not be mapped for it.
void Filler::cast_from_file(const TileView& view, const ops::CopyRegion& region, DType to, std::byte* out) {
  const int64_t count = ops::element_count(region), from_bytes = size_bytes(opened_.dtype);
  scratch_.resize(static_cast<size_t>(std::min(count, kCastElements) * from_bytes));
  for (int64_t begin = 0; begin < count; begin += kCastElements) {
    const int64_t n = std::min(kCastElements, count - begin);
    read_file_bytes(view, view.offset_bytes + static_cast<uint64_t>((region.source_offset + begin) * from_bytes),
                    scratch_.data(), static_cast<uint64_t>(n * from_bytes), once_);
    ops::strided_cast(out, to, scratch_.data(), opened_.dtype,
                      ops::normalised({region.target_offset + begin, 0, {{n, 1, 1}}}));
  }
}

// A strided copy faults pages of a mapped file in an order that the kernel does not foresee; tell it what will be read.
// A hint: changes nothing in memory, and may fail.
void Filler::read_ahead() {
  if (std::exchange(opened_.is_ahead, true)) return;
  for (size_t tile = 0; tile < opened_.tiles.size(); ++tile) {
    ops::CopyRegion all;
    for (size_t d = 0; d < opened_.tiles[tile].extent.size(); ++d)
      all.axes.push_back({opened_.tiles[tile].extent[d], 0, opened_.views[tile].strides[d]});
    const Range range = pages_of(opened_.views[tile], all);
    if (range.end - range.begin <= kReadAheadBytes)
      ::posix_madvise(reinterpret_cast<void*>(range.begin), range.end - range.begin, POSIX_MADV_WILLNEED);
  }
}

Filler::Range Filler::pages_of(const TileView& view, const ops::CopyRegion& region) const {
  const auto [first, last] = ops::source_reach(region);
  const int64_t element_bytes = size_bytes(opened_.dtype);
  const auto data = reinterpret_cast<uintptr_t>(view.data);
  const uintptr_t begin = data + static_cast<uintptr_t>(first * element_bytes);
  return {begin - begin % static_cast<uintptr_t>(page_bytes()),
          data + static_cast<uintptr_t>((last + 1) * element_bytes)};
}

// Mapped pages count as memory of the process although the page cache has them anyway. They are let go once the copying
// has moved on: a strided copy comes back to the same pages with its next block (256 bytes of each page at a time in a
// matrix of 4096 columns). Only of a tensor that is too large for that they are let go now and then.
void Filler::touched(const TileView& view, const ops::CopyRegion& region) {
  const Range range = pages_of(view, region);
  const auto bytes = static_cast<int64_t>(range.end - range.begin), page = page_bytes();
  const Range last = touched_.empty() ? Range{} : touched_.back();
  const bool goes_on = range.begin >= last.begin && range.begin <= last.end;
  const int64_t counted = bytes <= kResidentBytes ? std::max(bytes, kFolioBytes) : 0;
  const int64_t grown = goes_on ? static_cast<int64_t>(std::max(last.end, range.end) - last.end) : counted;
  // A quarter more, so that a tensor of just this size is not let go while it is copied.
  const bool is_full = touched_bytes_ > 0 && touched_bytes_ + grown > kResidentBytes / 4 * 5;
  if (is_full) let_go();
  if (goes_on && !is_full)
    touched_.back().end = std::max(last.end, range.end), touched_bytes_ += grown;
  else
    touched_.push_back(range), touched_bytes_ += counted;
  if (bytes <= kResidentBytes) return;
  int64_t run = 1;
  for (const ops::CopyAxis& axis : region.axes)
    if (axis.source_stride == 1) run = axis.extent;
  const int64_t in_pages = (run * size_bytes(opened_.dtype) + page - 1) / page * page;
  touched_bytes_ += std::min(bytes, ops::element_count(region) / run * in_pages);
  if (touched_bytes_ >= kResidentBytes) let_go();
}

void Filler::let_go() {
  for (const Range& range : touched_)
    ::madvise(reinterpret_cast<void*>(range.begin), range.end - range.begin, MADV_DONTNEED);
  touched_.clear();
  touched_bytes_ = 0;
}

}  // namespace remap::exec
