#include "exec/tiles.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "tensor/box.h"

namespace remap::exec {

Tiles::Tiles(const std::vector<PlannedTensor>& tensors, const std::vector<const Source*>& sources, const Blocks& blocks)
    : tensors_(tensors) {
  std::map<std::pair<uint32_t, uint32_t>, size_t> reading_of;
  for (size_t t = 0; t < tensors.size(); ++t)
    for (const Piece& piece : tensors[t].pieces) {
      const Source& source = *sources[piece.source];
      if (source.in_place(piece.tensor)) continue;
      const auto [it, added] = reading_of.try_emplace({piece.source, piece.tensor}, readings_.size());
      if (added) readings_.push_back({&source, piece.tensor, source.tile_boxes(piece.tensor), {}});
      readings_[it->second].pieces.emplace_back(t, &piece);
    }
  for (size_t r = 0; r < readings_.size(); ++r)
    for (size_t tile = 0; tile < readings_[r].tiles.size(); ++tile) {
      TileJob job{blocks.size(), r, tile};
      for (const TileUse& use : uses(job)) job.block = std::min(job.block, blocks.holding(use.target, use.first));
      if (job.block < blocks.size()) jobs_.push_back(job);
    }
  std::stable_sort(jobs_.begin(), jobs_.end(), [](const TileJob& a, const TileJob& b) { return a.block < b.block; });
}

std::vector<TileUse> Tiles::uses(const TileJob& job) const {
  const Reading& reading = readings_[job.reading];
  const Box& box = reading.tiles[job.tile];
  std::vector<TileUse> uses;
  for (const auto& [target, piece] : reading.pieces)
    for (IndexBox& indices : clip(*piece, box)) {
      // Only its target side is looked at: any strides of the source will do.
      const ops::CopyRegion region = lower(*piece, indices, row_major_strides(tensors_[target].shape), box,
                                           std::vector<int64_t>(box.extent.size(), 1));
      uses.push_back({target, piece, std::move(indices), region.target_offset, ops::last_target(region)});
    }
  return uses;
}

TileView Tiles::load(const TileJob& job, TileBuffer& buffer) const {
  const Reading& reading = readings_[job.reading];
  return reading.source->load(reading.tensor, job.tile, buffer);
}

ops::CopyRegion Tiles::region(const TileJob& job, const TileUse& use, const TileView& view) const {
  return lower(*use.piece, use.indices, row_major_strides(tensors_[use.target].shape),
               readings_[job.reading].tiles[job.tile], view.strides);
}

DType Tiles::dtype(const TileJob& job) const {
  const Reading& reading = readings_[job.reading];
  return stored_form(reading.source->manifest()[reading.tensor]).dtype;
}

}  // namespace remap::exec
