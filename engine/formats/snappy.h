// Snappy's raw form (no frames). Private to formats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace remap::formats {

// What is wrong with the bytes, "" if nothing is: then `out` is what they unpack to. Claims of more than `max_bytes`,
// or of more than the bytes can hold, are refused before memory is taken for them.
std::string unpack_snappy(std::span<const std::byte> in, uint64_t max_bytes, std::vector<std::byte>& out);

}  // namespace remap::formats
