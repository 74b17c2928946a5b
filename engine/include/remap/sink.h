// A Sink is where the executor puts target tensors: a folder of safetensors files being written, or memory (tests).
#pragma once

#include <cstddef>
#include <cstdint>

namespace remap {

// Writable home of one target tensor, row-major, little-endian, size as planned. `fd` and `offset_bytes` name the same
// bytes in a file when there is one (-1: there is none), so that untouched ranges can be copied by the kernel.
struct TensorSlot {
  std::byte* data = nullptr;
  int fd = -1;
  uint64_t offset_bytes = 0;
};

class Sink {
 public:
  virtual ~Sink() = default;
  // The slot of target tensor `index` of the plan. May be called from several threads at once.
  virtual TensorSlot slot(size_t index) = 0;
  // True if every byte of every slot is 0 before it is written: filling with 0 is then no work.
  virtual bool zeroed() const { return false; }
  // Tensor `index` is complete and will not be touched again: a sink that maps files may let its pages go. Called once
  // a tensor that has elements, from any thread.
  virtual void finished(size_t index) { static_cast<void>(index); }
};

}  // namespace remap
