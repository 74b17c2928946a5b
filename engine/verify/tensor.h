// Values of a forward pass: float32, row-major, shared and immutable once made. Private to the engine.
#pragma once

#include <memory>
#include <vector>

#include "remap/manifest.h"

namespace remap::forward {

struct Tensor {
  Shape shape;
  std::shared_ptr<const float[]> owned;  // null if the values lie in a mapped file
  const float* data = nullptr;

  int64_t size() const {
    int64_t count = 1;
    for (const int64_t n : shape) count *= n;
    return count;
  }
  // As a matrix: the last axis is a row's length.
  int64_t columns() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const { return columns() == 0 ? 0 : size() / columns(); }
};

// A tensor to be filled: `data` is writable until it is given away.
struct NewTensor {
  explicit NewTensor(Shape shape_) : shape(std::move(shape_)) {
    int64_t count = 1;
    for (const int64_t n : shape) count *= n;
    data = std::shared_ptr<float[]>(new float[static_cast<size_t>(count) + 1]());
  }
  operator Tensor() const { return {shape, data, data.get()}; }
  Shape shape;
  std::shared_ptr<float[]> data;
};

}  // namespace remap::forward
