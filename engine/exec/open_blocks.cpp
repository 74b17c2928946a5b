#include "exec/open_blocks.h"

#include <span>

namespace remap::exec {

BlockMemory::Bytes BlockMemory::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      auto memory = std::move(free_.back());
      free_.pop_back();
      return memory;
    }
  }
  return Bytes(static_cast<std::byte*>(::operator new (n_bytes_, std::align_val_t{kAligned})));
}

void BlockMemory::give_back(Bytes memory) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(memory));
}

OpenBlocks::State& OpenBlocks::open(size_t block) {
  const std::lock_guard lock(mutex_);
  const auto [it, added] = states_.try_emplace(block);
  State& state = it->second;
  ++state.n_users;
  if (!added) return state;
  const Block& where = blocks_[block];
  state.missing_bytes = where.size();
  if (std::byte* const memory = sink_.memory(where.file); memory != nullptr) {
    state.data = memory + where.begin;
  } else if (used_bytes_ + where.size() <= open_bytes_) {
    state.owned = memory_.take();
    state.data = state.owned.get() + where.lead;
    used_bytes_ += where.size();
  }
  return state;
}

void OpenBlocks::close(size_t block, State& state, uint64_t filled) {
  const Block& where = blocks_[block];
  decltype(states_)::node_type done;
  {
    const std::lock_guard lock(mutex_);
    state.missing_bytes -= filled;
    // One of which nothing is filled was complete before it was opened, or is opened again.
    if (--state.n_users > 0 || (state.missing_bytes > 0 && state.missing_bytes < where.size())) return;
    done = states_.extract(block);
    if (done.mapped().owned != nullptr) used_bytes_ -= where.size();
  }
  State& last = done.mapped();
  if (last.missing_bytes == 0) {
    if (last.owned != nullptr) sink_.write(where.file, where.begin, {last.data, where.size()});
    sink_.finished(where.file, where.begin, where.size(), last.data);
  }
  if (last.owned != nullptr) memory_.give_back(std::move(last.owned));
}

}  // namespace remap::exec
