// Arrays of numpy's, built by name: orders of bytes and of elements, and what is not an array of numbers.
#include "support/catch.h"
#include "support/source_values.h"
#include "support/temp_folder.h"

#include <algorithm>
#include <complex>

#include <fmt/format.h>

using namespace remap;
using namespace remap::test;
using namespace std::string_literals;

namespace {

// numpy's file of an array, version 1.
std::string npy(const std::string& descr, bool column_major, const std::string& shape, const std::string& data) {
  std::string header =
      fmt::format("{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}", descr, column_major ? "True" : "False", shape);
  header += std::string(63 - (10 + header.size()) % 64, ' ') + "\n";
  const size_t n = header.size();
  return "\x93NUMPY\x01" + std::string(1, '\0') + static_cast<char>(n & 0xff) + static_cast<char>(n >> 8) + header +
         data;
}

template <typename T>
std::string bytes_of(const std::vector<T>& numbers, bool big_endian, size_t width = sizeof(T)) {
  std::string out(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(T));
  for (size_t at = 0; big_endian && at < out.size(); at += width)
    std::reverse(out.begin() + static_cast<std::ptrdiff_t>(at), out.begin() + static_cast<std::ptrdiff_t>(at + width));
  return out;
}

// The one tensor of the file, as `inspect` lists it.
std::string listed(const Source& source) {
  const TensorInfo& tensor = source.manifest()[0];
  return fmt::format("{} {} {}{}", tensor.key, dtype_text(tensor), shape_text(tensor),
                     tensor.unread == nullptr ? "" : ", " + tensor.unread->why);
}

template <typename T>
void check_order(const char* code, const char* dtype, const std::vector<T>& rows, size_t width = sizeof(T)) {
  // A column-major array has the same elements column by column.
  std::vector<T> columns;
  for (size_t c = 0; c < 3; ++c)
    for (size_t r = 0; r < 2; ++r) columns.push_back(rows[3 * r + c]);
  for (const bool big_endian : {false, true})
    for (const bool column_major : {false, true}) {
      INFO(code << (big_endian ? ", big-endian" : "") << (column_major ? ", column-major" : ""));
      const TempFolder folder;
      const std::string descr = fmt::format("'{}{}'", big_endian ? '>' : '<', code);
      const auto source = open_source(folder.write(
          "w.npy", npy(descr, column_major, "(2, 3)", bytes_of(column_major ? columns : rows, big_endian, width))));
      CHECK(listed(*source) == fmt::format("w {} [2,3]", dtype));
      CHECK(tensor_values<T>(*source, "w") == rows);
      // A column of the middle, by region.
      TileBuffer scratch;
      std::vector<T> part(2);
      read_box(*source, 0, {{0, 1}, {2, 1}}, reinterpret_cast<std::byte*>(part.data()), scratch);
      CHECK(part == std::vector<T>{rows[1], rows[4]});
    }
}

}  // namespace

TEST_CASE("arrays of either order of bytes and of elements have the same values") {
  check_order<float>("f4", "F32", {1, -2, 3.5F, 4, 5, 6});
  check_order<double>("f8", "F64", {1, -2, 3.5, 4, 5, 6});
  check_order<int16_t>("i2", "I16", {1, -2, 3, 4, 5, 256});
  check_order<uint16_t>("u2", "U16", {1, 2, 3, 4, 5, 65535});
  check_order<uint32_t>("u4", "U32", {1, 2, 3, 4, 5, 1U << 31});
  check_order<int64_t>("i8", "I64", {1, -2, 3, 4, 5, int64_t{1} << 40});
  check_order<uint64_t>("u8", "U64", {1, 2, 3, 4, 5, uint64_t{1} << 63});
  check_order<int8_t>("i1", "I8", {1, -2, 3, 4, 5, 6}, 1);
  check_order<std::complex<float>>("c8", "C64", {{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 1}, {2, 3}}, 4);
  check_order<std::complex<double>>("c16", "C128", {{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 1}, {2, 3}}, 8);
}

TEST_CASE("a large big-endian array is served in parts, so that memory stays bounded") {
  const int64_t rows = 5, columns = 1 << 19;
  std::vector<float> numbers(static_cast<size_t>(rows * columns));
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i);
  const TempFolder folder;
  const auto source = open_source(
      folder.write("w.npy", npy("'>f4'", false, fmt::format("({}, {})", rows, columns), bytes_of(numbers, true))));
  const auto tiles = source->tile_boxes(0);
  CHECK(tiles.size() > 1);
  for (const Box& tile : tiles) CHECK(element_count(tile.extent) <= (1 << 20));
  CHECK_FALSE(source->in_place(0));
  CHECK(tensor_values<float>(*source, "w") == numbers);
}

TEST_CASE("scalars, and arrays without elements, of any order") {
  struct Row {
    const char *descr, *shape;
    std::string data;
    const char* listed;
  };
  const Row rows[] = {
      {"'>f4'", "()", bytes_of<float>({2.5F}, true), "w F32 []"},
      {"'>f8'", "(0, 3)", "", "w F64 [0,3]"},
      {"'<i4'", "(2, 0)", "", "w I32 [2,0]"},
      {"'|b1'", "(2,)", "\1"s + '\0', "w BOOL [2]"},
      {"'>b1'", "(2,)", "\1"s + '\0', "w BOOL [2]"},
      {"'f4'", "(1,)", bytes_of<float>({1}, false), "w F32 [1]"},
      {"'=i2'", "(1,)", bytes_of<int16_t>({1}, false), "w I16 [1]"},
  };
  for (const Row& row : rows) {
    INFO(row.descr << " " << row.shape);
    const TempFolder folder;
    const auto source = open_source(folder.write("w.npy", npy(row.descr, false, row.shape, row.data)));
    CHECK(listed(*source) == row.listed);
    CHECK_NOTHROW(tensor_bytes(*source, "w"));
  }
}

TEST_CASE("what is not an array of numbers is listed, with the reason that it is not read") {
  struct Row {
    const char *descr, *listed;
  };
  const Row rows[] = {
      {"[('a', '<f4'), ('b', '>i4', (2,))]", "w ? [1], a numpy array of records"},
      {"[('a', [('b', '<f4')])]", "w ? [1], a numpy array of records"},
      {"'|O'", "w |O [1], a numpy array of Python objects"},
      {"'<U3'", "w <U3 [1], a numpy array of strings"},
      {"'>S3'", "w >S3 [1], a numpy array of strings"},
      {"'|V2'", "w |V2 [1], a numpy array of '|V2': numpy does not say which type that is (bfloat16 is saved as V2)"},
      {"'>f16'", "w >f16 [1], a numpy array of '>f16'"},
      {"'<M8'", "w <M8 [1], a numpy array of '<M8'"},
  };
  for (const Row& row : rows) {
    INFO(row.descr);
    const TempFolder folder;
    const auto source = open_source(folder.write("w.npy", npy(row.descr, false, "(1,)", std::string(16, 'x'))));
    CHECK(listed(*source) == row.listed);
    CHECK_THROWS_AS(tensor_bytes(*source, "w"), Error);
  }
}

TEST_CASE("an array has the bytes that its shape asks for, in either order") {
  for (const char* descr : {"'<f4'", "'>f4'"}) {
    const TempFolder folder;
    const auto path = folder.write("w.npy", npy(descr, false, "(2, 2)", std::string(15, 'x')));
    CHECK(contains(error_of([&] { open_source(path); }), "needs 16 bytes; there are 15"));
  }
}
