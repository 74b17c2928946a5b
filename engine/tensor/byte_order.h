// Numbers that a file keeps with their most significant byte first. Private to the engine.
#pragma once

#include <cstddef>
#include <span>

#include "remap/dtype.h"

namespace remap {

// Turns the bytes of every number around; an element of a complex type is two numbers.
void swap_bytes(std::span<std::byte> elements, DType dtype);

// The bytes of such a number: of types of 1, nothing is to be turned.
int number_bytes(DType dtype);

}  // namespace remap
