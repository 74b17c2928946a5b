// One zarr array, of version 2 or 3: a text that describes it (".zarray", "zarr.json") and a value for each chunk of a
// regular grid, under keys like "1.0.2", "1/0/2" or "c/1/0/2".
//
// A chunk is stored full size, also at the edge, and cropped when it is read. Its axes may be transposed (order "F" is
// a transpose), its bytes packed. A chunk may hold an index and chunks of its own ("sharding_indexed"), which may hold
// chunks again: the innermost are what is read. What is not there consists of the fill value; without one, it is lost.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "formats/decompress.h"
#include "formats/key_store.h"
#include "remap/source.h"

namespace remap::formats {

using ZarrElement = std::array<std::byte, 16>;  // one element, little-endian

// How the chunks of a grid, or of a shard, are stored. Axes are those of what they are cut from, outermost first.
struct ZarrChunks {
  Shape extent;                           // all >= 1
  std::vector<size_t> axes = {};          // axis k of what is stored is axis axes[k] of the chunk
  const ChunkCodec* codec = nullptr;      // of the bytes; nullptr: none
  int sums_inside = 0, sums_outside = 0;  // checksums (crc32c) behind the bytes before and after they are packed
  bool is_shard = false;                  // the bytes are an index and chunks: those of the next level
  bool index_at_end = true, index_sum = false, index_big_endian = false;

  Shape stored_extent() const;  // along the axes of what is stored
};

struct ZarrArray {
  std::shared_ptr<const KeyStore> store;  // set by whoever parsed the text
  std::string prefix;                     // of the array's keys: "" or "name/"
  std::string name;                       // for messages
  std::string text_name = ".zarray";      // the key of the array's text, without the prefix
  DType dtype = DType::f32;
  bool big_endian = false;
  std::string chunk_prefix = {};  // "c" of zarr 3
  char separator = '.';
  Shape shape;
  std::vector<ZarrChunks> levels;  // the grid's chunks; those inside of these, if they are shards …
  std::optional<ZarrElement> fill = {};

  Shape tile_extent() const;   // of an innermost chunk, along the array's axes
  size_t chunk_bytes() const;  // of an innermost chunk, decoded
  Shape grid() const;          // chunks of the first level along each dimension
  std::string chunk_name(const Shape& chunk) const;

  // Which shards' checksums were verified: by the numbers of the chunks on the way to them.
  struct Verified {
    std::mutex mutex;
    std::set<std::vector<uint64_t>> shards;
  };
  std::shared_ptr<Verified> verified = std::make_shared<Verified>();
};

// Parses the text of a `.zarray` or, of version 3, a `zarr.json`. Throws Error "zarr-metadata" for what is wrong,
// "zarr-unsupported" for what is not read here, "limit-exceeded". `file` names the text.
ZarrArray parse_zarray(std::string_view text, const std::string& file, const Limits& limits);
// nullopt: it describes a group.
std::optional<ZarrArray> parse_zarr_json(std::string_view text, const std::string& file, const Limits& limits);

// Boxes of the innermost chunks, cropped to the shape, in row-major order.
std::vector<Box> zarr_tiles(const ZarrArray& array);

// Reads and decodes chunk `tile` (as zarr_tiles() numbers them). Throws Error "zarr-chunk" if its value is damaged,
// "zarr-chunk-missing" if it is not there and there is no fill value.
TileView load_zarr_tile(const ZarrArray& array, size_t tile, TileBuffer& buffer);

// Calls `body` with every file that is opened while the array is loaded, whether it is there or not, in row-major order
// of the grid.
void visit_chunk_files(const ZarrArray& array, const std::function<void(const std::string& path)>& body);

// "NAME: 2 chunks are not there, read as the fill value"; nullopt: all are there.
std::optional<std::string> missing_chunks(const ZarrArray& array);

// Throws Error "zarr-chunk-missing" if a chunk is not there and the array has no fill value.
void check_chunks(const ZarrArray& array);

}  // namespace remap::formats
