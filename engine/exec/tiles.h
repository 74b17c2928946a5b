// Tiles that have to be decoded, and what is made of each: every one is loaded once. Private to exec.
#pragma once

#include <vector>

#include "exec/blocks.h"
#include "exec/clip.h"
#include "remap/plan.h"
#include "remap/source.h"

namespace remap::exec {

// A box of a piece's indices whose source lies in a tile, and the target elements between which they go.
struct TileUse {
  size_t target = 0;
  const Piece* piece = nullptr;
  IndexBox indices;
  int64_t first = 0, last = 0;  // both inclusive
};

// A tile, by `reading` of Tiles and its number there; `block`: the first one in which any of it goes.
struct TileJob {
  size_t block = 0, reading = 0, tile = 0;
};

class Tiles {
 public:
  // The plan must be consistent; it and the sources must outlive this.
  Tiles(const std::vector<PlannedTensor>& tensors, const std::vector<const Source*>& sources, const Blocks& blocks);

  // Tiles that anything is made of, by the first block.
  const std::vector<TileJob>& jobs() const { return jobs_; }
  std::vector<TileUse> uses(const TileJob& job) const;
  TileView load(const TileJob& job, TileBuffer& buffer) const;
  ops::CopyRegion region(const TileJob& job, const TileUse& use, const TileView& view) const;
  DType dtype(const TileJob& job) const;

 private:
  // One source tensor with everything that is made of it.
  struct Reading {
    const Source* source = nullptr;
    size_t tensor = 0;
    std::vector<Box> tiles;
    std::vector<std::pair<size_t, const Piece*>> pieces;  // with their target
  };

  const std::vector<PlannedTensor>& tensors_;
  std::vector<Reading> readings_;
  std::vector<TileJob> jobs_;
};

}  // namespace remap::exec
