#include "verify/gemm.h"

#include <algorithm>

#include "base/parallel_for.h"

#define REMAP_GEMM gemm_plain
#include "verify/gemm_kernel.h"

namespace remap::forward {

void gemm_avx512(float* out, const float* x, const float* w, int64_t m, int64_t n, int64_t k, int64_t begin,
                 int64_t end);
void gemm_avx2(float* out, const float* x, const float* w, int64_t m, int64_t n, int64_t k, int64_t begin, int64_t end);

std::vector<GemmKernel> gemm_kernels() {
  std::vector<GemmKernel> kernels;
#ifdef REMAP_GEMM_X86
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) kernels.push_back(gemm_avx512);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) kernels.push_back(gemm_avx2);
#endif
  kernels.push_back(gemm_plain);
  return kernels;
}

void multiply_transposed(float* out, const float* x, const float* w, int64_t m, int64_t n, int64_t k) {
  static const GemmKernel kernel = gemm_kernels().front();
  constexpr int64_t kColumns = 128;  // columns are cut at the same places whatever the number of threads
  parallel_for((n + kColumns - 1) / kColumns, m * n * k, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block)
      kernel(out, x, w, m, n, k, block * kColumns, std::min(n, (block + 1) * kColumns));
  });
}

}  // namespace remap::forward
