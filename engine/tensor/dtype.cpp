#include "remap/dtype.h"

#include <algorithm>
#include <array>
#include <string>

namespace remap {
namespace {

struct Row {
  DType dtype;
  int bits;
  std::string_view name, long_name;
};

constexpr std::array<Row, 23> kRows = {{
    {DType::boolean, 8, "BOOL", "bool"},
    {DType::u8, 8, "U8", "uint8"},
    {DType::i8, 8, "I8", "int8"},
    {DType::u16, 16, "U16", "uint16"},
    {DType::i16, 16, "I16", "int16"},
    {DType::u32, 32, "U32", "uint32"},
    {DType::i32, 32, "I32", "int32"},
    {DType::u64, 64, "U64", "uint64"},
    {DType::i64, 64, "I64", "int64"},
    {DType::f4, 4, "F4", "float4_e2m1fn_x2"},
    {DType::f6_e2m3, 6, "F6_E2M3", "float6_e2m3fn"},
    {DType::f6_e3m2, 6, "F6_E3M2", "float6_e3m2fn"},
    {DType::f8_e8m0, 8, "F8_E8M0", "float8_e8m0fnu"},
    {DType::f8_e4m3fnuz, 8, "F8_E4M3FNUZ", "float8_e4m3fnuz"},
    {DType::f8_e5m2fnuz, 8, "F8_E5M2FNUZ", "float8_e5m2fnuz"},
    {DType::f8_e4m3, 8, "F8_E4M3", "float8_e4m3fn"},
    {DType::f8_e5m2, 8, "F8_E5M2", "float8_e5m2"},
    {DType::f16, 16, "F16", "float16"},
    {DType::bf16, 16, "BF16", "bfloat16"},
    {DType::f32, 32, "F32", "float32"},
    {DType::f64, 64, "F64", "float64"},
    {DType::c64, 64, "C64", "complex64"},
    {DType::c128, 128, "C128", "complex128"},
}};

const Row& row(DType dtype) { return kRows[static_cast<size_t>(dtype)]; }

}  // namespace

int bits(DType dtype) { return row(dtype).bits; }
int size_bytes(DType dtype) { return std::max(1, row(dtype).bits / 8); }
std::string_view name(DType dtype) { return row(dtype).name; }
std::string_view long_name(DType dtype) { return row(dtype).long_name; }
bool in_safetensors(DType dtype) { return dtype != DType::c128; }
bool is_floating(DType dtype) { return dtype >= DType::f4 && dtype <= DType::f64; }

std::optional<DType> parse_dtype(std::string_view text) {
  if (text.starts_with("torch.")) text.remove_prefix(6);
  for (const Row& r : kRows)
    if (text == r.name || text == r.long_name) return r.dtype;
  static constexpr std::array<std::pair<std::string_view, DType>, 11> kOther = {{{"half", DType::f16},
                                                                                 {"float", DType::f32},
                                                                                 {"double", DType::f64},
                                                                                 {"short", DType::i16},
                                                                                 {"int", DType::i32},
                                                                                 {"long", DType::i64},
                                                                                 {"bool_", DType::boolean},
                                                                                 {"char", DType::i8},
                                                                                 {"byte", DType::u8},
                                                                                 {"cfloat", DType::c64},
                                                                                 {"cdouble", DType::c128}}};
  for (const auto& [spelling, dtype] : kOther)
    if (text == spelling) return dtype;
  return std::nullopt;
}

}  // namespace remap
