#include "formats/zarr.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/checked.h"
#include "base/float_bits.h"
#include "base/mapped_file.h"
#include "formats/decompress.h"
#include "formats/json_text.h"
#include "formats/limit.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

struct ElementType {
  DType dtype;
  bool big_endian;
};

// numpy's "<f4", and the plain names that tensorstore uses for types numpy does not have.
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

template <typename T>
std::array<std::byte, 16> bytes_of(T value) {
  std::array<std::byte, 16> bytes = {};
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
std::optional<std::array<std::byte, 16>> integer_fill(const Json& value) {
  if (value.is_number_unsigned()) {
    if (value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<T>::max())) return std::nullopt;
    return bytes_of(static_cast<T>(value.get<uint64_t>()));
  }
  if (!value.is_number_integer() || std::is_unsigned_v<T>) return std::nullopt;
  if (value.get<int64_t>() < static_cast<int64_t>(std::numeric_limits<T>::min())) return std::nullopt;
  return bytes_of(static_cast<T>(value.get<int64_t>()));
}

std::optional<std::array<std::byte, 16>> floating_fill(DType dtype, const Json& value) {
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

// One element, little-endian; nullopt if the value is not one that can be read. Not of null, which is none.
std::optional<std::array<std::byte, 16>> fill_bytes(DType dtype, const Json& value) {
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

// A value for a message, cut short.
std::string shown(const Json& value) {
  constexpr size_t kMaxShown = 80;
  const std::string text = value.dump(-1, ' ', true);
  return text.size() <= kMaxShown ? text : text.substr(0, kMaxShown) + "…";
}

class ZarrayParser {
 public:
  ZarrayParser(const Json& root, const std::string& file, const Limits& limits)
      : root_(root), file_(file), limits_(limits) {}

  ZarrArray parse() {
    if (!root_.is_object()) fail("not a JSON object");
    if (field("zarr_format") != 2)
      unsupported(fmt::format("zarr_format is {}; version 2 is read", shown(field("zarr_format"))), "to version 2");
    ZarrArray array;
    array.shape = sizes("shape");
    array.chunks = sizes("chunks");
    if (array.shape.size() != array.chunks.size())
      fail(fmt::format("shape {} and chunks {} differ in the number of dimensions", to_string(array.shape),
                       to_string(array.chunks)));
    // Writers that take the shape for the chunk's do so along an axis without entries too.
    for (size_t d = 0; d < array.shape.size(); ++d)
      if (array.shape[d] == 0 && array.chunks[d] == 0) array.chunks[d] = 1;
    read_dtype(array);
    read_order(array);
    array.codec = codec();
    if (const Json& filters = field("filters"); !filters.is_null() && !(filters.is_array() && filters.empty()))
      unsupported(fmt::format("filters {} are not read", shown(filters)), "without filters");
    if (const Json& fill = field("fill_value"); !fill.is_null()) {
      array.fill = fill_bytes(array.dtype, fill);
      if (!array.fill)
        unsupported(fmt::format("fill_value {} is not read for {}", shown(fill), long_name(array.dtype)),
                    "with another fill value, or none");
    }
    check_sizes(array);
    return array;
  }

 private:
  BytePlace place() const { return {file_, {}, {}}; }
  [[noreturn]] void fail(const std::string& message) const { throw Error("zarr-metadata", place(), message); }
  [[noreturn]] void unsupported(const std::string& message, const char* copy_to) const {
    throw Error("zarr-unsupported", place(), message,
                fmt::format("copy the array with tensorstore or zarr-python {}", copy_to));
  }
  const Json& field(const char* name) const {
    const auto it = root_.find(name);
    if (it == root_.end()) fail(fmt::format("'{}' is missing", name));
    return *it;
  }
  Shape sizes(const char* name) const {
    const Json& list = field(name);
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
  void read_dtype(ZarrArray& array) const {
    const Json& dtype = field("dtype");
    const auto type = dtype.is_string() ? parse_element_type(dtype.get_ref<const std::string&>()) : std::nullopt;
    if (!type)
      unsupported(fmt::format("the dtype {} is not read", shown(dtype)),
                  "as numbers of a type that numpy has, or bfloat16");
    array.dtype = type->dtype;
    array.big_endian = type->big_endian;
  }
  void read_order(ZarrArray& array) const {
    const Json& order = field("order");
    if (order != "C" && order != "F") fail(fmt::format("order is {}; \"C\" or \"F\" was expected", shown(order)));
    array.column_major = order == "F";
    if (!root_.contains("dimension_separator")) return;
    const Json& separator = field("dimension_separator");
    if (separator != "." && separator != "/")
      fail(fmt::format("dimension_separator is {}; \".\" or \"/\" was expected", shown(separator)));
    array.separator = separator.get_ref<const std::string&>()[0];
  }
  ZarrCodec codec() const {
    const Json& compressor = field("compressor");
    if (compressor.is_null()) return ZarrCodec::raw;
    if (!compressor.is_object() || !compressor.contains("id") || !compressor["id"].is_string())
      fail("'compressor' is neither null nor an object with an 'id'");
    const auto& id = compressor["id"].get_ref<const std::string&>();
    if (id == "gzip") return ZarrCodec::gzip;
    if (id == "zlib") return ZarrCodec::zlib;
    if (id == "zstd") return ZarrCodec::zstd;
    unsupported(fmt::format("the compressor '{}' is not read; gzip, zlib, zstd and none are", id),
                "to gzip, zstd or no compression");
  }
  void check_sizes(const ZarrArray& array) const {
    element_count(array.shape, file_);
    // All of them first: grid() divides by every extent.
    if (std::find(array.chunks.begin(), array.chunks.end(), 0) != array.chunks.end())
      fail(fmt::format("chunks {} have no elements", to_string(array.chunks)));
    auto bytes = std::optional<uint64_t>(size_bytes(array.dtype));
    for (const int64_t extent : array.chunks)
      if (bytes) bytes = checked_mul(*bytes, static_cast<uint64_t>(extent));
    auto chunks = std::optional<uint64_t>(1);
    for (const int64_t extent : array.grid())
      if (chunks) chunks = checked_mul(*chunks, static_cast<uint64_t>(extent));
    if (!bytes || *bytes > limits_.max_chunk_bytes)
      throw Error("limit-exceeded", place(),
                  fmt::format("a chunk of {} {} is larger than {} bytes (max_chunk_bytes)", to_string(array.chunks),
                              long_name(array.dtype), limits_.max_chunk_bytes));
    if (!chunks || *chunks > limits_.max_chunks)
      throw Error("limit-exceeded", place(),
                  fmt::format("shape {} in chunks of {} makes more than {} chunks (max_chunks)", to_string(array.shape),
                              to_string(array.chunks), limits_.max_chunks));
  }

  const Json& root_;
  const std::string& file_;
  const Limits& limits_;
};

// Grid coordinates of the tile that zarr_tiles() gives this number.
Shape chunk_at(const Shape& grid, size_t tile) {
  Shape at(grid.size());
  for (size_t d = grid.size(); d-- > 0;) {
    at[d] = static_cast<int64_t>(tile) % grid[d];
    tile /= static_cast<size_t>(grid[d]);
  }
  return at;
}

std::vector<int64_t> chunk_strides(const ZarrArray& array) {
  std::vector<int64_t> strides(array.chunks.size(), 1);
  if (array.column_major)
    for (size_t d = 1; d < strides.size(); ++d) strides[d] = strides[d - 1] * array.chunks[d - 1];
  else
    for (size_t d = strides.size(); d-- > 1;) strides[d - 1] = strides[d] * array.chunks[d];
  return strides;
}

std::string chunk_path(const ZarrArray& array, size_t tile) {
  return fmt::format("{}/{}", array.folder, array.chunk_name(chunk_at(array.grid(), tile)));
}

[[noreturn]] void refuse_missing(const ZarrArray& array, const std::string& name, size_t tile, size_t n_missing) {
  throw Error(
      "zarr-chunk-missing", BytePlace{chunk_path(array, tile), {}, {}},
      fmt::format("the chunk is not there{}, and the array '{}' has no fill value (null): its elements are unknown",
                  n_missing > 1 ? fmt::format(", nor are {} others", n_missing - 1) : "", name),
      "the checkpoint was not copied completely; fetch the folder again");
}

size_t count_chunks(const ZarrArray& array) {
  size_t n_tiles = 1;
  for (const int64_t extent : array.grid()) n_tiles *= static_cast<size_t>(extent);
  return n_tiles;
}

struct Missing {
  size_t count = 0, first = 0;
};
Missing find_missing(const ZarrArray& array) {
  const size_t n_tiles = count_chunks(array);
  Missing missing;
  std::error_code error;
  for (size_t tile = 0; tile < n_tiles; ++tile)
    if (!fs::exists(chunk_path(array, tile), error) && missing.count++ == 0) missing.first = tile;
  return missing;
}

void swap_elements(TileBuffer& buffer, DType dtype) {
  const bool complex = dtype == DType::c64 || dtype == DType::c128;  // two numbers an element
  const auto width = static_cast<std::ptrdiff_t>(size_bytes(dtype) / (complex ? 2 : 1));
  for (auto it = buffer.begin(); it != buffer.end(); it += width) std::reverse(it, it + width);
}

}  // namespace

size_t ZarrArray::chunk_bytes() const {
  auto bytes = static_cast<size_t>(size_bytes(dtype));
  for (const int64_t extent : chunks) bytes *= static_cast<size_t>(extent);  // checked when parsed
  return bytes;
}

Shape ZarrArray::grid() const {
  Shape result(shape.size());
  for (size_t d = 0; d < shape.size(); ++d) result[d] = shape[d] / chunks[d] + (shape[d] % chunks[d] != 0);
  return result;
}

std::string ZarrArray::chunk_name(const Shape& chunk) const {
  return chunk.empty() ? "0" : fmt::format("{}", fmt::join(chunk, std::string_view(&separator, 1)));
}

ZarrArray parse_zarray(std::string_view text, const std::string& file, const Limits& limits) {
  const Json root = parse_json(text, {file, "zarr-metadata"});
  return ZarrayParser(root, file, limits).parse();
}

std::vector<Box> zarr_tiles(const ZarrArray& array) {
  const Shape grid = array.grid();
  const size_t n_tiles = count_chunks(array);
  std::vector<Box> boxes;
  boxes.reserve(n_tiles);
  for (size_t tile = 0; tile < n_tiles; ++tile) {
    Box box{chunk_at(grid, tile), array.chunks};
    for (size_t d = 0; d < grid.size(); ++d) {
      box.origin[d] *= array.chunks[d];
      box.extent[d] = std::min(array.chunks[d], array.shape[d] - box.origin[d]);
    }
    boxes.push_back(std::move(box));
  }
  return boxes;
}

TileView load_zarr_tile(const ZarrArray& array, size_t tile, TileBuffer& buffer) {
  const std::string path = chunk_path(array, tile);
  std::error_code error;
  if (fs::status(path, error).type() == fs::file_type::not_found) {
    // Only a missing chunk means the fill value; a missing array does not.
    if (!fs::exists(fmt::format("{}/.zarray", array.folder), error))
      throw Error("io-read", BytePlace{array.folder, {}, {}}, "the array's folder disappeared while it was open");
    if (!array.fill) refuse_missing(array, fs::path(array.folder).filename().string(), tile, 1);
    buffer.assign(array.fill->begin(), array.fill->begin() + size_bytes(array.dtype));
    return {buffer.data(), std::vector<int64_t>(array.shape.size(), 0), -1, 0};  // every element is the same one
  }
  const MappedFile file(path);
  file.read([&] {
    switch (array.codec) {
      case ZarrCodec::raw: copy_raw(file, array.chunk_bytes(), buffer); break;
      case ZarrCodec::gzip: inflate_chunk(file, array.chunk_bytes(), true, buffer); break;
      case ZarrCodec::zlib: inflate_chunk(file, array.chunk_bytes(), false, buffer); break;
      case ZarrCodec::zstd: unpack_zstd_chunk(file, array.chunk_bytes(), buffer); break;
    }
    return true;
  });
  if (array.big_endian) swap_elements(buffer, array.dtype);
  return {buffer.data(), chunk_strides(array), -1, 0};
}

void visit_chunk_files(const ZarrArray& array, const std::function<void(const std::string& path)>& body) {
  const size_t n_tiles = count_chunks(array);
  for (size_t tile = 0; tile < n_tiles; ++tile) body(chunk_path(array, tile));
}

size_t missing_chunks(const ZarrArray& array) { return find_missing(array).count; }

void check_chunks(const ZarrArray& array, const std::string& name) {
  if (array.fill) return;
  if (const Missing missing = find_missing(array); missing.count > 0)
    refuse_missing(array, name, missing.first, missing.count);
}

}  // namespace remap::formats
