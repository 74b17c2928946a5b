// The matrix product that linear layers come down to: out [m, n] = x [m, k] * w [n, k]^T, all row-major and dense. Uses
// the best instructions of the machine it runs on, and several threads for large products; the result does not depend
// on their number.
#pragma once

#include <cstdint>
#include <vector>

namespace remap::forward {

// Columns begin … end of out, by one set of instructions; sums are rounded otherwise by each.
using GemmKernel = void (*)(float* out, const float* x, const float* w, int64_t m, int64_t n, int64_t k, int64_t begin,
                            int64_t end);
// Those that this machine can run, the fastest first.
std::vector<GemmKernel> gemm_kernels();

void multiply_transposed(float* out, const float* x, const float* w, int64_t m, int64_t n, int64_t k);

}  // namespace remap::forward
