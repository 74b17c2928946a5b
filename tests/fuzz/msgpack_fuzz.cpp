// The msgpack file of a T5X checkpoint: its leaves, or remap::Error. No array folder is opened.
#include <cstddef>
#include <cstdint>

#include "formats/flax_leaves.h"
#include "remap/diagnostic.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    remap::Limits limits;
    limits.max_metadata_nodes = 100'000;
    const auto root = remap::formats::parse_msgpack(bytes, "fuzz", 0, limits);
    std::vector<remap::formats::FlaxLeaf> leaves;
    remap::formats::collect_flax_leaves(
        root, "", '/', "fuzz", limits, [](const std::string&) { return true; }, leaves);
    for (const auto& leaf : leaves)
      if (const auto* array = std::get_if<remap::formats::InlineArray>(&leaf.value))
        for (const auto run : array->runs)  // runs lie inside the file
          if (!run.empty() && (run.data() < bytes.data() || run.data() + run.size() > bytes.data() + size))
            __builtin_trap();
  } catch (const remap::Error&) {
  }
  return 0;
}
