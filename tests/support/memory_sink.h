// A Sink in memory. Every slot starts as 0xcd bytes, so that what is not written shows.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "remap/plan.h"
#include "remap/sink.h"

namespace remap::test {

class MemorySink : public Sink {
 public:
  explicit MemorySink(const std::vector<PlannedTensor>& tensors) {
    for (const PlannedTensor& tensor : tensors)
      bytes_.emplace_back(static_cast<size_t>(element_count(tensor.shape) * size_bytes(tensor.dtype)), std::byte{0xcd});
  }
  TensorSlot slot(size_t index) override { return {bytes_[index].data(), -1, 0}; }
  void finished(size_t index) override {
    const std::lock_guard lock(mutex_);
    ++finished_[index];
  }

  const std::vector<std::byte>& bytes(size_t index) const { return bytes_[index]; }
  const std::vector<std::vector<std::byte>>& all() const { return bytes_; }
  // How often each tensor was said to be finished.
  const std::map<size_t, int>& finished_counts() const { return finished_; }

 private:
  std::vector<std::vector<std::byte>> bytes_;
  std::mutex mutex_;
  std::map<size_t, int> finished_;
};

}  // namespace remap::test
