// The work of a plan, in order: which tiles are to be loaded, and what is copied out of each. Private to exec.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "exec/clip.h"
#include "remap/plan.h"
#include "remap/source.h"

namespace remap::exec {

// A piece of a target tensor, by index.
struct Use {
  size_t target = 0;
  size_t piece = 0;
};

// One source tensor with everything that is made of it, so that each of its tiles is loaded once.
struct Reading {
  const Source* source = nullptr;
  size_t tensor = 0;
  std::vector<Box> tiles;
  std::vector<Use> uses;
};

// The smallest amount of work that is handed out unsplit: one tile, or one tensor filled with a constant.
struct Item {
  static constexpr size_t kFill = static_cast<size_t>(-1);
  size_t reading = kFill;  // index into Work::readings
  size_t index = 0;        // of the tile; of the target tensor for a fill
};

struct Copy {
  size_t target = 0;
  ops::CopyRegion region;  // normalised
};

// An item ready to be copied from. `copies` are in plan order, each at most a block.
struct Loaded {
  TileView view;
  DType dtype = DType::f32;
  bool in_buffer = false;  // the bytes are in the loading thread's buffer: only that thread may copy them, at once
  const TensorInfo* source = nullptr;  // for messages; null for a fill
  const Source* from = nullptr;        // null for a fill
  std::vector<Copy> copies;
  std::array<std::byte, 16> constant = {};  // what `view` points to, for a fill
};

// Bytes that one thread copies between two looks at cancellation and progress, and by which threads share a tensor.
inline constexpr int64_t kBlockBytes = int64_t{8} << 20;

class Work {
 public:
  // `skip_zero_fill`: the sink is full of zeros already. The plan must be consistent; it and the sources must outlive
  // this.
  Work(const std::vector<PlannedTensor>& tensors, const std::vector<const Source*>& sources, bool skip_zero_fill);

  const std::vector<Item>& items() const { return items_; }
  // Loads an item. Null if nothing is to be copied from it; then nothing was read. May be called from several threads
  // at once.
  std::shared_ptr<const Loaded> load(const Item& item, TileBuffer& buffer) const;

 private:
  std::shared_ptr<const Loaded> load_fill(size_t target) const;
  std::shared_ptr<const Loaded> load_tile(const Reading& reading, size_t tile, TileBuffer& buffer) const;

  const std::vector<PlannedTensor>& tensors_;
  std::vector<std::vector<int64_t>> strides_;  // row-major, a target tensor
  std::vector<Reading> readings_;
  std::vector<Item> items_;
};

}  // namespace remap::exec
