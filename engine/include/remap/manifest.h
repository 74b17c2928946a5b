// A manifest lists every tensor of a checkpoint: key, dtype, shape; never its data.
// Plain value: comparable, unchanged once made. Shapes are outermost dimension first.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "remap/dtype.h"

namespace remap {

using Shape = std::vector<int64_t>;

struct TensorInfo {
  std::string key;
  DType dtype = DType::f32;
  Shape shape;
  // Tensors with equal non-empty `alias` are the same bytes read with the same dtype, shape and strides (tied weights).
  std::string alias = {};
  bool operator==(const TensorInfo&) const = default;
};

class Manifest {
 public:
  Manifest() = default;
  // Sorts by key (byte order). Throws Error "manifest-duplicate-key" if a key occurs twice; `file` names the source in it.
  explicit Manifest(std::vector<TensorInfo> tensors, const std::string& file = {});

  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo& operator[](size_t i) const { return tensors_[i]; }
  size_t size() const { return tensors_.size(); }
  static constexpr size_t npos = static_cast<size_t>(-1);
  size_t find(std::string_view key) const;  // npos if absent
  bool operator==(const Manifest&) const = default;

 private:
  std::vector<TensorInfo> tensors_;
};

// Product of the dims; throws Error "tensor-shape-overflow" (at `what`) if it, or it times the element size, exceeds 2^63-1,
// or if a dim is negative.
int64_t element_count(const Shape& shape, const std::string& what = "tensor");
int64_t data_bytes(const TensorInfo& tensor);
std::string to_string(const Shape& shape);  // "[30,24]", "[]"

}  // namespace remap
