// A Source in memory, cut into tiles as a test wishes. Keeps count of loads, and fails where it is told to.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/source.h"

namespace remap::test {

struct MemoryTensor {
  std::string key;
  DType dtype = DType::f32;
  Shape shape;
  std::vector<std::byte> bytes;   // row-major
  Shape tile = {};                // extent of a tile, ragged at the edges; empty: one tile, served in place
  bool reversed_strides = false;  // tiles are decoded with the first dimension innermost
  std::string alias = {};
};

class MemorySource : public Source {
 public:
  explicit MemorySource(std::vector<MemoryTensor> tensors, Json metadata = Json::object())
      : tensors_(std::move(tensors)), metadata_(std::move(metadata)) {
    std::sort(tensors_.begin(), tensors_.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    std::vector<TensorInfo> infos;
    for (const MemoryTensor& t : tensors_) infos.push_back({t.key, t.dtype, t.shape, t.alias});
    manifest_ = Manifest(std::move(infos));
  }

  std::string_view format() const override { return "memory"; }
  const std::string& path() const override { return path_; }
  const Manifest& manifest() const override { return manifest_; }
  const Json& metadata() const override { return metadata_; }
  bool has_data() const override { return has_data_; }

  std::vector<Box> tile_boxes(size_t index) const override {
    const MemoryTensor& t = tensors_[index];
    const size_t rank = t.shape.size();
    if (element_count(t.shape) == 0) return {};
    if (t.tile.empty()) return {{Shape(rank, 0), t.shape}};
    std::vector<Box> boxes;
    Shape at(rank, 0);
    while (true) {
      Box box{at, Shape(rank)};
      for (size_t d = 0; d < rank; ++d) box.extent[d] = std::min(t.tile[d], t.shape[d] - at[d]);
      boxes.push_back(box);
      size_t d = rank;
      while (d-- > 0) {
        at[d] += t.tile[d];
        if (at[d] < t.shape[d]) break;
        at[d] = 0;
      }
      if (d == static_cast<size_t>(-1)) return boxes;
    }
  }

  bool in_place(size_t index) const override { return tensors_[index].tile.empty(); }
  TileView load(size_t index, size_t tile, TileBuffer& buffer) const override {
    ++n_loads;
    if (fail_at.count({index, tile}) > 0)
      throw Error("io-read", BytePlace{path_, {}, {}},
                  "tile " + std::to_string(tile) + " of '" + tensors_[index].key + "' is damaged");
    const MemoryTensor& t = tensors_[index];
    const Shape strides = row_major(t.shape);
    if (t.tile.empty()) return {t.bytes.data(), strides, -1, 0};
    const Box box = tile_boxes(index)[tile];
    TileView view{nullptr, row_major(box.extent), -1, 0};
    if (t.reversed_strides) {
      int64_t stride = 1;
      for (size_t d = 0; d < box.extent.size(); ++d) view.strides[d] = stride, stride *= box.extent[d];
    }
    const auto size = static_cast<size_t>(size_bytes(t.dtype));
    buffer.assign(static_cast<size_t>(element_count(box.extent)) * size, std::byte{0xee});
    Shape at(box.extent.size(), 0);
    for (int64_t i = 0; i < element_count(box.extent); ++i) {
      int64_t rest = i, from = 0, to = 0;
      for (size_t d = box.extent.size(); d-- > 0;) {
        at[d] = rest % box.extent[d];
        rest /= box.extent[d];
        from += (box.origin[d] + at[d]) * strides[d];
        to += at[d] * view.strides[d];
      }
      std::memcpy(buffer.data() + static_cast<size_t>(to) * size, t.bytes.data() + static_cast<size_t>(from) * size,
                  size);
    }
    view.data = buffer.data();
    return view;
  }

  static Shape row_major(const Shape& shape) {
    Shape strides(shape.size(), 1);
    for (size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
    return strides;
  }

  const MemoryTensor& tensor(size_t index) const { return tensors_[index]; }
  void set_has_data(bool has_data) { has_data_ = has_data; }

  mutable std::atomic<int> n_loads = 0;
  std::set<std::pair<size_t, size_t>> fail_at;  // (tensor, tile)

 private:
  std::vector<MemoryTensor> tensors_;
  Manifest manifest_;
  Json metadata_;
  std::string path_ = "memory";
  bool has_data_ = true;
};

// `values` as the bytes of a tensor.
template <typename T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

}  // namespace remap::test
