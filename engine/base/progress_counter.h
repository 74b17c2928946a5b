// Adds up what is done and tells it, rarely and never twice at a time. Private to the engine.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>

#include "remap/progress.h"

namespace remap {

class ProgressCounter {
 public:
  ProgressCounter(const ProgressFunction& tell, uint64_t total_bytes) : tell_(tell), total_bytes_(total_bytes) {}

  // By any thread.
  void add(uint64_t bytes) {
    done_bytes_ += bytes;
    if (!tell_) return;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    const auto now = std::chrono::steady_clock::now();
    if (!lock || now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    tell_(std::min<uint64_t>(done_bytes_, total_bytes_), total_bytes_);
  }
  // What was said to cost so much is done, whatever it did cost. Not while others add.
  void reach(uint64_t bytes) {
    done_bytes_ = bytes;
    add(0);
  }
  void finish() {
    if (tell_) tell_(total_bytes_, total_bytes_);
  }

 private:
  const ProgressFunction& tell_;
  uint64_t total_bytes_;
  std::atomic<uint64_t> done_bytes_ = 0;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace remap
