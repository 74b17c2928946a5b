#include "tensor/sign.h"

#include <cstring>

namespace remap {
namespace {

bool is_complex(DType dtype) { return dtype == DType::c64 || dtype == DType::c128; }

template <typename Word>
void negate_integers(std::byte* data, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    Word value;
    std::memcpy(&value, data + i * static_cast<int64_t>(sizeof value), sizeof value);
    value = static_cast<Word>(Word{0} - value);
    std::memcpy(data + i * static_cast<int64_t>(sizeof value), &value, sizeof value);
  }
}

void change_signs(std::byte* data, DType dtype, int64_t count, bool negative, bool conjugate) {
  if (!is_complex(dtype) && !is_floating(dtype)) {
    if (!negative) return;
    switch (size_bytes(dtype)) {
      case 1: return negate_integers<uint8_t>(data, count);
      case 2: return negate_integers<uint16_t>(data, count);
      case 4: return negate_integers<uint32_t>(data, count);
      default: return negate_integers<uint64_t>(data, count);
    }
  }
  const bool complex = is_complex(dtype);
  const int64_t part_bytes = size_bytes(dtype) / (complex ? 2 : 1);
  const auto turn = [&](int64_t part) {
    data[(part + 1) * part_bytes - 1] ^= std::byte{0x80};
  };  // little-endian: the last byte
  for (int64_t i = 0; i < count; ++i) {
    if (!complex) {
      if (negative) turn(i);
      continue;
    }
    if (negative) turn(2 * i);
    if (negative != conjugate) turn(2 * i + 1);
  }
}

}  // namespace

bool can_negate(DType dtype) {
  switch (dtype) {
    case DType::boolean:
    case DType::f4:
    case DType::f6_e2m3:
    case DType::f6_e3m2:
    case DType::f8_e8m0:
    case DType::f8_e4m3fnuz:
    case DType::f8_e5m2fnuz: return false;
    default: return true;
  }
}

void copy_with_signs(std::byte* out, const std::byte* data, const Shape& shape, const std::vector<int64_t>& strides,
                     DType dtype, bool negative, bool conjugate) {
  const auto bytes = static_cast<size_t>(size_bytes(dtype));
  const int64_t count = element_count(shape);
  std::vector<int64_t> at(shape.size(), 0);
  int64_t from = 0;
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(out + static_cast<size_t>(i) * bytes, data + from * static_cast<int64_t>(bytes), bytes);
    for (size_t d = shape.size(); d-- > 0;) {
      from += strides[d];
      if (++at[d] < shape[d]) break;
      from -= at[d] * strides[d];
      at[d] = 0;
    }
  }
  change_signs(out, dtype, count, negative, conjugate);
}

}  // namespace remap
