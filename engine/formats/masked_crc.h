// How TensorFlow stores a CRC-32C: so that the sum of bytes that hold sums is not a constant. Private to formats.
#pragma once

#include <cstdint>

namespace remap::formats {

inline uint32_t masked(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282'ead8u; }

}  // namespace remap::formats
