// A .zarray: an array whose tiles can be listed, or remap::Error.
#include <cstddef>
#include <cstdint>

#include "formats/zarr.h"
#include "remap/diagnostic.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto array = remap::formats::parse_zarray({reinterpret_cast<const char*>(data), size}, "fuzz", {});
    int64_t covered = 0;
    for (const auto& box : remap::formats::zarr_tiles(array)) covered += remap::element_count(box.extent);
    if (covered != remap::element_count(array.shape)) __builtin_trap();
    if (array.chunk_bytes() > remap::Limits().max_chunk_bytes) __builtin_trap();
  } catch (const remap::Error&) {
  }
  return 0;
}
