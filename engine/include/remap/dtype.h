// Element types. Names follow safetensors ("F32"); other spellings are accepted when reading.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace remap {

enum class DType : uint8_t {
  boolean,
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  u64,
  i64,
  f4,
  f6_e2m3,
  f6_e3m2,  // several elements share a byte
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  f8_e4m3,
  f8_e5m2,
  f16,
  bf16,
  f32,
  f64,
  c64,
  c128
};

int bits(DType dtype);  // of one element
// Bytes of one element. Of a type of less than a byte it is 1: such tensors are read and written in bytes
// (stored_form()).
int size_bytes(DType dtype);
inline bool is_sub_byte(DType dtype) { return dtype >= DType::f4 && dtype <= DType::f6_e3m2; }
std::string_view name(DType dtype);       // "F32", "BF16", "BOOL", "F8_E4M3", "C64" …: safetensors' name
std::string_view long_name(DType dtype);  // "float32", "bfloat16", "bool" …: the name torch, numpy and config.json use
bool is_floating(DType dtype);            // f4 … f64
bool in_safetensors(DType dtype);         // a type that a safetensors file can hold: all but complex128

// Accepts name(), long_name(), "torch.float32", "half", "double", "long" …; nullopt for anything else.
std::optional<DType> parse_dtype(std::string_view text);

}  // namespace remap
