// A real checkpoint read into memory, so that a test can change it.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "support/memory_source.h"
#include "support/source_values.h"

namespace remap::test {

struct Checkpoint {
  std::vector<MemoryTensor> tensors;
  Json metadata;

  Checkpoint(const std::string& path, const std::string& subtree) {
    const auto source = open_source(path, {{}, subtree, {}});
    metadata = source->metadata();
    for (const auto& info : source->manifest().tensors())
      if (info.key.starts_with(subtree))
        tensors.push_back({info.key, info.dtype, info.shape, tensor_bytes(*source, info.key)});
  }
  MemoryTensor& at(const std::string& key) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const MemoryTensor& t) { return t.key == key; });
  }
  // A tensor of zeros.
  void add(const std::string& key, const Shape& shape) {
    tensors.push_back({key, DType::f32, shape, std::vector<std::byte>(static_cast<size_t>(element_count(shape)) * 4)});
  }
  MemorySource source() const { return MemorySource(tensors, metadata); }
};

}  // namespace remap::test
