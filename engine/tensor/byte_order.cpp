#include "tensor/byte_order.h"

#include <algorithm>

namespace remap {

int number_bytes(DType dtype) {
  const bool complex = dtype == DType::c64 || dtype == DType::c128;
  return size_bytes(dtype) / (complex ? 2 : 1);
}

void swap_bytes(std::span<std::byte> elements, DType dtype) {
  const auto width = static_cast<std::ptrdiff_t>(number_bytes(dtype));
  if (width == 1) return;
  for (auto it = elements.begin(); elements.end() - it >= width; it += width) std::reverse(it, it + width);
}

}  // namespace remap
