// A gin file: values, or remap::Error.
#include <cstddef>
#include <cstdint>

#include "formats/gin.h"
#include "remap/diagnostic.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    remap::Limits limits;
    limits.max_metadata_nodes = 100'000;
    const auto gin = remap::formats::parse_gin({reinterpret_cast<const char*>(data), size}, "fuzz", limits);
    gin.values.dump();  // throws if a text is not UTF-8
  } catch (const remap::Error&) {
  }
  return 0;
}
