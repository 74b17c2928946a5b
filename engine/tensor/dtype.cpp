#include "remap/dtype.h"

#include <array>
#include <string>

namespace remap {
namespace {

struct Row {
  DType dtype;
  int size_bytes;
  std::string_view name, long_name;
};

constexpr std::array<Row, 17> kRows = {{
    {DType::boolean, 1, "BOOL", "bool"},
    {DType::u8, 1, "U8", "uint8"},
    {DType::i8, 1, "I8", "int8"},
    {DType::u16, 2, "U16", "uint16"},
    {DType::i16, 2, "I16", "int16"},
    {DType::u32, 4, "U32", "uint32"},
    {DType::i32, 4, "I32", "int32"},
    {DType::u64, 8, "U64", "uint64"},
    {DType::i64, 8, "I64", "int64"},
    {DType::f8_e4m3, 1, "F8_E4M3", "float8_e4m3fn"},
    {DType::f8_e5m2, 1, "F8_E5M2", "float8_e5m2"},
    {DType::f16, 2, "F16", "float16"},
    {DType::bf16, 2, "BF16", "bfloat16"},
    {DType::f32, 4, "F32", "float32"},
    {DType::f64, 8, "F64", "float64"},
    {DType::c64, 8, "C64", "complex64"},
    {DType::c128, 16, "C128", "complex128"},
}};

const Row& row(DType dtype) { return kRows[static_cast<size_t>(dtype)]; }

}  // namespace

int size_bytes(DType dtype) { return row(dtype).size_bytes; }
std::string_view name(DType dtype) { return row(dtype).name; }
std::string_view long_name(DType dtype) { return row(dtype).long_name; }
bool is_floating(DType dtype) { return dtype >= DType::f8_e4m3 && dtype <= DType::f64; }

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
