// Built with AVX2 and FMA; called only where the machine has them.
#define Eigen EigenAvx2
#define REMAP_GEMM gemm_avx2
#include "verify/gemm_kernel.h"
