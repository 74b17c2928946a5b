#include "tensor/sub_byte.h"

#include <algorithm>
#include <numeric>

namespace remap {
namespace {

// One side of a piece: the dimensions from `row` on lie in one row of bytes.
struct Side {
  size_t row;
  std::vector<int64_t> factors;  // what a step along a dimension is in the row, or along the same dimension before it

  Side(DType dtype, const Shape& shape) : row(stored_form(dtype, shape).shape.size() - 1), factors(shape.size(), 1) {
    for (size_t d = shape.size(); d-- > row + 1;) factors[d - 1] = factors[d] * shape[d];
  }
  size_t dim(size_t d) const { return std::min(d, row); }
};

// The smallest run of elements that is a whole number of bytes.
struct Group {
  int64_t elements, bytes;
  explicit Group(DType dtype) : elements(8 / std::gcd(8, bits(dtype))), bytes(elements * bits(dtype) / 8) {}
  bool divides(int64_t n) const { return n % elements == 0; }
  int64_t in_bytes(int64_t n) const { return n / elements * bytes; }
};

std::optional<std::vector<int64_t>> origin_in_bytes(const std::vector<int64_t>& origin, const Side& side,
                                                    const Group& group) {
  if (origin.empty()) return origin;
  std::vector<int64_t> merged(side.row + 1);
  for (size_t d = 0; d < origin.size(); ++d) merged[side.dim(d)] += origin[d] * side.factors[d];
  if (!group.divides(merged[side.row])) return std::nullopt;
  merged[side.row] = group.in_bytes(merged[side.row]);
  return merged;
}

}  // namespace

std::optional<Piece> piece_in_bytes(const Piece& piece, DType dtype, const Shape& target, const Shape& source) {
  if (std::any_of(piece.axes.begin(), piece.axes.end(), [](const Axis& axis) { return axis.extent == 0; }))
    return piece;
  if (!is_whole_bytes(dtype, target) || !is_whole_bytes(dtype, source)) return std::nullopt;
  const Side to(dtype, target), from(dtype, source);
  const Group group(dtype);
  Piece out = piece;
  std::vector<Axis> axes;
  for (Axis axis : piece.axes) {
    axis.target_step *= to.factors[axis.target_dim];
    axis.source_step *= from.factors[axis.source_dim];
    axis.target_dim = static_cast<uint8_t>(to.dim(axis.target_dim));
    axis.source_dim = static_cast<uint8_t>(from.dim(axis.source_dim));
    // An axis that the next one continues on both sides is one with it.
    if (!axes.empty()) {
      Axis& last = axes.back();
      if (last.target_dim == axis.target_dim && last.source_dim == axis.source_dim &&
          last.target_step == axis.target_step * axis.extent && last.source_step == axis.source_step * axis.extent) {
        axis.extent *= last.extent;
        axes.pop_back();
      }
    }
    axes.push_back(axis);
  }
  bool whole = false;  // some axis runs through neighbours on both sides, so that whole bytes move
  for (Axis& axis : axes) {
    const bool in_target_row = axis.target_dim == to.row, in_source_row = axis.source_dim == from.row;
    if (in_target_row && in_source_row && axis.target_step == 1 && axis.source_step == 1) {
      if (!group.divides(axis.extent)) return std::nullopt;
      axis.extent = group.in_bytes(axis.extent);
      whole = true;
      continue;
    }
    if ((in_target_row && !group.divides(axis.target_step)) || (in_source_row && !group.divides(axis.source_step)))
      return std::nullopt;
    if (in_target_row) axis.target_step = group.in_bytes(axis.target_step);
    if (in_source_row) axis.source_step = group.in_bytes(axis.source_step);
  }
  const auto target_origin = origin_in_bytes(piece.target_origin, to, group),
             source_origin = origin_in_bytes(piece.source_origin, from, group);
  if (!whole || !target_origin || !source_origin) return std::nullopt;
  out.axes = std::move(axes);
  out.target_origin = *target_origin;
  out.source_origin = *source_origin;
  return out;
}

}  // namespace remap
