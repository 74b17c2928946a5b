// Blocks that several jobs fill: kept until they are complete, in memory while there is room. Private to exec.
#pragma once

#include <memory>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

#include "exec/blocks.h"

namespace remap::exec {

// Memory of blocks, used again: fresh memory costs a page fault every 4 KiB. Methods may be called from any thread.
class BlockMemory {
 public:
  struct Free {
    void operator()(std::byte* memory) const { ::operator delete (memory, std::align_val_t{kAligned}); }
  };
  // Begins at a multiple of kAligned, and holds a block and its lead.
  using Bytes = std::unique_ptr<std::byte, Free>;

  explicit BlockMemory(uint64_t largest_block_bytes) : n_bytes_(largest_block_bytes + kAligned) {}
  Bytes take();
  void give_back(Bytes memory);

 private:
  std::mutex mutex_;
  std::vector<Bytes> free_;
  uint64_t n_bytes_;
};

// Every method may be called from any thread.
class OpenBlocks {
 public:
  // At most `open_bytes` of blocks are in memory; others are read from the sink, filled and written again.
  OpenBlocks(const Blocks& blocks, Sink& sink, BlockMemory& memory, uint64_t open_bytes)
      : blocks_(blocks), sink_(sink), memory_(memory), open_bytes_(open_bytes) {}

  // Calls fill(memory of the block), which returns how many bytes it has filled, maybe none: threads fill different
  // ones. Tells the sink when all of them are.
  template <typename Fill>
  void fill(size_t block, const Fill& fill) {
    State& state = open(block);
    uint64_t filled;
    if (state.data != nullptr) {
      filled = fill(state.data);
    } else {
      const std::lock_guard lock(state.on_disk);
      auto scratch = memory_.take();
      const Block& where = blocks_[block];
      std::byte* const bytes = scratch.get() + where.lead;
      sink_.read(where.file, where.begin, {bytes, where.size()});
      filled = fill(bytes);
      if (filled > 0) sink_.write(where.file, where.begin, {bytes, where.size()});
      memory_.give_back(std::move(scratch));
    }
    close(block, state, filled);
  }

 private:
  struct State {
    std::byte* data = nullptr;  // null: in the sink
    BlockMemory::Bytes owned;   // what `data` lies in, unless it is the sink's
    uint64_t missing_bytes = 0;
    size_t n_users = 0;
    std::mutex on_disk;
  };

  State& open(size_t block);
  void close(size_t block, State& state, uint64_t filled);

  const Blocks& blocks_;
  Sink& sink_;
  BlockMemory& memory_;
  uint64_t open_bytes_;
  std::mutex mutex_;
  std::unordered_map<size_t, State> states_;
  uint64_t used_bytes_ = 0;
};

}  // namespace remap::exec
