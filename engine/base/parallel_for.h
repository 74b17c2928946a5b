// Runs independent parts of one step on all cores. Results must not depend on how the work is cut. Private to the
// engine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace remap {

// Calls body(begin, end) for ranges that cover 0 … n once; `work` is about how many multiplications the whole costs.
template <typename Body>
void parallel_for(int64_t n, int64_t work, const Body& body) {
  constexpr int64_t kWorthAThread = 4'000'000;
  const int64_t cores = std::max<int64_t>(1, std::thread::hardware_concurrency());
  const int64_t n_threads = std::clamp<int64_t>(work / kWorthAThread, 1, std::max<int64_t>(1, std::min(cores, n)));
  std::vector<std::exception_ptr> errors(static_cast<size_t>(n_threads));
  const auto run = [&](int64_t t) {
    try {
      body(n * t / n_threads, n * (t + 1) / n_threads);
    } catch (...) {
      errors[static_cast<size_t>(t)] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int64_t t = 1; t < n_threads; ++t) threads.emplace_back(run, t);
    run(0);
  }
  for (const auto& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace remap
