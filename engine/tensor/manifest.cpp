#include "remap/manifest.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/checked.h"
#include "remap/diagnostic.h"

namespace remap {

bool TensorInfo::operator==(const TensorInfo& other) const {
  const bool same_reason = unread == other.unread || (unread != nullptr && other.unread != nullptr && *unread == *other.unread);
  return same_reason && key == other.key && shape == other.shape && alias == other.alias && (unread != nullptr || dtype == other.dtype);
}

TensorInfo unread_tensor(std::string key, std::string why, std::string dtype, std::optional<Shape> shape) {
  TensorInfo tensor{std::move(key)};
  tensor.unread = std::make_shared<const Unread>(Unread{std::move(why), std::move(dtype), shape.has_value()});
  if (shape) tensor.shape = std::move(*shape);
  return tensor;
}

void require_read(const TensorInfo& tensor, const std::string& file) {
  if (tensor.unread == nullptr) return;
  throw Error("tensor-unread", BytePlace{file, {}, {}},
              fmt::format("the bytes of '{}' ({} {}) are not read: it is {}", tensor.key, dtype_text(tensor), shape_text(tensor),
                          tensor.unread->why),
              "load the checkpoint with the library that wrote it, and save the tensor as a plain one");
}

std::string dtype_text(const TensorInfo& tensor) {
  if (tensor.unread == nullptr) return std::string(name(tensor.dtype));
  const auto known = parse_dtype(tensor.unread->dtype);
  return known ? std::string(name(*known)) : tensor.unread->dtype.empty() ? "?" : tensor.unread->dtype;
}

std::string shape_text(const TensorInfo& tensor) {
  return tensor.unread != nullptr && !tensor.unread->shape_known ? "?" : to_string(tensor.shape);
}

std::string describe(const TensorInfo& tensor) {
  const std::string known = fmt::format("{} {}", dtype_text(tensor), shape_text(tensor));
  return tensor.unread == nullptr ? known : fmt::format("{}, not read: {}", known, tensor.unread->why);
}

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

int64_t data_bytes(DType dtype, const Shape& shape, const std::string& what) {
  const int64_t count = element_count(shape, what);
  return is_sub_byte(dtype) ? (count * bits(dtype) + 7) / 8 : count * size_bytes(dtype);
}

int64_t data_bytes(const TensorInfo& tensor) {
  return tensor.unread != nullptr ? 0 : data_bytes(tensor.dtype, tensor.shape, tensor.key);
}

bool is_whole_bytes(DType dtype, const Shape& shape) { return element_count(shape) * bits(dtype) % 8 == 0; }

StoredForm stored_form(DType dtype, const Shape& shape) {
  if (!is_sub_byte(dtype)) return {dtype, shape};
  if (element_count(shape) == 0) return {DType::u8, shape};
  StoredForm stored{DType::u8, shape};
  int64_t row = 1;
  while (!stored.shape.empty()) {
    row *= stored.shape.back();
    stored.shape.pop_back();
    if (row * bits(dtype) % 8 == 0) break;
  }
  stored.shape.push_back((row * bits(dtype) + 7) / 8);
  return stored;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ",")); }

}  // namespace remap
