#include "remap/manifest.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/checked.h"
#include "remap/diagnostic.h"

namespace remap {

Manifest::Manifest(std::vector<TensorInfo> tensors, const std::string& file) : tensors_(std::move(tensors)) {
  std::sort(tensors_.begin(), tensors_.end(), [](const TensorInfo& a, const TensorInfo& b) { return a.key < b.key; });
  const auto twice = std::adjacent_find(tensors_.begin(), tensors_.end(),
                                        [](const TensorInfo& a, const TensorInfo& b) { return a.key == b.key; });
  if (twice != tensors_.end())
    throw Error("manifest-duplicate-key", BytePlace{file, {}, {}}, fmt::format("the tensor '{}' is named twice", twice->key));
}

size_t Manifest::find(std::string_view key) const {
  const auto it = std::lower_bound(tensors_.begin(), tensors_.end(), key,
                                   [](const TensorInfo& t, std::string_view k) { return t.key < k; });
  return it != tensors_.end() && it->key == key ? static_cast<size_t>(it - tensors_.begin()) : npos;
}

int64_t element_count(const Shape& shape, const std::string& what) {
  int64_t count = 1;
  for (const int64_t dim : shape) {
    if (dim < 0)
      throw Error("tensor-shape-overflow", {}, fmt::format("{} has the shape {}: a dimension is negative", what, to_string(shape)));
    if (dim == 0) count = 0;
  }
  if (count == 0) return 0;
  for (const int64_t dim : shape) {
    const auto product = checked_mul(count, dim);
    if (!product)
      throw Error("tensor-shape-overflow", {}, fmt::format("{} has the shape {}: more elements than can be counted", what, to_string(shape)));
    count = *product;
  }
  // 16 bytes is the widest element, so that bytes can be counted too.
  if (!checked_mul<int64_t>(count, 16))
    throw Error("tensor-shape-overflow", {}, fmt::format("{} has the shape {}: more bytes than can be counted", what, to_string(shape)));
  return count;
}

int64_t data_bytes(const TensorInfo& tensor) { return element_count(tensor.shape, tensor.key) * size_bytes(tensor.dtype); }

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ",")); }

}  // namespace remap
