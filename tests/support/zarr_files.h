// Builds zarr arrays and T5X's msgpack, well-formed or not, for tests.
#pragma once

#include <zlib.h>
#include <zstd.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace remap::test {

// `window` as zlib has it: 15 for zlib's own form, 31 for gzip.
inline std::string deflate_bytes(std::string_view bytes, int window) {
  z_stream stream = {};
  if (deflateInit2(&stream, 1, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("deflateInit2");
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) throw std::runtime_error("deflate");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}
inline std::string gzip_bytes(std::string_view bytes) { return deflate_bytes(bytes, 31); }
inline std::string zstd_bytes(std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 1));
  return out;
}

template <typename T>
std::string bytes_of_values(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// The fields of a .zarray, as JSON texts; a test replaces those it is about.
struct Zarray {
  std::string shape = "[2]", chunks = "[2]", dtype = "\"<f4\"", compressor = "null", fill_value = "null",
              filters = "null", order = "\"C\"";
  std::string separator = "\".\"", format = "2";
  std::string json() const {
    return R"({"chunks":)" + chunks + R"(,"compressor":)" + compressor + R"(,"dimension_separator":)" + separator +
           R"(,"dtype":)" + dtype + R"(,"fill_value":)" + fill_value + R"(,"filters":)" + filters + R"(,"order":)" +
           order + R"(,"shape":)" + shape + R"(,"zarr_format":)" + format + "}";
  }
};

// msgpack, in the shortest form of each value.
namespace msgpack {

inline std::string big_endian(uint64_t value, int n_bytes) {
  std::string out;
  for (int i = n_bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i));
  return out;
}
inline std::string nil() { return "\xc0"; }
inline std::string boolean(bool value) { return value ? "\xc3" : "\xc2"; }
inline std::string integer(uint64_t value) {
  return value < 128 ? big_endian(value, 1) : "\xcf" + big_endian(value, 8);
}
inline std::string real(double value) {
  uint64_t bits;
  static_assert(sizeof bits == sizeof value);
  __builtin_memcpy(&bits, &value, sizeof bits);
  return "\xcb" + big_endian(bits, 8);
}
inline std::string text(std::string_view value) {
  return (value.size() < 32 ? big_endian(0xa0 + value.size(), 1) : "\xda" + big_endian(value.size(), 2)) +
         std::string(value);
}
inline std::string binary(std::string_view value) { return "\xc6" + big_endian(value.size(), 4) + std::string(value); }
inline std::string extension(int type, std::string_view payload) {
  return "\xc9" + big_endian(payload.size(), 4) + static_cast<char>(type) + std::string(payload);
}
inline std::string array(const std::vector<std::string>& items) {
  std::string out = "\xdc" + big_endian(items.size(), 2);
  for (const auto& item : items) out += item;
  return out;
}
inline std::string map(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string out = "\xde" + big_endian(members.size(), 2);
  for (const auto& [key, value] : members) out += text(key) + value;
  return out;
}
// flax's array; extension 3 is a numpy scalar.
inline std::string ndarray(const std::vector<uint64_t>& shape, std::string_view dtype, std::string_view data,
                           int type = 1) {
  std::vector<std::string> dims;
  for (const uint64_t dim : shape) dims.push_back(integer(dim));
  return extension(type, array({array(dims), text(dtype), binary(data)}));
}

}  // namespace msgpack

}  // namespace remap::test
