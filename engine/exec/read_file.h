// Reads ranges of files. Private to exec.
#pragma once

#include <cstddef>
#include <cstdint>

#include "remap/source.h"

namespace remap::exec {

// Reads `length` bytes of the file that a tile is in. Throws Error "io-read", or "io-truncated" if the file ends
// before. `once`: they are not left in the page cache.
void read_file_bytes(const TileView& view, uint64_t offset, std::byte* out, uint64_t length, bool once);

// Takes what was read of a file out of the page cache.
void drop_read(int fd, uint64_t offset, uint64_t length);

}  // namespace remap::exec
