// The files of a sink cut into blocks, each of which is put together and written as one. Private to exec.
#pragma once

#include <vector>

#include "remap/plan.h"
#include "remap/sink.h"

namespace remap::exec {

// The kernel copies a quarter faster to a multiple of this, wherever from (1.4 GB by pread and pwrite: 0.15 s, not
// 0.20).
constexpr uint64_t kAligned = 64;

// Bytes [begin, end) of a file, all of them bytes of tensors. Those are at [first, last) of Blocks::order().
struct Block {
  size_t file = 0;
  uint64_t begin = 0, end = 0;
  size_t first = 0, last = 0;
  // What is left free before it in memory, so that the tensor that most of it belongs to begins at a multiple of
  // kAligned there. Many small ones are read together, from its begin on.
  uint64_t lead = 0;

  uint64_t size() const { return end - begin; }
};

// A run of elements of a target tensor.
struct Stretch {
  size_t target = 0;
  int64_t begin = 0, end = 0;  // elements
  uint64_t offset_bytes = 0;   // of `begin` in the file
};

class Blocks {
 public:
  // Blocks end at multiples of `block_bytes`, or before what reaches over one: an element (which may be more alone), a
  // row of a transposed tensor. The tensors must outlive this.
  Blocks(const std::vector<PlannedTensor>& tensors, const Sink& sink, uint64_t block_bytes);

  const std::vector<Block>& all() const { return blocks_; }
  const Block& operator[](size_t block) const { return blocks_[block]; }
  size_t size() const { return blocks_.size(); }
  // The tensors that have elements, as they follow each other in the files.
  const std::vector<size_t>& order() const { return order_; }
  TensorPlace place(size_t target) const { return places_[target]; }
  uint64_t largest_bytes() const { return largest_bytes_; }
  // The elements of the tensor at `position` of order() that are in a block.
  Stretch stretch(const Block& block, size_t position) const { return part(block, order_[position]); }
  Stretch part(const Block& block, size_t target) const;
  // The first block that begins at or after an offset of a file.
  size_t from(size_t file, uint64_t offset_bytes) const;
  // The block that holds an element of a target tensor.
  size_t holding(size_t target, int64_t element) const;

 private:
  void cut(size_t position);
  uint64_t lead_of(const Block& block) const;
  int64_t element_bytes(size_t target) const { return size_bytes(tensors_[target].dtype); }

  const std::vector<PlannedTensor>& tensors_;
  uint64_t block_bytes_;
  std::vector<TensorPlace> places_;  // a target tensor
  std::vector<size_t> order_;
  std::vector<Block> blocks_;
  uint64_t largest_bytes_ = 0;
};

}  // namespace remap::exec
