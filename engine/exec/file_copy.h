// Copies and writes ranges of files. Private to exec.
#pragma once

#include <cstddef>
#include <cstdint>

namespace remap::exec {

// Copies `length` bytes between two files, in the kernel where it can, else through a buffer of a few MiB.
// Throws Error "io-write" (or "io-read", "io-truncated") that names the operation.
void copy_file_bytes(int source_fd, uint64_t source_offset, int target_fd, uint64_t target_offset, uint64_t length);

// Writes all of `data`. Throws Error "io-write".
void write_file_bytes(int fd, uint64_t offset, const std::byte* data, uint64_t length);

}  // namespace remap::exec
