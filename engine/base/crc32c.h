// CRC-32C (Castagnoli), as TensorFlow's and OCDBT's files have it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace remap {

// Of `bytes` behind those that `before` is of: crc32c(b, crc32c(a)) is that of a and b.
uint32_t crc32c(std::span<const std::byte> bytes, uint32_t before = 0);

}  // namespace remap
