// Decoders of one zarr chunk. Each fills `out` with exactly `size_bytes` bytes, or throws Error "zarr-chunk" at the
// chunk's place: too short says how much there is; too long stops as soon as there is more, so that a few bytes cannot
// fill the memory. `out` grows with what the bytes can hold, not with what was promised.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "remap/diagnostic.h"

namespace remap::formats {

// Encoded bytes, and where they are.
struct ChunkBytes {
  std::span<const std::byte> bytes;
  const BytePlace& place;

  [[noreturn]] void fail(const std::string& message, std::optional<uint64_t> offset = {}) const;
};

// A way to pack bytes: its name in zarr's metadata, and how it is undone.
struct ChunkCodec {
  std::string_view name;
  void (*decode)(const ChunkBytes& chunk, size_t size_bytes, std::vector<std::byte>& out);
};
// In the order of their names. gzip: one or more members, checksums verified; zstd: one or more frames.
std::span<const ChunkCodec> chunk_codecs();
// nullptr: not read.
const ChunkCodec* find_chunk_codec(std::string_view name);

void copy_raw(const ChunkBytes& chunk, size_t size_bytes, std::vector<std::byte>& out);
// The bytes in front of the checksum that crc32c puts behind them, verified.
ChunkBytes without_crc32c(const ChunkBytes& chunk);

}  // namespace remap::formats
