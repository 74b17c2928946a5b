// Built with AVX-512; called only where the machine has it.
#define Eigen EigenAvx512
#define REMAP_GEMM gemm_avx512
#include "verify/gemm_kernel.h"
