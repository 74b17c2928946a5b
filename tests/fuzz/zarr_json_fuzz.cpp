// A .zarray, or a zarr.json: an array whose tiles can be listed, or remap::Error.
#include <cstddef>
#include <cstdint>

#include "formats/zarr.h"
#include "remap/diagnostic.h"

namespace {

void check(const remap::formats::ZarrArray& array) {
  int64_t covered = 0;
  for (const auto& box : remap::formats::zarr_tiles(array)) covered += remap::element_count(box.extent);
  if (covered != remap::element_count(array.shape)) __builtin_trap();
  if (array.chunk_bytes() > remap::Limits().max_chunk_bytes) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    check(remap::formats::parse_zarray(text, "fuzz", {}));
  } catch (const remap::Error&) {
  }
  try {
    if (const auto array = remap::formats::parse_zarr_json(text, "fuzz", {})) check(*array);
  } catch (const remap::Error&) {
  }
  return 0;
}
