#include "exec/clip.h"

#include <algorithm>
#include <cstdlib>

namespace remap::exec {
namespace {

struct Span {
  int64_t low = 0, high = 0;  // both inclusive
};

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
int64_t ceil_div(int64_t a, int64_t b) { return -floor_div(-a, b); }

// The indices i of `range` with low <= i * step <= high.
IndexRange indices_between(int64_t low, int64_t high, int64_t step, const IndexRange& range) {
  if (step < 0) {
    std::swap(low, high);
    low = -low, high = -high, step = -step;
  }
  const int64_t first = std::max(range.begin, ceil_div(low, step));
  const int64_t last = std::min(range.begin + range.extent - 1, floor_div(high, step));
  return {first, std::max<int64_t>(0, last - first + 1)};
}

Span reach(const Axis& axis, const IndexRange& range) {
  const int64_t a = range.begin * axis.source_step, b = (range.begin + range.extent - 1) * axis.source_step;
  return {std::min(a, b), std::max(a, b)};
}

class Clipper {
 public:
  Clipper(const Piece& piece, const Box& tile, std::vector<IndexBox>& found)
      : piece_(piece), tile_(tile), found_(found) {
    for (const Axis& axis : piece.axes) box_.push_back({0, axis.extent});
  }

  // Makes dimension `dim` and all further ones fit the tile.
  void run(size_t dim) {
    for (; dim < tile_.origin.size(); ++dim) {
      const Span inside{tile_.origin[dim], tile_.origin[dim] + tile_.extent[dim] - 1};
      const Span all = reach_of(dim);
      if (all.high < inside.low || all.low > inside.high) return;
      if (all.low >= inside.low && all.high <= inside.high) continue;
      cut(dim, inside, all);
      return;
    }
    found_.push_back(box_);
  }

 private:
  Span reach_of(size_t dim) const {
    Span sum;
    if (!piece_.source_origin.empty()) sum = {piece_.source_origin[dim], piece_.source_origin[dim]};
    for (size_t a = 0; a < box_.size(); ++a) {
      if (piece_.axes[a].source_dim != dim) continue;
      const Span part = reach(piece_.axes[a], box_[a]);
      sum.low += part.low, sum.high += part.high;
    }
    return sum;
  }

  // Cuts the axis with the longest steps: its indices that fit whatever the other axes do stay together, the others are
  // tried alone.
  void cut(size_t dim, const Span& inside, const Span& all) {
    const size_t a = longest_axis(dim);
    const IndexRange range = box_[a];
    const int64_t step = piece_.axes[a].source_step;
    const Span own = reach(piece_.axes[a], range);
    const Span rest{all.low - own.low, all.high - own.high};
    const IndexRange touching = indices_between(inside.low - rest.high, inside.high - rest.low, step, range);
    IndexRange whole = indices_between(inside.low - rest.low, inside.high - rest.high, step, range);
    if (whole.extent == 0) whole.begin = touching.begin + touching.extent;
    for (int64_t i = touching.begin; i < whole.begin; ++i) descend(a, {i, 1}, dim);
    if (whole.extent > 0) descend(a, whole, dim);
    for (int64_t i = whole.begin + whole.extent; i < touching.begin + touching.extent; ++i) descend(a, {i, 1}, dim);
    box_[a] = range;
  }

  void descend(size_t axis, IndexRange range, size_t dim) {
    box_[axis] = range;
    run(dim);
  }

  // There is one: a dimension none of whose axes can move is either inside or outside.
  size_t longest_axis(size_t dim) const {
    size_t best = 0;
    int64_t best_step = 0;
    for (size_t a = 0; a < box_.size(); ++a) {
      const int64_t step = std::abs(piece_.axes[a].source_step);
      if (piece_.axes[a].source_dim == dim && box_[a].extent > 1 && step > best_step) best = a, best_step = step;
    }
    return best;
  }

  const Piece& piece_;
  const Box& tile_;
  std::vector<IndexBox>& found_;
  IndexBox box_;
};

}  // namespace

IndexBox whole_piece(const Piece& piece) {
  IndexBox box;
  box.reserve(piece.axes.size());
  for (const Axis& axis : piece.axes) box.push_back({0, axis.extent});
  return box;
}

std::vector<IndexBox> clip(const Piece& piece, const Box& tile) {
  std::vector<IndexBox> found;
  if (std::any_of(piece.axes.begin(), piece.axes.end(), [](const Axis& axis) { return axis.extent == 0; }))
    return found;
  Clipper(piece, tile, found).run(0);
  return found;
}

ops::CopyRegion lower(const Piece& piece, const IndexBox& box, const std::vector<int64_t>& target_strides,
                      const Box& tile, const std::vector<int64_t>& source_strides) {
  ops::CopyRegion region;
  for (size_t d = 0; d < piece.target_origin.size(); ++d)
    region.target_offset += piece.target_origin[d] * target_strides[d];
  for (size_t d = 0; d < source_strides.size(); ++d) {
    const int64_t origin = piece.source_origin.empty() ? 0 : piece.source_origin[d];
    region.source_offset += (origin - tile.origin[d]) * source_strides[d];
  }
  for (size_t a = 0; a < box.size(); ++a) {
    const Axis& axis = piece.axes[a];
    const int64_t target_stride = axis.target_step * target_strides[axis.target_dim];
    const int64_t source_stride = axis.source_step * source_strides[axis.source_dim];
    region.target_offset += box[a].begin * target_stride;
    region.source_offset += box[a].begin * source_stride;
    region.axes.push_back({box[a].extent, target_stride, source_stride});
  }
  return ops::normalised(std::move(region));
}

}  // namespace remap::exec
