#include "tensor/storable.h"

#include <fmt/format.h>

#include "base/text.h"

namespace remap {

std::optional<NotStorable> why_not_storable(const std::string& key, DType dtype, const Shape& shape,
                                            const Limits& limits) {
  if (!in_safetensors(dtype))
    return NotStorable{"output-dtype",
                       fmt::format("'{}' is {}, which safetensors files cannot hold", key, long_name(dtype)),
                       "give it a rule of its own that rounds it (cast: complex64), or drops it with a reason"};
  if (key == "__metadata__")
    return NotStorable{"output-name",
                       "a tensor is named '__metadata__', which safetensors files keep for their metadata",
                       "give it another name in its rule"};
  if (!is_utf8(key))
    return NotStorable{"output-name", fmt::format("the tensor name '{}' is not UTF-8", key),
                       "give it another name in its rule"};
  if (key.size() > limits.max_key_bytes)
    return NotStorable{"output-limit",
                       fmt::format("the tensor name '{}…' has {} bytes; at most {} are read (max_key_bytes)",
                                   utf8_prefix(key, 80), key.size(), limits.max_key_bytes),
                       "give it a shorter name"};
  if (shape.size() > static_cast<size_t>(limits.max_rank))
    return NotStorable{
        "output-limit",
        fmt::format("'{}' has {} dimensions; at most {} are read (max_rank)", key, shape.size(), limits.max_rank),
        "reshape it to fewer"};
  return std::nullopt;
}

}  // namespace remap
