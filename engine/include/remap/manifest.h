// A manifest lists every tensor of a checkpoint: key, dtype, shape; never its data. Also those whose bytes are not
// read: what a reader does not understand is listed with the reason, so that a rule drops it or an error names it.
// Plain value: comparable, unchanged once made; copies share the tensors. Shapes are outermost dimension first.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "remap/dtype.h"

namespace remap {

using Shape = std::vector<int64_t>;

// A list that does not change; copies share it, and a million tensors have few shapes. Reads as the vector it was made
// from.
template <typename T>
class SharedList {
 public:
  using value_type = T;
  using const_iterator = typename std::vector<T>::const_iterator;
  using iterator = const_iterator;

  SharedList() = default;
  SharedList(std::vector<T> list)
      : list_(list.empty() ? nullptr : std::make_shared<const std::vector<T>>(std::move(list))) {}
  SharedList(std::initializer_list<T> list) : SharedList(std::vector<T>(list)) {}

  const std::vector<T>& list() const {
    static const std::vector<T> none;
    return list_ ? *list_ : none;
  }
  operator const std::vector<T>&() const { return list(); }
  const_iterator begin() const { return list().begin(); }
  const_iterator end() const { return list().end(); }
  size_t size() const { return list_ ? list_->size() : 0; }
  bool empty() const { return list_ == nullptr; }
  const T& operator[](size_t i) const { return (*list_)[i]; }
  const T& front() const { return list_->front(); }
  const T& back() const { return list_->back(); }
  bool shares(const SharedList& other) const { return list_ == other.list_; }
  friend bool operator==(const SharedList& a, const SharedList& b) { return a.shares(b) || a.list() == b.list(); }
  friend bool operator==(const SharedList& a, const std::vector<T>& b) { return a.list() == b; }

 private:
  std::shared_ptr<const std::vector<T>> list_;  // null: an empty list
};
using SharedShape = SharedList<int64_t>;

// Why a tensor's bytes are not read, and what is known of it all the same.
struct Unread {
  std::string why;         // "a quantized tensor"
  std::string dtype = {};  // long_name() of a DType, else as the file names it ("qint8"); "" if it is not known
  bool shape_known = false;
  bool operator==(const Unread&) const = default;
};

struct TensorInfo {
  std::string key;
  DType dtype = DType::f32;  // of an unread tensor: means nothing, see Unread::dtype
  SharedShape shape = {};    // of an unread tensor: empty if it is not known
  // Tensors with equal non-empty `alias` are the same bytes read with the same dtype, shape and strides (tied weights).
  std::string alias = {};
  // Null for a tensor whose bytes are read, which most are. Compared by value.
  std::shared_ptr<const Unread> unread = {};
  bool operator==(const TensorInfo& other) const;
};

// What a user can do about it, as a hint: "drop it with a reason, or load the file with torch …". `drop`: whether
// dropping it would help.
std::string way_on(const Unread& unread, bool drop = true);

TensorInfo unread_tensor(std::string key, std::string why, std::string dtype = {}, std::optional<Shape> shape = {});
// Throws Error "tensor-unread" for a tensor whose bytes are not read; `file` is where it is.
void require_read(const TensorInfo& tensor, const std::string& file);

std::string dtype_text(const TensorInfo& tensor);  // "F32"; of an unread tensor what is known: "qint8", "?"
std::string shape_text(const TensorInfo& tensor);  // "[30,24]"; "?" if it is not known
std::string describe(const TensorInfo& tensor);    // "F32 [30,24]", "qint8 [4,6], not read: a quantized tensor"

class Manifest {
 public:
  Manifest();
  // Sorts by key (byte order). Throws Error "manifest-duplicate-key" if a key occurs twice; `file` names the source in
  // it. Tensors of one shape share it from then on.
  explicit Manifest(std::vector<TensorInfo> tensors, const std::string& file = {});
  Manifest(const Manifest&) = default;  // copies nothing; and nothing is moved out of a manifest
  Manifest& operator=(const Manifest&) = default;

  const std::vector<TensorInfo>& tensors() const { return *tensors_; }
  const TensorInfo& operator[](size_t i) const { return (*tensors_)[i]; }
  size_t size() const { return tensors_->size(); }
  static constexpr size_t npos = static_cast<size_t>(-1);
  size_t find(std::string_view key) const;  // npos if absent
  bool operator==(const Manifest& other) const { return tensors_ == other.tensors_ || *tensors_ == *other.tensors_; }

 private:
  std::shared_ptr<const std::vector<TensorInfo>> tensors_;  // never null
};

// Product of the dims; throws Error "tensor-shape-overflow" (at `what`) if it, or it times the element size, exceeds
// 2^63-1, or if a dim is negative.
int64_t element_count(const Shape& shape, const std::string& what = "tensor");
int64_t data_bytes(DType dtype, const Shape& shape, const std::string& what = "tensor");
int64_t data_bytes(const TensorInfo& tensor);  // 0 for an unread tensor
std::string to_string(const Shape& shape);     // "[30,24]", "[]"

// What Sources serve and the executor copies: the tensor itself or, for a type of less than a byte, its bytes: U8, with
// the last dimension counted in bytes (F4 [2,8] is U8 [2,4]). Where a row is not a whole number of bytes, the last
// dimensions are merged until it is (F4 [3,2,1] is U8 [3,1]).
struct StoredForm {
  DType dtype;
  Shape shape;
};
StoredForm stored_form(DType dtype, const Shape& shape);
inline StoredForm stored_form(const TensorInfo& tensor) { return stored_form(tensor.dtype, tensor.shape); }
// Whether the tensor is a whole number of bytes; only such tensors exist in files.
bool is_whole_bytes(DType dtype, const Shape& shape);

}  // namespace remap
