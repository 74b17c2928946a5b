// What a codec of zarr packs: any bytes unpack to exactly as many as are expected, or are refused with an Error.
#include "formats/decompress.h"

#include <cstdlib>
#include <span>

#include "fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  remap::fuzz::Input input(data, size);
  const auto codecs = remap::formats::chunk_codecs();
  const auto& codec = codecs[input.byte() % codecs.size()];
  const size_t expected = 1 + input.byte() * size_t{256} + input.byte();
  const std::string_view packed = input.rest();
  const remap::BytePlace place{"fuzz", {}, {}};
  std::vector<std::byte> out;
  try {
    codec.decode({std::as_bytes(std::span(packed)), place}, expected, out);
    if (out.size() != expected) std::abort();
  } catch (const remap::Error&) {
  }
  return 0;
}
