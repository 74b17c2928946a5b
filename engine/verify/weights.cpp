#include "verify/weights.h"

#include <fmt/format.h>

#include "base/text.h"
#include "ops/cast.h"
#include "read/blocks.h"
#include "tensor/box.h"
#include "verify/parts.h"

namespace remap::forward {
namespace {

bool is_dense(const TileView& view, const Shape& shape) {
  const auto dense = row_major_strides(shape);
  for (size_t d = 0; d < shape.size(); ++d)
    if (shape[d] != 1 && view.strides[d] != dense[d]) return false;
  return true;
}

}  // namespace

Tensor read_values(const Source& source, size_t tensor, const Box& box, const Rounding& rounding) {
  auto bytes = read_bytes(source, tensor, box);
  DType dtype = source.manifest()[tensor].dtype;
  const auto whole = ops::normalised({0, 0, {{element_count(box.extent), 1, 1}}});
  if (const auto it = rounding.find({&source, tensor}); it != rounding.end()) {
    std::vector<std::byte> rounded(static_cast<size_t>(element_count(box.extent) * size_bytes(it->second)));
    ops::strided_cast(rounded.data(), it->second, bytes.data(), dtype, whole);
    bytes = std::move(rounded);
    dtype = it->second;
  }
  NewTensor out(box.extent);
  ops::strided_cast(reinterpret_cast<std::byte*>(out.data.get()), DType::f32, bytes.data(), dtype, whole);
  return out;
}

const layout::SourceKey* Weights::find(const std::string& key) const {
  for (size_t s = 0; s < sources_.size(); ++s)
    if (const auto* found = keys_.find(s, key)) return found;
  return nullptr;
}

Tensor Weights::load(const layout::SourceKey& key, std::optional<Range> range) {
  loads.push_back({{}, n_records});
  return read(key, range);
}

Tensor Weights::load_joined(const lang::KeyPattern& pattern, int64_t axis) {
  std::map<std::string, const layout::SourceKey*, decltype(&natural_less)> found(&natural_less);
  const lang::Matcher matcher(pattern, {});
  for (size_t s = 0; s < sources_.size(); ++s)
    keys_.match(s, matcher, [&](const layout::SourceKey& key, const lang::Captures& captures) {
      if (captures.holes.size() != 1)
        throw Error("expression-value", {},
                    fmt::format("'{}' needs exactly one hole, whose numbers order the parts", pattern.text));
      found.emplace(captures.holes.front().second, &key);
      return true;
    });
  if (found.empty())
    throw Error("verify-missing", {}, fmt::format("the checkpoint has no tensor '{}'", pattern.text),
                "the forward pass of this layout needs it");
  loads.push_back({{}, n_records});
  std::vector<Tensor> parts;
  for (const auto& [number, key] : found) parts.push_back(read(*key, {}));
  return parts.size() == 1 ? parts.front() : axis == 0 ? concat_rows(parts) : concat_columns(parts);
}

Tensor Weights::read(const layout::SourceKey& key, std::optional<Range> range) {
  const Source& source = *sources_[key.source].source;
  const TensorInfo& tensor = source.manifest()[key.tensor];
  Box box{Shape(tensor.shape.size(), 0), tensor.shape};
  if (range) {
    if (range->axis >= tensor.shape.size() || range->begin < 0 || range->end > tensor.shape[range->axis] ||
        range->begin > range->end)
      throw Error("verify-shape", {},
                  fmt::format("'{}' of shape {} has no part {} to {} along axis {}", tensor.key,
                              to_string(tensor.shape), range->begin, range->end, range->axis));
    box.origin[range->axis] = range->begin;
    box.extent[range->axis] = range->end - range->begin;
  }
  loads.back().parts.push_back({key.source, key.tensor, box});
  const int64_t count = element_count(box.extent, tensor.key);
  if (progress_ != nullptr) progress_->add(static_cast<uint64_t>(data_bytes(tensor.dtype, box.extent, tensor.key)));
  const auto tiles = source.tile_boxes(key.tensor);
  const bool one_run = !range || range->axis == 0;
  if (one_run && tensor.dtype == DType::f32 && tiles.size() == 1 && !rounding_.contains({&source, key.tensor})) {
    const TileView view = source.load(key.tensor, 0, buffer_);
    const int64_t row =
        tensor.shape.empty() || tensor.shape[0] == 0 ? count : element_count(tensor.shape) / tensor.shape[0];
    if (view.fd >= 0 && is_dense(view, tensor.shape) && reinterpret_cast<uintptr_t>(view.data) % alignof(float) == 0)
      return {box.extent, nullptr, reinterpret_cast<const float*>(view.data) + (range ? range->begin * row : 0)};
  }
  return read_values(source, key.tensor, box, rounding_);
}

}  // namespace remap::forward
