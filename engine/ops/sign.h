// Changes signs of whole numbers and floats in place. Private to the engine.
#pragma once

#include <cstddef>
#include <cstdint>

#include "remap/dtype.h"

namespace remap::ops {

// Whether every value of the type has a negative of the same type: not bool, and not floats without a sign or a negative zero.
bool can_negate(DType dtype);

// `count` consecutive elements. `negative`: of all parts, modulo 2^n for integers; `conjugate`: of imaginary parts. Both: of real ones.
// A float's sign bit is turned, also that of a NaN.
void change_sign(std::byte* data, DType dtype, int64_t count, bool negative, bool conjugate);

}  // namespace remap::ops
