#include "exec/slice_tensor.h"

#include <fmt/format.h>

#include "exec/clip.h"
#include "remap/diagnostic.h"
#include "tensor/sub_byte.h"

namespace remap::exec {
namespace {

Piece turned(Piece piece) {
  std::swap(piece.source_origin, piece.target_origin);
  std::vector<Axis> axes = piece.axes;
  for (Axis& axis : axes) {
    std::swap(axis.source_step, axis.target_step);
    std::swap(axis.source_dim, axis.target_dim);
  }
  piece.axes = std::move(axes);
  return piece;
}

}  // namespace

PlannedTensor stored(const PlannedTensor& tensor, const std::vector<const Source*>& sources) {
  if (!is_sub_byte(tensor.dtype)) return tensor;
  const auto [dtype, shape] = stored_form(tensor.dtype, tensor.shape);
  PlannedTensor out{tensor.key, dtype, shape, {}, tensor.fill, tensor.rule, {}};
  for (const Piece& piece : tensor.pieces) {
    auto moved =
        piece_in_bytes(piece, tensor.dtype, tensor.shape, sources[piece.source]->manifest()[piece.tensor].shape);
    if (!moved)
      throw Error("plan-inconsistent", {},
                  fmt::format("the plan for '{}' {} cannot be run: a piece takes a byte apart", tensor.key,
                              to_string(tensor.shape)),
                  "this is a mistake in the planner, not in your rules; please report it");
    out.pieces.push_back(std::move(*moved));
  }
  return out;
}

PlannedTensor part_of(const PlannedTensor& tensor, const Box& box, const std::vector<const Source*>& sources) {
  PlannedTensor part = tensor;
  part.shape = box.extent;
  part.pieces.clear();
  part.filled.clear();
  const auto add_parts = [&](const Piece& piece, size_t source_rank, const auto& add) {
    for (const IndexBox& indices : clip(turned(piece), box)) {
      Piece cut = piece;
      cut.target_origin.resize(tensor.shape.size());
      cut.source_origin.resize(source_rank);
      std::vector<Axis> axes = piece.axes;
      for (size_t a = 0; a < indices.size(); ++a) {
        axes[a].extent = indices[a].extent;
        cut.target_origin[axes[a].target_dim] += indices[a].begin * axes[a].target_step;
        cut.source_origin[axes[a].source_dim] += indices[a].begin * axes[a].source_step;
      }
      cut.axes = std::move(axes);
      for (size_t d = 0; d < cut.target_origin.size(); ++d) cut.target_origin[d] -= box.origin[d];
      add(std::move(cut));
    }
  };
  for (const Piece& piece : tensor.pieces)
    add_parts(piece, stored_form(sources[piece.source]->manifest()[piece.tensor]).shape.size(),
              [&](Piece cut) { part.pieces.push_back(std::move(cut)); });
  for (const FilledPart& numbers : tensor.filled)
    add_parts(numbers.region, 1, [&](Piece cut) {
      part.filled.push_back({std::move(cut), numbers.value, numbers.step});
    });
  return part;
}

}  // namespace remap::exec
