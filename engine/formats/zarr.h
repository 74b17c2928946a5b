// One zarr (version 2) array: a folder with `.zarray` (JSON) and one file a chunk, "1.0.2" or "1/0/2" ("0" for 0-d).
//
// A chunk file is the whole chunk, row-major (order "C") or column-major ("F"), compressed or not. Chunks at the edge
// are stored full size and cropped when read. A chunk without a file consists of the fill value; without one, it is
// lost.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "remap/source.h"

namespace remap::formats {

enum class ZarrCodec { raw, gzip, zlib, zstd };

struct ZarrArray {
  std::string folder;  // path to open
  DType dtype = DType::f32;
  bool big_endian = false;
  bool column_major = false;
  char separator = '.';
  ZarrCodec codec = ZarrCodec::raw;
  Shape shape;
  Shape chunks;                                        // extents of a chunk, all >= 1, as many as `shape` has
  std::optional<std::array<std::byte, 16>> fill = {};  // one element, little-endian

  size_t chunk_bytes() const;  // decoded
  Shape grid() const;          // chunks along each dimension
  std::string chunk_name(const Shape& chunk) const;
};

// Parses the text of a `.zarray`. Throws Error "zarr-metadata" for what is wrong, "zarr-unsupported" for what is not
// read here, "limit-exceeded". `file` names the text; `folder` of the result is left empty.
ZarrArray parse_zarray(std::string_view text, const std::string& file, const Limits& limits);

// Boxes of the chunks, cropped to the shape, in row-major order.
std::vector<Box> zarr_tiles(const ZarrArray& array);

// Reads and decodes chunk `tile` (as zarr_tiles() numbers them). Throws Error "zarr-chunk" if its file is damaged,
// "zarr-chunk-missing" if it is not there and there is no fill value.
TileView load_zarr_tile(const ZarrArray& array, size_t tile, TileBuffer& buffer);

// Calls `body` with the name of every chunk's file, whether it is there or not, in row-major order.
void visit_chunk_files(const ZarrArray& array, const std::function<void(const std::string& path)>& body);

// Counts the chunks that have no file.
size_t missing_chunks(const ZarrArray& array);

// Throws Error "zarr-chunk-missing" if a chunk has no file and the array no fill value; `name` is the array's.
void check_chunks(const ZarrArray& array, const std::string& name);

}  // namespace remap::formats
