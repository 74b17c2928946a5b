#include "verify/gemm.h"

#include <algorithm>
#include <thread>
#include <vector>

#define REMAP_GEMM gemm_plain
#include "verify/gemm_kernel.h"

namespace remap::forward {

void gemm_avx2(float* out, const float* x, const float* w, int64_t m, int64_t n, int64_t k, int64_t begin, int64_t end);

namespace {

using Kernel = void (*)(float*, const float*, const float*, int64_t, int64_t, int64_t, int64_t, int64_t);

Kernel best_kernel() {
#ifdef REMAP_GEMM_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return gemm_avx2;
#endif
  return gemm_plain;
}

}  // namespace

void multiply_transposed(float* out, const float* x, const float* w, int64_t m, int64_t n, int64_t k) {
  static const Kernel kernel = best_kernel();
  constexpr int64_t kWorthAThread = 4'000'000, kColumns = 64;  // products a thread; columns are cut where every number of threads may cut
  const int64_t blocks = (n + kColumns - 1) / kColumns, cores = std::max<int64_t>(1, std::thread::hardware_concurrency());
  const int64_t n_threads = std::clamp<int64_t>(m * n * k / kWorthAThread, 1, std::min(cores, blocks));
  const auto run = [&](int64_t thread) {
    for (int64_t block = blocks * thread / n_threads; block < blocks * (thread + 1) / n_threads; ++block)
      kernel(out, x, w, m, n, k, block * kColumns, std::min(n, (block + 1) * kColumns));
  };
  std::vector<std::thread> threads;
  for (int64_t t = 1; t < n_threads; ++t) threads.emplace_back(run, t);
  run(0);
  for (auto& thread : threads) thread.join();
}

}  // namespace remap::forward
