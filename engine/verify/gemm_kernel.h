// Compiled once for every set of instructions; REMAP_GEMM is the function's name in that set. Eigen's templates are
// renamed along, since the linker would otherwise take one version for all.
#include <Eigen/Dense>

#include <cstdint>

namespace remap::forward {

// Columns begin … end of out.
void REMAP_GEMM(float* out, const float* x, const float* w, int64_t m, int64_t n, int64_t k, int64_t begin,
                int64_t end) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::Map<const Matrix> left(x, m, k), right(w + begin * k, end - begin, k);
  Eigen::Map<Matrix, 0, Eigen::OuterStride<>>(out + begin, m, end - begin, Eigen::OuterStride<>(n)).noalias() =
      left * right.transpose();
}

}  // namespace remap::forward
