// A whole safetensors file: parsed, or refused with remap::Error.
#include <cstddef>
#include <cstdint>

#include "formats/safetensors_source.h"
#include "remap/diagnostic.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  remap::formats::looks_like_safetensors(bytes);
  try {
    remap::Limits limits;
    limits.max_header_bytes = 1 << 20;
    for (const auto& entry : remap::formats::parse_safetensors(bytes, "fuzz", limits).entries)
      if (entry.begin + static_cast<uint64_t>(remap::data_bytes(entry.info)) > size)
        __builtin_trap();  // would read past the mapping
  } catch (const remap::Error&) {
  }
  return 0;
}
