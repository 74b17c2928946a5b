#include "formats/zarr_elements.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/checked.h"
#include "base/float_bits.h"
#include "formats/limit.h"

namespace remap::formats {
namespace {

template <typename T>
ZarrElement bytes_of(T value) {
  ZarrElement bytes = {};
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

// `value` as f16 or bf16; nullopt if it is not exactly one (fill values are 0, 1, -1 …: nothing here rounds).
std::optional<uint16_t> exact_half(double value, DType dtype) {
  const auto bits = std::bit_cast<uint64_t>(value);
  const uint16_t half = dtype == DType::f16 ? f16_of_f64(bits) : bf16_of_f64(bits);
  const double back = std::bit_cast<float>(dtype == DType::f16 ? f32_of_f16(half) : f32_of_bf16(half));
  return back == value || std::isnan(value) ? std::optional(half) : std::nullopt;
}

std::optional<double> fill_number(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (value == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (value == "Infinity") return std::numeric_limits<double>::infinity();
  if (value == "-Infinity") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

template <typename T>
std::optional<ZarrElement> integer_fill(const Json& value) {
  if (value.is_number_unsigned()) {
    if (value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<T>::max())) return std::nullopt;
    return bytes_of(static_cast<T>(value.get<uint64_t>()));
  }
  if (!value.is_number_integer() || std::is_unsigned_v<T>) return std::nullopt;
  if (value.get<int64_t>() < static_cast<int64_t>(std::numeric_limits<T>::min())) return std::nullopt;
  return bytes_of(static_cast<T>(value.get<int64_t>()));
}

std::optional<ZarrElement> floating_fill(DType dtype, const Json& value) {
  const auto number = fill_number(value);
  if (!number) return std::nullopt;
  if (dtype == DType::f64) return bytes_of(*number);
  if (dtype == DType::f32) return bytes_of(static_cast<float>(*number));
  if (dtype == DType::f16 || dtype == DType::bf16) {
    const auto half = exact_half(*number, dtype);
    return half ? std::optional(bytes_of(*half)) : std::nullopt;
  }
  return *number == 0 && !std::signbit(*number) ? std::optional(bytes_of(uint8_t{0})) : std::nullopt;  // 8-bit floats
}

// "0x7fc00000": the bits of an element, the highest first.
std::optional<ZarrElement> bits_fill(DType dtype, std::string_view text) {
  const auto n_bytes = static_cast<size_t>(size_bytes(dtype));
  if (!text.starts_with("0x") || text.size() != 2 + 2 * n_bytes) return std::nullopt;
  ZarrElement element = {};
  for (size_t i = 0; i < 2 * n_bytes; ++i) {
    const char c = text[2 + i];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    element[n_bytes - 1 - i / 2] |= static_cast<std::byte>(i % 2 == 0 ? digit << 4 : digit);
  }
  return element;
}

}  // namespace

std::optional<ElementType> parse_element_type(std::string_view text) {
  if (text == "bfloat16" || text == "float8_e4m3fn" || text == "float8_e5m2")
    return ElementType{*parse_dtype(text), false};
  if (text.size() < 3 || std::string_view("<>|").find(text[0]) == std::string_view::npos) return std::nullopt;
  static constexpr std::array<std::pair<std::string_view, DType>, 14> kTypes = {{{"b1", DType::boolean},
                                                                                 {"i1", DType::i8},
                                                                                 {"i2", DType::i16},
                                                                                 {"i4", DType::i32},
                                                                                 {"i8", DType::i64},
                                                                                 {"u1", DType::u8},
                                                                                 {"u2", DType::u16},
                                                                                 {"u4", DType::u32},
                                                                                 {"u8", DType::u64},
                                                                                 {"f2", DType::f16},
                                                                                 {"f4", DType::f32},
                                                                                 {"f8", DType::f64},
                                                                                 {"c8", DType::c64},
                                                                                 {"c16", DType::c128}}};
  for (const auto& [name, dtype] : kTypes) {
    if (text.substr(1) != name) continue;
    if (text[0] == '|' && size_bytes(dtype) > 1) return std::nullopt;  // no byte order, but it has more than one byte
    return ElementType{dtype, text[0] == '>'};
  }
  return std::nullopt;
}

std::optional<ZarrElement> fill_bytes(DType dtype, const Json& value) {
  if (value.is_string() && dtype != DType::boolean && dtype != DType::c64 && dtype != DType::c128)
    if (const auto bits = bits_fill(dtype, value.get_ref<const std::string&>())) return bits;
  switch (dtype) {
    case DType::boolean: return value.is_boolean() ? std::optional(bytes_of(value.get<bool>())) : std::nullopt;
    case DType::u8: return integer_fill<uint8_t>(value);
    case DType::i8: return integer_fill<int8_t>(value);
    case DType::u16: return integer_fill<uint16_t>(value);
    case DType::i16: return integer_fill<int16_t>(value);
    case DType::u32: return integer_fill<uint32_t>(value);
    case DType::i32: return integer_fill<int32_t>(value);
    case DType::u64: return integer_fill<uint64_t>(value);
    case DType::i64: return integer_fill<int64_t>(value);
    case DType::c64:
    case DType::c128: {
      if (!value.is_array() || value.size() != 2) return std::nullopt;
      const auto real = fill_number(value[0]), imaginary = fill_number(value[1]);
      if (!real || !imaginary) return std::nullopt;
      if (dtype == DType::c128) return bytes_of(std::array{*real, *imaginary});
      return bytes_of(std::array{static_cast<float>(*real), static_cast<float>(*imaginary)});
    }
    default: return floating_fill(dtype, value);
  }
}

std::string shown(const Json& value) {
  constexpr size_t kMaxShown = 80;
  const std::string text = value.dump(-1, ' ', true);
  return text.size() <= kMaxShown ? text : text.substr(0, kMaxShown) + "…";
}

void ZarrText::unsupported(const std::string& message, const char* copy_to) const {
  throw Error("zarr-unsupported", place(), message,
              fmt::format("copy the array with tensorstore or zarr-python {}", copy_to));
}

const Json& ZarrText::field(const char* name) const {
  const auto it = root_.find(name);
  if (it == root_.end()) fail(fmt::format("'{}' is missing", name));
  return *it;
}

Shape ZarrText::sizes(const Json& list, const char* name) const {
  if (!list.is_array()) fail(fmt::format("'{}' is {}; an array of sizes was expected", name, shown(list)));
  check_limit(list.size(), static_cast<uint64_t>(limits_.max_rank), "max_rank", place(), "dimensions");
  Shape result;
  for (const Json& size : list) {
    if (!size.is_number_unsigned() || size.get<uint64_t>() > INT64_MAX)
      fail(fmt::format("'{}' holds {}, which is not a size", name, shown(size)));
    result.push_back(size.get<int64_t>());
  }
  return result;
}

void ZarrText::read_fill(ZarrArray& array) const {
  const Json& fill = field("fill_value");
  if (fill.is_null()) return;
  array.fill = fill_bytes(array.dtype, fill);
  if (!array.fill)
    unsupported(fmt::format("fill_value {} is not read for {}", shown(fill), long_name(array.dtype)),
                "with another fill value, or none");
}

void ZarrText::check_sizes(const ZarrArray& array) const {
  element_count(array.shape, file_);
  // All of them first: grids are counted by division.
  for (const ZarrChunks& level : array.levels)
    if (std::find(level.extent.begin(), level.extent.end(), 0) != level.extent.end())
      fail(fmt::format("chunks {} have no elements", to_string(level.extent)));
  const ZarrChunks& innermost = array.levels.back();
  auto bytes = std::optional<uint64_t>(size_bytes(array.dtype));
  for (const int64_t extent : innermost.extent)
    if (bytes) bytes = checked_mul(*bytes, static_cast<uint64_t>(extent));
  if (!bytes || *bytes > limits_.max_chunk_bytes)
    throw Error("limit-exceeded", place(),
                fmt::format("a chunk of {} {} is larger than {} bytes (max_chunk_bytes)", to_string(innermost.extent),
                            long_name(array.dtype), limits_.max_chunk_bytes));
  for (size_t i = 1; i < array.levels.size(); ++i) {
    const Shape outer = array.levels[i - 1].stored_extent();
    const Shape& inner = array.levels[i].extent;
    auto inside = std::optional<uint64_t>(1);
    for (size_t d = 0; d < outer.size(); ++d) {
      if (outer[d] % inner[d] != 0)
        fail(fmt::format("a shard of {} is not a whole number of chunks of {}", to_string(outer), to_string(inner)));
      if (inside) inside = checked_mul(*inside, static_cast<uint64_t>(outer[d] / inner[d]));
    }
    if (!inside || *inside > limits_.max_chunks)
      throw Error("limit-exceeded", place(),
                  fmt::format("a shard of {} in chunks of {} makes more than {} chunks (max_chunks)", to_string(outer),
                              to_string(inner), limits_.max_chunks));
  }
  const Shape tile = array.tile_extent();
  auto chunks = std::optional<uint64_t>(1);
  for (size_t d = 0; d < tile.size(); ++d)
    if (chunks)
      chunks = checked_mul(*chunks, static_cast<uint64_t>(array.shape[d] / tile[d] + (array.shape[d] % tile[d] != 0)));
  if (!chunks || *chunks > limits_.max_chunks)
    throw Error("limit-exceeded", place(),
                fmt::format("shape {} in chunks of {} makes more than {} chunks (max_chunks)", to_string(array.shape),
                            to_string(tile), limits_.max_chunks));
}

}  // namespace remap::formats
