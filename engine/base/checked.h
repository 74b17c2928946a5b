// Arithmetic on sizes that untrusted input chose. Overflow is reported, never wrapped.
#pragma once

#include <cstdint>
#include <optional>

namespace remap {

template <typename T>
std::optional<T> checked_mul(T a, T b) {
  T r;
  if (__builtin_mul_overflow(a, b, &r)) return std::nullopt;
  return r;
}

template <typename T>
std::optional<T> checked_add(T a, T b) {
  T r;
  if (__builtin_add_overflow(a, b, &r)) return std::nullopt;
  return r;
}

// True if [offset, offset + length) lies inside [0, size). Does not wrap.
inline bool range_inside(uint64_t offset, uint64_t length, uint64_t size) {
  return offset <= size && length <= size - offset;
}

}  // namespace remap
