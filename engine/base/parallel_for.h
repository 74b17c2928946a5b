// Runs independent parts of one step on all cores. Results must not depend on how the work is cut. Private to the
// engine.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace remap {

// Calls body(begin, end) for ranges that cover 0 … n once; `work` is about how many multiplications the whole costs.
template <typename Body>
void parallel_for(int64_t n, int64_t work, const Body& body) {
  constexpr int64_t kWorthAThread = 4'000'000;
  if (std::min(n, work / kWorthAThread) < 2) return body(0, n);
  static const int64_t cores = std::max<int64_t>(1, std::thread::hardware_concurrency());  // asking opens a file
  const int64_t n_threads = std::min({work / kWorthAThread, n, cores});
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

// Calls worker(i) once for each of 0 … n-1, begun in this order, where every thread has a worker = make_worker() of its
// own. Throws what the first of them threw; some behind it are then not called.
template <typename MakeWorker>
void parallel_each(size_t n, int64_t work, const MakeWorker& make_worker) {
  std::atomic<size_t> next = 0;
  std::atomic<bool> failed = false;
  std::vector<std::exception_ptr> errors(n);
  parallel_for(static_cast<int64_t>(n), work, [&](int64_t, int64_t) {
    auto worker = make_worker();
    for (size_t i = 0; !failed && (i = next++) < n;) {
      try {
        worker(i);
      } catch (...) {
        errors[i] = std::current_exception();
        failed = true;
      }
    }
  });
  for (const auto& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace remap
