// Changes of element type, and which of them exist.
//
// Widening is exact: NaN payloads are shifted, never quieted, and signed zeros and subnormals keep their value.
// Narrowing between floats rounds to nearest, ties to even, and overflows to infinity; a NaN stays a NaN with the upper
// bits of its payload, and only where none of those is set is the quiet bit set. So narrowing what was widened gives
// the same bits back. There is no other cast: integers (and bool) go to types that hold every value of theirs, floats
// never go to integers. Elements of F4 and F6 and the exponents of F8_E8M0 are parts of a block-scaled format and mean
// little alone; they are moved, not cast. Private to the engine.
#pragma once

#include <cstddef>
#include <string_view>

#include "ops/strided_copy.h"
#include "remap/dtype.h"

namespace remap::ops {

inline constexpr std::string_view kCastHint =
    "integers are cast to types that hold all their values, floats of 8 bits and more to floats of at least 16; "
    "F4, F6 and F8_E8M0 stay as they are";

// True if there is a cast from `from` to `to`; equal types count.
bool cast_supported(DType to, DType from);

// Copies a normalised region, changing its type. Throws Error "cast-unsupported".
void strided_cast(std::byte* target, DType to, const std::byte* source, DType from, const CopyRegion& region);

// `count` consecutive elements of any type but complex as doubles: for measuring, since 64-bit integers round. Elements
// of less than a byte begin at a byte and follow each other from its lowest bit up.
void to_doubles(const std::byte* source, DType from, int64_t count, double* out);

// Writes `value` as one element of `to` at `out` (16 bytes are enough for any type); false if the type cannot hold it:
// not an integer, or out of range. Floats round to nearest. Of a type of less than a byte: a byte of it, which can be 0
// only.
bool encode_value(double value, DType to, std::byte* out);

}  // namespace remap::ops
