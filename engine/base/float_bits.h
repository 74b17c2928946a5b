// Bit-exact conversions between floating-point formats, on their bit patterns. Header-only so that loops over them
// vectorise. Private to the engine; the contract is in ops/cast.h.
#pragma once

#include <bit>
#include <cstdint>

namespace remap {

constexpr uint32_t f32_of_bf16(uint16_t bits) { return uint32_t{bits} << 16; }

// Selects instead of branches: the three cases are cheap, and vectorise.
constexpr uint32_t f32_of_f16(uint16_t bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  const uint32_t magnitude = bits & 0x7fffu;
  const uint32_t shifted = magnitude << 13;
  // A subnormal is its mantissa times 2^-24: exact in float, and never a NaN.
  const uint32_t subnormal = std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
  const uint32_t normal = shifted + (112u << 23);
  const uint32_t special = shifted + (224u << 23);  // infinity and NaN: exponent 31 becomes 255
  return sign | (magnitude < 0x0400u ? subnormal : magnitude < 0x7c00u ? normal : special);
}

constexpr uint64_t f64_of_f32(uint32_t bits) {
  const uint64_t sign = uint64_t{bits & 0x8000'0000u} << 32;
  const uint32_t magnitude = bits & 0x7fff'ffffu;
  const uint64_t value = std::bit_cast<uint64_t>(static_cast<double>(std::bit_cast<float>(magnitude)));
  const uint64_t special = (uint64_t{magnitude} << 29) + (uint64_t{1792} << 52);  // exponent 255 becomes 2047
  return sign | (magnitude >= 0x7f80'0000u ? special : value);
}

constexpr uint16_t bf16_of_f32(uint32_t bits) {
  const uint32_t magnitude = bits & 0x7fff'ffffu;
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t truncated = bits >> 16;
  const uint32_t nan = truncated | ((truncated & 0x007fu) == 0 ? 0x0040u : 0u);
  return static_cast<uint16_t>(magnitude > 0x7f80'0000u ? nan : rounded);
}

constexpr uint16_t f16_of_f32(uint32_t bits) {
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fff'ffffu;
  const uint32_t payload = (magnitude >> 13) & 0x03ffu;
  const uint32_t nan = 0x7c00u | payload | (payload == 0 ? 0x0200u : 0u);
  // Rounding may carry into the exponent, up to infinity, which is right.
  const uint32_t normal = (magnitude + 0x0fffu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;
  // One ulp of 0.5f is the least subnormal of f16, so adding 0.5f rounds to it. Only small values take this way.
  const float small = std::bit_cast<float>(magnitude < 0x3880'0000u ? magnitude : 0u);
  const uint32_t subnormal = std::bit_cast<uint32_t>(small + 0.5f) - 0x3f00'0000u;
  const uint32_t value = magnitude > 0x7f80'0000u    ? nan
                         : magnitude >= 0x4780'0000u ? 0x7c00u
                         : magnitude >= 0x3880'0000u ? normal
                                                     : subnormal;
  return static_cast<uint16_t>(sign | value);
}

// The upper bits of a NaN's payload, which has 52 bits here and 23 there.
constexpr uint32_t f32_nan_of_f64(uint64_t bits) {
  const auto sign = static_cast<uint32_t>((bits >> 32) & 0x8000'0000u);
  const auto payload = static_cast<uint32_t>((bits >> 29) & 0x007f'ffffu);
  return sign | 0x7f80'0000u | payload | (payload == 0 ? 0x0040'0000u : 0u);
}

constexpr bool is_f64_nan(uint64_t bits) { return (bits & 0x7fff'ffff'ffff'ffffu) > 0x7ff0'0000'0000'0000u; }

constexpr uint32_t f32_of_f64(uint64_t bits) {
  const uint64_t number = is_f64_nan(bits) ? 0 : bits;
  const uint32_t value = std::bit_cast<uint32_t>(static_cast<float>(std::bit_cast<double>(number)));
  return is_f64_nan(bits) ? f32_nan_of_f64(bits) : value;
}

// Rounds to odd: the last bit says that something was lost, so that a second rounding, to f16 or bf16, comes out as one
// would.
constexpr uint32_t f32_of_f64_to_odd(uint64_t bits) {
  if (is_f64_nan(bits)) {
    // Bits that f32 drops would be dropped by the narrower type too.
    return f32_nan_of_f64(bits);
  }
  const double value = std::bit_cast<double>(bits);
  const double magnitude = value < 0 ? -value : value;
  uint32_t result = std::bit_cast<uint32_t>(static_cast<float>(value));
  const auto back = static_cast<double>(std::bit_cast<float>(result));
  const double back_magnitude = back < 0 ? -back : back;
  if (back_magnitude > magnitude) --result;  // toward zero; from infinity to the largest number
  if (back_magnitude != magnitude) result |= 1u;
  return result;
}

constexpr uint16_t f16_of_f64(uint64_t bits) { return f16_of_f32(f32_of_f64_to_odd(bits)); }
constexpr uint16_t bf16_of_f64(uint64_t bits) { return bf16_of_f32(f32_of_f64_to_odd(bits)); }

// 1 sign, 4 exponent (bias 7), 3 mantissa bits; no infinity, one NaN a sign (float8_e4m3fn).
constexpr uint32_t f32_of_f8_e4m3(uint8_t bits) {
  const uint32_t sign = uint32_t{bits & 0x80u} << 24;
  const uint32_t magnitude = bits & 0x7fu;
  if (magnitude == 0x7fu) return sign | 0x7ff0'0000u;
  if (magnitude < 0x08u) return sign | std::bit_cast<uint32_t>(static_cast<float>(magnitude) * 0x1p-9f);
  return sign | ((magnitude << 20) + (120u << 23));
}

// The "fnuz" forms: a bias larger by one, no infinity, no negative zero; its pattern is the one NaN.
constexpr uint32_t f32_of_f8_e4m3fnuz(uint8_t bits) {
  const uint32_t sign = uint32_t{bits & 0x80u} << 24;
  const uint32_t magnitude = bits & 0x7fu;
  if (bits == 0x80u) return 0x7fc0'0000u;
  if (magnitude < 0x08u) return sign | std::bit_cast<uint32_t>(static_cast<float>(magnitude) * 0x1p-10f);
  return sign | ((magnitude << 20) + (119u << 23));
}
constexpr uint32_t f32_of_f8_e5m2fnuz(uint8_t bits) {
  const uint32_t sign = uint32_t{bits & 0x80u} << 24;
  const uint32_t magnitude = bits & 0x7fu;
  if (bits == 0x80u) return 0x7fc0'0000u;
  if (magnitude < 0x04u) return sign | std::bit_cast<uint32_t>(static_cast<float>(magnitude) * 0x1p-17f);
  return sign | ((magnitude << 21) + (111u << 23));
}

// The upper byte of an f16 (float8_e5m2).
constexpr uint16_t f16_of_f8_e5m2(uint8_t bits) { return static_cast<uint16_t>(bits << 8); }

}  // namespace remap
