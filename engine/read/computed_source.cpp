#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <mutex>

#include <fmt/format.h>

#include "base/text.h"
#include "ops/cast.h"
#include "remap/computed.h"
#include "tensor/box.h"

namespace remap {
namespace {

using Kind = ComputedTensor::Kind;

constexpr int64_t kTileElements = int64_t{1} << 18;  // of what is computed at once
constexpr size_t kKeptScales = 8;                    // of the tiles that were computed last

// A box cut into boxes of no more than kTileElements that follow each other in row-major order.
class Runs {
 public:
  explicit Runs(Box whole) : whole_(std::move(whole)) {
    if (remap::is_empty(whole_)) return;
    axis_ = whole_.extent.size();
    int64_t inner = 1;  // elements behind one index of the axis
    while (axis_ > 0 && inner * whole_.extent[axis_ - 1] <= kTileElements) inner *= whole_.extent[--axis_];
    if (axis_ == 0) {
      size_ = 1;
      return;
    }
    --axis_;
    step_ = std::max<int64_t>(kTileElements / inner, 1);
    a_row_ = (whole_.extent[axis_] + step_ - 1) / step_;
    size_ = a_row_;
    for (size_t d = 0; d < axis_; ++d) size_ *= whole_.extent[d];
  }

  size_t size() const { return static_cast<size_t>(size_); }
  Box operator[](size_t i) const {
    if (size_ == 1) return whole_;
    Box box = whole_;
    auto rest = static_cast<int64_t>(i);
    const int64_t begin = rest % a_row_ * step_;
    box.origin[axis_] += begin;
    box.extent[axis_] = std::min(step_, whole_.extent[axis_] - begin);
    rest /= a_row_;
    for (size_t d = axis_; d-- > 0; rest /= whole_.extent[d]) {
      box.origin[d] += rest % whole_.extent[d];
      box.extent[d] = 1;
    }
    return box;
  }

 private:
  Box whole_;
  size_t axis_ = 0;
  int64_t step_ = 1, a_row_ = 1, size_ = 0;
};

// Calls body(place in row-major order, sum of index times stride) for each element of a box that has some.
template <typename Body>
void for_each_element(const Shape& extent, const std::vector<int64_t>& strides, const Body& body) {
  Shape index(extent.size(), 0);
  int64_t at = 0;
  for (size_t place = 0;; ++place) {
    body(place, static_cast<size_t>(at));
    size_t d = extent.size();
    for (; d > 0; --d) {
      at += strides[d - 1];
      if (++index[d - 1] < extent[d - 1]) break;
      at -= strides[d - 1] * extent[d - 1];
      index[d - 1] = 0;
    }
    if (d == 0) return;
  }
}

ops::CopyRegion in_a_row(int64_t count) { return ops::normalised({0, 0, {{count, 1, 1}}}); }

std::vector<float> read_floats(const Source& source, size_t tensor, const Box& box) {
  const DType dtype = source.manifest()[tensor].dtype;
  const int64_t count = element_count(box.extent);
  std::vector<float> values(static_cast<size_t>(count));
  TileBuffer scratch;
  if (dtype == DType::f32) {
    read_box(source, tensor, box, reinterpret_cast<std::byte*>(values.data()), scratch);
    return values;
  }
  std::vector<std::byte> stored(static_cast<size_t>(count * size_bytes(dtype)));
  read_box(source, tensor, box, stored.data(), scratch);
  ops::strided_cast(reinterpret_cast<std::byte*>(values.data()), DType::f32, stored.data(), dtype, in_a_row(count));
  return values;
}

class ComputingSource : public Source {
 public:
  ComputingSource(const Source& of, std::vector<ComputedTensor> tensors) : of_(of), computed_(std::move(tensors)) {
    std::vector<TensorInfo> all = of.manifest().tensors();
    for (const ComputedTensor& tensor : computed_) {
      const TensorInfo& like = of.manifest()[tensor.operands.back()];
      all.push_back({computed_text(of.manifest(), tensor), like.dtype, like.shape});
    }
    manifest_ = Manifest(std::move(all), of.path());
    const auto find = [&](const std::string& key) { return static_cast<uint32_t>(manifest_.find(key)); };
    for (const TensorInfo& tensor : of.manifest().tensors()) own.push_back(find(tensor.key));
    for (const ComputedTensor& tensor : computed_) computed.push_back(find(computed_text(of.manifest(), tensor)));
    is_computed_.resize(manifest_.size());
    at_.resize(manifest_.size());
    for (size_t i = 0; i < own.size(); ++i) at_[own[i]] = i;
    for (size_t i = 0; i < computed.size(); ++i) at_[computed[i]] = i, is_computed_[computed[i]] = true;
  }

  std::string_view format() const override { return of_.format(); }
  const std::string& path() const override { return of_.path(); }
  const Manifest& manifest() const override { return manifest_; }
  const Json& metadata() const override { return of_.metadata(); }
  bool has_data() const override { return of_.has_data(); }
  bool in_place(size_t index) const override { return !is_computed_[index] && of_.in_place(at_[index]); }
  const std::string* file_of(size_t index, size_t tile) const override {
    return is_computed_[index] ? nullptr : of_.file_of(at_[index], tile);
  }
  void check_bytes() const override { of_.check_bytes(); }
  void visit_files(const FileVisitor& body) const override { of_.visit_files(body); }
  std::string folder() const override { return of_.folder(); }
  std::vector<std::string> remarks() const override { return of_.remarks(); }
  std::vector<std::string> warnings() const override { return of_.warnings(); }

  std::vector<Box> tile_boxes(size_t index) const override {
    if (!is_computed_[index]) return of_.tile_boxes(at_[index]);
    const Runs runs = runs_of(index);
    std::vector<Box> boxes;
    for (size_t i = 0; i < runs.size(); ++i) boxes.push_back(runs[i]);
    return boxes;
  }

  TileView load(size_t index, size_t tile, TileBuffer& buffer) const override {
    if (!is_computed_[index]) return of_.load(at_[index], tile, buffer);
    const ComputedTensor& tensor = computed_[at_[index]];
    const Box box = runs_of(index)[tile];
    const std::vector<float> values = tensor.kind == Kind::mean ? mean(tensor, box) : folded(at_[index], box);
    const DType dtype = manifest_[index].dtype;
    buffer.resize(values.size() * static_cast<size_t>(size_bytes(dtype)));
    ops::strided_cast(buffer.data(), dtype, reinterpret_cast<const std::byte*>(values.data()), DType::f32,
                      in_a_row(static_cast<int64_t>(values.size())));
    return {buffer.data(), row_major_strides(box.extent)};
  }

  std::vector<uint32_t> own, computed;  // WithComputed

 private:
  Runs runs_of(size_t index) const {
    const Shape& shape = manifest_[index].shape;
    return Runs({Shape(shape.size(), 0), shape});
  }

  std::vector<float> mean(const ComputedTensor& tensor, const Box& box) const {
    std::vector<float> sum = read_floats(of_, tensor.operands.front(), box);
    for (size_t i = 1; i < tensor.operands.size(); ++i) {
      const std::vector<float> part = read_floats(of_, tensor.operands[i], box);
      for (size_t k = 0; k < sum.size(); ++k) sum[k] += part[k];
    }
    const auto count = static_cast<float>(tensor.operands.size());
    for (float& value : sum) value /= count;
    return sum;
  }

  // ------------------------------------------------------------ weight_norm

  using Scales = std::shared_ptr<const std::vector<float>>;

  // Whether g has an entry for each index of the axis.
  bool is_kept(size_t number, size_t axis) const {
    const Shape& g = of_.manifest()[computed_[number].operands[0]].shape;
    return axis < g.size() && g[axis] != 1;
  }

  std::vector<float> folded(size_t number, const Box& box) const {
    Box of_g = box;
    for (size_t d = 0; d < box.extent.size(); ++d)
      if (!is_kept(number, d)) of_g.origin[d] = 0, of_g.extent[d] = 1;
    const Scales scales = scales_of(number, of_g);
    std::vector<float> values = read_floats(of_, computed_[number].operands[1], box);
    for_each_element(box.extent, strides_in(of_g), [&](size_t v, size_t g) { values[v] *= (*scales)[g]; });
    return values;
  }

  // Strides of a box of g; 0 along the axes of which it has one element.
  static std::vector<int64_t> strides_in(const Box& of_g) {
    std::vector<int64_t> strides = row_major_strides(of_g.extent);
    for (size_t d = 0; d < strides.size(); ++d)
      if (of_g.extent[d] == 1) strides[d] = 0;
    return strides;
  }

  // Tiles that follow each other often need the same.
  Scales scales_of(size_t number, const Box& of_g) const {
    {
      const std::lock_guard lock(mutex_);
      for (const Kept& kept : kept_)
        if (kept.number == number && kept.of_g == of_g) return kept.scales;
    }
    Scales scales = std::make_shared<const std::vector<float>>(compute_scales(number, of_g));
    const std::lock_guard lock(mutex_);
    kept_.push_back({number, of_g, scales});
    if (kept_.size() > kKeptScales) kept_.pop_front();
    return scales;
  }

  std::vector<float> compute_scales(size_t number, const Box& of_g) const {
    const auto [g, v] = std::pair(computed_[number].operands[0], computed_[number].operands[1]);
    const Shape& shape = of_.manifest()[v].shape;
    Box all = of_g;  // of v
    for (size_t d = 0; d < shape.size(); ++d)
      if (!is_kept(number, d)) all.extent[d] = shape[d];
    std::vector<double> sums(static_cast<size_t>(element_count(of_g.extent)), 0);
    const Runs runs(all);
    for (size_t i = 0; i < runs.size(); ++i) {
      const Box run = runs[i];
      const std::vector<float> values = read_floats(of_, v, run);
      const auto strides = strides_in(of_g);
      size_t first = 0;
      for (size_t d = 0; d < strides.size(); ++d)
        first += static_cast<size_t>((run.origin[d] - of_g.origin[d]) * strides[d]);
      for_each_element(run.extent, strides, [&](size_t place, size_t at) {
        sums[first + at] += double{values[place]} * double{values[place]};
      });
    }
    const Shape& shape_of_g = of_.manifest()[g].shape;
    const Box in_g = shape_of_g.size() == shape.size() ? of_g : Box{Shape(shape_of_g.size(), 0), shape_of_g};
    std::vector<float> scales = read_floats(of_, g, in_g);
    for (size_t i = 0; i < scales.size(); ++i) scales[i] /= static_cast<float>(std::sqrt(sums[i]));
    return scales;
  }

  struct Kept {
    size_t number = 0;
    Box of_g;
    Scales scales;
  };

  const Source& of_;
  std::vector<ComputedTensor> computed_;
  Manifest manifest_;
  std::vector<bool> is_computed_;
  std::vector<size_t> at_;  // of each tensor: its number in `of_`, or among those that are computed
  mutable std::mutex mutex_;
  mutable std::deque<Kept> kept_;
};

}  // namespace

std::string computed_text(const Manifest& manifest, const ComputedTensor& tensor) {
  std::vector<std::string> keys;
  for (const size_t operand : tensor.operands) keys.push_back(manifest[operand].key);
  return fmt::format("{}({})", tensor.kind == Kind::mean ? "mean" : "weight_norm", join(keys, ", "));
}

std::string computing_fault(const Manifest& manifest, const ComputedTensor& tensor) {
  constexpr std::array kComputed = {DType::f32, DType::f16, DType::bf16};
  for (const size_t operand : tensor.operands)
    if (const DType dtype = manifest[operand].dtype;
        std::find(kComputed.begin(), kComputed.end(), dtype) == kComputed.end())
      return fmt::format("'{}' is {}: only float32, float16 and bfloat16 are computed with", manifest[operand].key,
                         long_name(dtype));
  const TensorInfo &first = manifest[tensor.operands.front()], &last = manifest[tensor.operands.back()];
  if (tensor.kind == Kind::weight_norm) {
    const Shape &g = first.shape, &v = last.shape;
    bool fits = element_count(g) == 1 || g.size() == v.size();
    for (size_t d = 0; fits && g.size() == v.size() && d < g.size(); ++d) fits = g[d] == 1 || g[d] == v[d];
    if (fits && first.dtype == last.dtype) return "";
    return fmt::format(
        "'{}' is {}, and '{}' is {}: a g has the dtype of its v, and as many elements along each axis, "
        "or one",
        first.key, describe(first), last.key, describe(last));
  }
  for (const size_t operand : tensor.operands)
    if (manifest[operand].shape != first.shape || manifest[operand].dtype != first.dtype)
      return fmt::format("'{}' is {}, and '{}' is {}: a mean is taken of tensors that are alike", first.key,
                         describe(first), manifest[operand].key, describe(manifest[operand]));
  return "";
}

WithComputed with_computed(const Source& of, const std::vector<ComputedTensor>& tensors) {
  const auto source = std::make_shared<ComputingSource>(of, tensors);
  return {source, source->own, source->computed};
}

}  // namespace remap
