#include "remap/manifest.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/checked.h"
#include "base/fetch.h"
#include "base/sorted_order.h"
#include "remap/diagnostic.h"

namespace remap {

bool TensorInfo::operator==(const TensorInfo& other) const {
  const bool same_reason =
      unread == other.unread || (unread != nullptr && other.unread != nullptr && *unread == *other.unread);
  return same_reason && key == other.key && shape == other.shape && alias == other.alias &&
         (unread != nullptr || dtype == other.dtype);
}

TensorInfo unread_tensor(std::string key, std::string why, std::string dtype, std::optional<Shape> shape) {
  TensorInfo tensor{std::move(key)};
  if (const auto known = parse_dtype(dtype)) dtype = long_name(*known);
  tensor.unread = std::make_shared<const Unread>(Unread{std::move(why), std::move(dtype), shape.has_value()});
  if (shape) tensor.shape = std::move(*shape);
  return tensor;
}

std::string way_on(const Unread& unread, bool drop) {
  struct Row {
    std::string_view kind, hint;  // a part of `why`; what helps
  };
  static constexpr std::array<Row, 11> kRows = {{
      {"damaged", "copy or download the file again"},
      {"of GGUF", "take the checkpoint that the file was made of"},
      {"quantized", "load the file with torch, replace it by x.dequantize() and save again"},
      {"sparse", "load the file with torch, replace it by x.to_dense() and save again"},
      {"nested", "load the file with torch, replace it by its parts (x.unbind()) and save again"},
      {"DTensor",
       "load the file with torch in as many processes as wrote it, replace it by x.full_tensor() and save again"},
      {"ShardedTensor", "load the file with torch in as many processes as wrote it, gather it and save again"},
      {"no data", "save a checkpoint in which it has data: this file holds none"},
      {"not initialized", "save a checkpoint in which it has data: this file holds none"},
      {"numpy", "load the file in Python, replace it by an array of numbers and save again"},
      {"wraps",
       "load the file with the library that defines the class, replace it by a plain tensor (often x.dequantize()) and "
       "save again"},
  }};
  std::string_view hint = "load the file with the library that wrote it, replace it by a plain tensor and save again";
  for (const Row& row : kRows)
    if (unread.why.find(row.kind) != std::string::npos) {
      hint = row.hint;
      break;
    }
  return fmt::format("{}{}", drop ? "drop it with a reason, or " : "", hint);
}

void require_read(const TensorInfo& tensor, const std::string& file) {
  if (tensor.unread == nullptr) return;
  throw Error("tensor-unread", BytePlace{file, {}, {}},
              fmt::format("the bytes of '{}' ({} {}) are not read: it is {}", tensor.key, dtype_text(tensor),
                          shape_text(tensor), tensor.unread->why),
              way_on(*tensor.unread));
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

namespace {

void share_shapes(std::vector<TensorInfo>& tensors) {
  const auto less = [](const SharedShape& a, const SharedShape& b) { return a.list() < b.list(); };
  std::set<SharedShape, decltype(less)> known(less);
  for (TensorInfo& tensor : tensors) tensor.shape = *known.insert(tensor.shape).first;
}

}  // namespace

Manifest::Manifest() : tensors_(std::make_shared<const std::vector<TensorInfo>>()) {}

Manifest::Manifest(std::vector<TensorInfo> tensors, const std::string& file) {
  reorder(tensors, sorted_order(tensors.size(), [&](size_t a, size_t b) { return tensors[a].key < tensors[b].key; }));
  for (size_t i = 0; i < tensors.size(); ++i) {
    fetch_later(i, tensors.size(), [&](size_t j) { return tensors[j].key.data(); });
    if (i > 0 && tensors[i].key == tensors[i - 1].key)
      throw Error("manifest-duplicate-key", BytePlace{file, {}, {}},
                  fmt::format("the tensor '{}' is named twice", tensors[i].key));
  }
  share_shapes(tensors);
  tensors_ = std::make_shared<const std::vector<TensorInfo>>(std::move(tensors));
}

size_t Manifest::find(std::string_view key) const {
  const auto it = std::lower_bound(tensors_->begin(), tensors_->end(), key,
                                   [](const TensorInfo& t, std::string_view k) { return t.key < k; });
  return it != tensors_->end() && it->key == key ? static_cast<size_t>(it - tensors_->begin()) : npos;
}

int64_t element_count(const Shape& shape, const std::string& what) {
  int64_t count = 1;
  for (const int64_t dim : shape) {
    if (dim < 0)
      throw Error("tensor-shape-overflow", {},
                  fmt::format("{} has the shape {}: a dimension is negative", what, to_string(shape)));
    if (dim == 0) count = 0;
  }
  if (count == 0) return 0;
  for (const int64_t dim : shape) {
    const auto product = checked_mul(count, dim);
    if (!product)
      throw Error("tensor-shape-overflow", {},
                  fmt::format("{} has the shape {}: more elements than can be counted", what, to_string(shape)));
    count = *product;
  }
  // 16 bytes is the widest element, so that bytes can be counted too.
  if (!checked_mul<int64_t>(count, 16))
    throw Error("tensor-shape-overflow", {},
                fmt::format("{} has the shape {}: more bytes than can be counted", what, to_string(shape)));
  return count;
}

int64_t data_bytes(DType dtype, const Shape& shape, const std::string& what) {
  const int64_t count = element_count(shape, what);
  return is_sub_byte(dtype) ? (count * bits(dtype) + 7) / 8 : count * size_bytes(dtype);
}

int64_t data_bytes(const TensorInfo& tensor) {
  return tensor.unread != nullptr ? 0 : data_bytes(tensor.dtype, tensor.shape, tensor.key);
}

bool is_whole_bytes(DType dtype, const Shape& shape) {
  return !is_sub_byte(dtype) || element_count(shape) * bits(dtype) % 8 == 0;
}

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
