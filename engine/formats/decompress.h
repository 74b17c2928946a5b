// Decoders of one zarr chunk. Each fills `out` with exactly `size_bytes` bytes, or throws Error "zarr-chunk" at the
// file: too short says how much there is; too long stops as soon as there is more, so that a few bytes cannot fill the
// memory. `out` grows with what the file can hold, not with what was promised.
#pragma once

#include <cstddef>
#include <vector>

#include "base/mapped_file.h"

namespace remap::formats {

void copy_raw(const MappedFile& file, size_t size_bytes, std::vector<std::byte>& out);
// zlib's stream, or gzip's: one or more members, checksums verified.
void inflate_chunk(const MappedFile& file, size_t size_bytes, bool gzip, std::vector<std::byte>& out);
void unpack_zstd_chunk(const MappedFile& file, size_t size_bytes, std::vector<std::byte>& out);

}  // namespace remap::formats
