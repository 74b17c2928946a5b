// Reads ranges of files. Private to exec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace remap::exec {

// Reads `length` bytes. Throws Error "io-read", or "io-truncated" if the file ends before; `name`: its name for
// messages, or null.
void read_file_bytes(int fd, const std::string* name, uint64_t offset, std::byte* out, uint64_t length);

}  // namespace remap::exec
