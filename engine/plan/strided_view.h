// A strided view of a source tensor, on which a rule's operations work while planning; in the end it becomes a Piece.
//
// Every logical dimension is a list of factors, outermost first: advancing a factor by 1 moves `source_step` along
// `source_dim`. A reshape that merges dimensions concatenates their factor lists, one that splits a dimension splits
// factors. Nothing is copied.
#pragma once

#include <string>
#include <vector>

#include "remap/plan.h"

namespace remap::plan {

struct Factor {
  int64_t extent = 1;
  int64_t source_step = 1;
  uint8_t source_dim = 0;
  bool operator==(const Factor&) const = default;
};

struct StridedView {
  std::vector<std::vector<Factor>> dims;
  std::vector<int64_t> origin;  // in the source tensor

  static StridedView of(const Shape& shape);
  Shape shape() const;

  // Each returns "" or what is wrong.
  std::string slice(size_t axis, int64_t begin, int64_t length);
  std::string select(size_t axis, int64_t index);  // removes the axis
  std::string permute(const std::vector<int>& order);
  std::string reshape(const Shape& shape);

  // Of a view of everything, without a slice: the viewed tensor (of this shape) as a view of what the view shows.
  StridedView inverse(const Shape& viewed) const;

  // The view as a piece of a target tensor of which it fills the box at `target_origin`; `target_axes[d]` is the
  // target's dimension for dimension d of the view.
  Piece piece(uint32_t source, uint32_t tensor, std::vector<int64_t> target_origin,
              const std::vector<uint8_t>& target_axes) const;
  // The view as a piece of what another view of the same shape shows of the target. `wrong` says why there is none.
  Piece piece(uint32_t source, uint32_t tensor, const StridedView& target, std::string& wrong) const;
};

}  // namespace remap::plan
