// What a safetensors file can hold of a tensor. Private to the engine.
#pragma once

#include <optional>
#include <string>

#include "remap/dtype.h"
#include "remap/limits.h"
#include "remap/manifest.h"

namespace remap {

struct NotStorable {
  const char* id;  // "output-dtype", "output-name", "output-limit"
  std::string message, hint;
};

// nullopt: it can be written, and read again within these limits.
std::optional<NotStorable> why_not_storable(const std::string& key, DType dtype, const Shape& shape,
                                            const Limits& limits);

}  // namespace remap
