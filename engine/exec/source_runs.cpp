#include "exec/source_runs.h"

#include "exec/clip.h"
#include "tensor/box.h"

namespace remap::exec {

std::optional<FilePlace> place_in_source(const PlannedTensor& tensor, const std::vector<const Source*>& sources) {
  if (tensor.pieces.size() != 1 || !tensor.filled.empty()) return std::nullopt;
  const Piece& piece = tensor.pieces[0];
  const Source& source = *sources[piece.source];
  if (!source.in_place(piece.tensor)) return std::nullopt;
  const auto tiles = source.tile_boxes(piece.tensor);
  if (tiles.size() != 1 || stored_form(source.manifest()[piece.tensor]).dtype != tensor.dtype) return std::nullopt;
  TileBuffer unused;
  const TileView view = source.load(piece.tensor, 0, unused);
  if (view.fd < 0) return std::nullopt;
  const auto region = lower(piece, whole_piece(piece), row_major_strides(tensor.shape), tiles[0], view.strides);
  if (!ops::is_contiguous(region) || ops::element_count(region) == 0) return std::nullopt;
  return FilePlace{view.fd, view.offset_bytes + static_cast<uint64_t>(region.source_offset * size_bytes(tensor.dtype))};
}

std::vector<SourceRun> source_runs(const std::vector<PlannedTensor>& tensors, const std::vector<const Source*>& sources,
                                   const Blocks& blocks) {
  std::vector<SourceRun> runs;
  for (const size_t target : blocks.order()) {
    const auto from = place_in_source(tensors[target], sources);
    if (!from) continue;
    const TensorPlace place = blocks.place(target);
    const SourceRun run{place.file, place.offset_bytes,
                        place.offset_bytes + static_cast<uint64_t>(data_bytes(tensors[target])), *from};
    if (!runs.empty()) {
      SourceRun& last = runs.back();
      if (last.file == run.file && last.end == run.begin && last.from.fd == from->fd &&
          last.from.offset_bytes + (last.end - last.begin) == from->offset_bytes) {
        last.end = run.end;
        continue;
      }
    }
    runs.push_back(run);
  }
  return runs;
}

}  // namespace remap::exec
