// Reads ranges of files. Private to exec.
#pragma once

#include <cstddef>
#include <cstdint>

namespace remap::exec {

// Reads `length` bytes. Throws Error "io-read", or "io-truncated" if the file ends before.
void read_file_bytes(int fd, uint64_t offset, std::byte* out, uint64_t length);

}  // namespace remap::exec
