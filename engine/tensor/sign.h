// Tensors whose values are those of their bytes with other signs. Private to the engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "remap/manifest.h"

namespace remap {

// Whether every value of the type has a negative of the same type: not bool, and not floats without a sign or a
// negative zero.
bool can_negate(DType dtype);

// Copies the elements of a strided tensor, row-major, with the signs changed. `negative`: of all parts, modulo 2^n for
// integers; `conjugate`: of imaginary parts. Both: of real ones. A float's sign bit is turned, also that of a NaN.
void copy_with_signs(std::byte* out, const std::byte* data, const Shape& shape, const std::vector<int64_t>& strides,
                     DType dtype, bool negative, bool conjugate);

}  // namespace remap
