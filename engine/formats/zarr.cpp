#include "formats/zarr.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "formats/zarr_elements.h"
#include "tensor/box.h"
#include "tensor/byte_order.h"

namespace remap::formats {
namespace {

constexpr size_t kSumBytes = 4;

Shape grid_of(const Shape& shape, const Shape& extent) {
  Shape grid(shape.size());
  for (size_t d = 0; d < shape.size(); ++d) grid[d] = shape[d] / extent[d] + (shape[d] % extent[d] != 0);
  return grid;
}

size_t count_of(const Shape& grid) {
  size_t count = 1;  // limits were checked
  for (const int64_t extent : grid) count *= static_cast<size_t>(extent);
  return count;
}

// Coordinates of the n-th cell, in row-major order.
Shape cell_at(const Shape& grid, size_t n) {
  Shape at(grid.size());
  for (size_t d = grid.size(); d-- > 0;) {
    at[d] = static_cast<int64_t>(n % static_cast<size_t>(grid[d]));
    n /= static_cast<size_t>(grid[d]);
  }
  return at;
}

uint64_t number_of(const Shape& cell, const Shape& grid) {
  uint64_t number = 0;
  for (size_t d = 0; d < grid.size(); ++d)
    number = number * static_cast<uint64_t>(grid[d]) + static_cast<uint64_t>(cell[d]);
  return number;
}

// values[k] becomes values[axes[k]].
template <typename T>
std::vector<T> permuted(const std::vector<T>& values, const std::vector<size_t>& axes) {
  if (axes.empty()) return values;
  std::vector<T> result(values.size());
  for (size_t k = 0; k < axes.size(); ++k) result[k] = values[axes[k]];
  return result;
}

// Which axis of the array is axis k of what the chunks of this level are cut from.
std::vector<size_t> axes_at(const ZarrArray& array, size_t level) {
  std::vector<size_t> axes(array.shape.size());
  for (size_t d = 0; d < axes.size(); ++d) axes[d] = d;
  for (size_t i = 0; i < level; ++i) axes = permuted(axes, array.levels[i].axes);
  return axes;
}

std::vector<int64_t> tile_strides(const ZarrArray& array) {
  const ZarrChunks& innermost = array.levels.back();
  const auto stored = row_major_strides(innermost.stored_extent());
  const auto axes = permuted(axes_at(array, array.levels.size() - 1), innermost.axes);
  std::vector<int64_t> strides(stored.size());
  for (size_t k = 0; k < axes.size(); ++k) strides[axes[k]] = stored[k];
  return strides;
}

std::string key_of(const ZarrArray& array, const Shape& chunk) { return array.prefix + array.chunk_name(chunk); }

[[noreturn]] void refuse_missing(const BytePlace& place, const std::string& name, size_t n_missing) {
  throw Error(
      "zarr-chunk-missing", place,
      fmt::format("the chunk is not there{}, and the array '{}' has no fill value (null): its elements are unknown",
                  n_missing > 1 ? fmt::format(", nor are {} others", n_missing - 1) : "", name),
      "the checkpoint was not copied completely; fetch the folder again");
}

struct Missing {
  size_t count = 0;
  Shape first;
};
Missing find_missing(const ZarrArray& array) {
  const Shape grid = array.grid();
  Missing missing;
  for (size_t n = 0; n < count_of(grid); ++n) {
    Shape chunk = cell_at(grid, n);
    if (!array.store->contains(key_of(array, chunk)) && missing.count++ == 0) missing.first = std::move(chunk);
  }
  return missing;
}

uint64_t number_at(std::span<const std::byte> bytes, size_t at, bool big_endian) {
  uint64_t value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return big_endian ? __builtin_bswap64(value) : value;
}

// The chunk with this number in a shard; nullopt if it is not there. `way` tells the shard from others.
std::optional<std::span<const std::byte>> chunk_in_shard(const ZarrArray& array, const ZarrChunks& shard,
                                                         uint64_t n_inside, uint64_t number,
                                                         const std::vector<uint64_t>& way, const ChunkBytes& value) {
  constexpr uint64_t kEntryBytes = 16, kAbsent = ~uint64_t{0};
  const uint64_t index_bytes = n_inside * kEntryBytes + (shard.index_sum ? kSumBytes : 0);
  if (index_bytes > value.bytes.size())
    value.fail(fmt::format("the shard has {} bytes, and the index of its {} chunks alone {}", value.bytes.size(),
                           n_inside, index_bytes));
  const uint64_t begin = shard.index_at_end ? value.bytes.size() - index_bytes : 0;
  const auto index = value.bytes.subspan(begin, index_bytes);
  if (shard.index_sum) {
    const std::lock_guard lock(array.verified->mutex);
    if (!array.verified->shards.contains(way)) {
      without_crc32c({index, value.place});
      array.verified->shards.insert(way);
    }
  }
  const uint64_t offset = number_at(index, number * kEntryBytes, shard.index_big_endian),
                 length = number_at(index, number * kEntryBytes + 8, shard.index_big_endian);
  if (offset == kAbsent && length == kAbsent) return std::nullopt;
  // Chunks and index do not share bytes.
  const uint64_t first = shard.index_at_end ? 0 : index_bytes, end = shard.index_at_end ? begin : value.bytes.size();
  if (offset < first || offset > end || length > end - offset)
    value.fail(fmt::format("chunk {} of the shard has {} bytes from byte {}, and chunks are in bytes {} to {}", number,
                           length, offset, first, end));
  return value.bytes.subspan(offset, length);
}

void decode(const ZarrArray& array, const ChunkBytes& value, TileBuffer& buffer) {
  const ZarrChunks& chunk = array.levels.back();
  ChunkBytes packed{value.bytes, value.place};
  for (int i = 0; i < chunk.sums_outside; ++i) packed.bytes = without_crc32c(packed).bytes;
  const size_t n_bytes = array.chunk_bytes();
  if (chunk.codec == nullptr) {
    for (int i = 0; i < chunk.sums_inside; ++i) packed.bytes = without_crc32c(packed).bytes;
    copy_raw(packed, n_bytes, buffer);
    return;
  }
  chunk.codec->decode(packed, n_bytes + static_cast<size_t>(chunk.sums_inside) * kSumBytes, buffer);
  ChunkBytes unpacked{buffer, value.place};
  for (int i = 0; i < chunk.sums_inside; ++i) unpacked.bytes = without_crc32c(unpacked).bytes;
  buffer.resize(n_bytes);
}

// Decodes the innermost chunk that begins at `origin`; false if it is not there.
bool load_chunk(const ZarrArray& array, const Shape& origin, const StoredValue& value, TileBuffer& buffer) {
  std::span<const std::byte> bytes = value.bytes;
  BytePlace place = value.place;
  Shape within = origin;
  std::vector<uint64_t> way;
  Shape grid = array.grid();
  for (size_t i = 0; i < array.levels.size(); ++i) {
    const ZarrChunks& level = array.levels[i];
    Shape cell(within.size());
    for (size_t d = 0; d < within.size(); ++d) {
      cell[d] = within[d] / level.extent[d];
      within[d] %= level.extent[d];
    }
    const uint64_t number = number_of(cell, grid);
    if (i > 0) {
      const ChunkBytes shard{bytes, place};
      const auto inner = chunk_in_shard(array, array.levels[i - 1], count_of(grid), number, way, shard);
      if (!inner) return false;
      place.offset = place.offset.value_or(0) + static_cast<uint64_t>(inner->data() - bytes.data());
      bytes = *inner;
    }
    way.push_back(number);
    if (!level.is_shard) break;
    within = permuted(within, level.axes);
    grid = grid_of(level.stored_extent(), array.levels[i + 1].extent);
  }
  decode(array, {bytes, place}, buffer);
  return true;
}

}  // namespace

Shape ZarrChunks::stored_extent() const { return permuted(extent, axes); }

Shape ZarrArray::tile_extent() const {
  const auto axes = axes_at(*this, levels.size() - 1);
  Shape result(shape.size());
  for (size_t k = 0; k < axes.size(); ++k) result[axes[k]] = levels.back().extent[k];
  return result;
}

size_t ZarrArray::chunk_bytes() const {
  auto bytes = static_cast<size_t>(size_bytes(dtype));
  for (const int64_t extent : levels.back().extent) bytes *= static_cast<size_t>(extent);  // checked when parsed
  return bytes;
}

Shape ZarrArray::grid() const { return grid_of(shape, levels.front().extent); }

std::string ZarrArray::chunk_name(const Shape& chunk) const {
  const std::string numbers = fmt::format("{}", fmt::join(chunk, std::string_view(&separator, 1)));
  if (chunk_prefix.empty()) return chunk.empty() ? "0" : numbers;
  return chunk.empty() ? chunk_prefix : chunk_prefix + separator + numbers;
}

std::vector<Box> zarr_tiles(const ZarrArray& array) {
  const Shape extent = array.tile_extent(), grid = grid_of(array.shape, extent);
  const size_t n_tiles = count_of(grid);
  std::vector<Box> boxes;
  boxes.reserve(n_tiles);
  for (size_t tile = 0; tile < n_tiles; ++tile) {
    Box box{cell_at(grid, tile), extent};
    for (size_t d = 0; d < grid.size(); ++d) {
      box.origin[d] *= extent[d];
      box.extent[d] = std::min(extent[d], array.shape[d] - box.origin[d]);
    }
    boxes.push_back(std::move(box));
  }
  return boxes;
}

TileView load_zarr_tile(const ZarrArray& array, size_t tile, TileBuffer& buffer) {
  const Shape extent = array.tile_extent();
  Shape origin = cell_at(grid_of(array.shape, extent), tile), chunk(origin.size());
  for (size_t d = 0; d < origin.size(); ++d) {
    origin[d] *= extent[d];
    chunk[d] = origin[d] / array.levels.front().extent[d];
  }
  const std::string key = key_of(array, chunk);
  const auto value = array.store->find(key);
  if (value && value->file.read([&] { return load_chunk(array, origin, *value, buffer); })) {
    if (array.big_endian) swap_bytes(buffer, array.dtype);
    return {buffer.data(), tile_strides(array), -1, 0};
  }
  // Only a missing chunk means the fill value; a missing array does not.
  if (!value && !array.store->contains(array.prefix + array.text_name))
    throw Error("io-read", array.store->place_of(array.prefix + array.text_name),
                "the array disappeared while it was open");
  if (!array.fill) refuse_missing(array.store->place_of(key), array.name, 1);
  buffer.assign(array.fill->begin(), array.fill->begin() + size_bytes(array.dtype));
  return {buffer.data(), std::vector<int64_t>(array.shape.size(), 0), -1, 0};  // every element is the same one
}

void visit_chunk_files(const ZarrArray& array, const std::function<void(const std::string& path)>& body) {
  const Shape grid = array.grid();
  for (size_t n = 0; n < count_of(grid); ++n)
    if (const auto file = array.store->file_of(key_of(array, cell_at(grid, n)))) body(*file);
}

std::optional<std::string> missing_chunks(const ZarrArray& array) {
  const size_t missing = find_missing(array).count;
  if (missing == 0) return std::nullopt;
  return fmt::format("{}: {} there, read as the fill value", array.name,
                     missing == 1 ? "1 chunk is not" : fmt::format("{} chunks are not", missing));
}

void check_chunks(const ZarrArray& array) {
  if (array.fill) return;
  if (const Missing missing = find_missing(array); missing.count > 0)
    refuse_missing(array.store->place_of(key_of(array, missing.first)), array.name, missing.count);
}

}  // namespace remap::formats
