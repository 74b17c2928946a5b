// One zarr array: every encoding that is read, and every damage that is refused.
#include "formats/zarr.h"
#include "support/catch.h"
#include "support/source_values.h"
#include "support/temp_folder.h"
#include "support/zarr_array_source.h"
#include "support/zarr_files.h"

#include <functional>
#include <limits>

#include <blosc.h>
#include <bzlib.h>
#include <fmt/format.h>
#include <lz4.h>

using namespace remap;
using namespace remap::test;

namespace {

const std::string kGzip = R"({"id":"gzip","level":1})", kZstd = R"({"id":"zstd","level":1})",
                  kZlib = R"({"id":"zlib","level":1})";

struct OneArray : ZarrArraySource {
  OneArray(const TempFolder& folder, const Zarray& zarray, const Limits& limits = {})
      : ZarrArraySource(folder.path(), formats::parse_zarray(zarray.json(), folder.path(".zarray"), limits)) {
    folder.write(".zarray", zarray.json());
  }
};

std::vector<float> floats(const Source& source) { return tensor_values<float>(source, "a"); }

Zarray with(const std::function<void(Zarray&)>& change) {
  Zarray zarray;
  change(zarray);
  return zarray;
}

}  // namespace

TEST_CASE("a chunk is read raw, by gzip, zlib and zstd") {
  const std::string data = bytes_of_values<float>({1, -2});
  const std::pair<std::string, std::string> rows[] = {
      {"null", data},
      {kGzip, gzip_bytes(data)},
      {kGzip, gzip_bytes(data.substr(0, 3)) + gzip_bytes(data.substr(3))},
      {kGzip, gzip_bytes("") + gzip_bytes(data) + gzip_bytes("")},
      {kZlib, deflate_bytes(data, 15)},
      {kZstd, zstd_bytes(data)},
      {kZstd, zstd_bytes(data.substr(0, 3)) + zstd_bytes(data.substr(3))},
  };
  for (const auto& [compressor, chunk] : rows) {
    INFO(compressor);
    const TempFolder folder;
    folder.write("0", chunk);
    CHECK(floats(OneArray(folder, with([&](Zarray& z) { z.compressor = compressor; }))) == std::vector<float>{1, -2});
  }
}

TEST_CASE("edges are cropped, chunks are named by their place") {
  // 3 x 5 in chunks of 2 x 2: element (i, j) is 10 i + j; the padding is 99 and must not appear.
  for (const char* separator : {".", "/"}) {
    for (const std::string& order : std::vector<std::string>{"C", "F"}) {
      INFO(separator << order);
      const TempFolder folder;
      const OneArray source(folder, with([&](Zarray& z) {
                              z.shape = "[3,5]";
                              z.chunks = "[2,2]";
                              z.order = '"' + order + '"';
                              z.separator = fmt::format("\"{}\"", separator);
                              z.compressor = kGzip;
                            }));
      for (int ci = 0; ci < 2; ++ci)
        for (int cj = 0; cj < 3; ++cj) {
          std::vector<float> chunk(4, 99);
          for (int i = 2 * ci; i < std::min(3, 2 * ci + 2); ++i)
            for (int j = 2 * cj; j < std::min(5, 2 * cj + 2); ++j)
              chunk[static_cast<size_t>(order == "C" ? (i % 2) * 2 + j % 2 : i % 2 + (j % 2) * 2)] =
                  static_cast<float>(10 * i + j);
          folder.write(fmt::format("{}{}{}", ci, separator, cj), gzip_bytes(bytes_of_values(chunk)));
        }
      std::vector<float> expected;
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 5; ++j) expected.push_back(static_cast<float>(10 * i + j));
      CHECK(floats(source) == expected);
      const auto boxes = source.tile_boxes(0);
      REQUIRE(boxes.size() == 6);
      CHECK(boxes[2] == Box{{0, 4}, {2, 1}});
      CHECK(boxes[5] == Box{{2, 4}, {1, 1}});
    }
  }
}

TEST_CASE("a chunk may be larger than its array, and an array have no elements") {
  const TempFolder folder;
  folder.write("0", bytes_of_values<float>({1, 2, 3, 4}));
  CHECK(floats(OneArray(folder, with([](Zarray& z) { z.shape = "[3]", z.chunks = "[4]"; }))) ==
        std::vector<float>{1, 2, 3});
  CHECK(OneArray(folder, with([](Zarray& z) { z.shape = "[0]", z.chunks = "[4]"; })).tile_boxes(0).empty());
  CHECK(OneArray(folder, with([](Zarray& z) { z.shape = "[2,0]", z.chunks = "[2,0]"; })).tile_boxes(0).empty());
}

TEST_CASE("a 0-d array has the chunk 0") {
  const TempFolder folder;
  folder.write("0", bytes_of_values<float>({7}));
  CHECK(floats(OneArray(folder, with([](Zarray& z) { z.shape = "[]", z.chunks = "[]"; }))) == std::vector<float>{7});
}

TEST_CASE("every dtype is read, big-endian ones are turned round") {
  struct Row {
    const char* spelling;
    DType dtype;
    std::string stored, loaded;
  };
  const Row rows[] = {
      {"|b1", DType::boolean, "\1", "\1"},
      {"|u1", DType::u8, "\xfe", "\xfe"},
      {"|i1", DType::i8, "\xfe", "\xfe"},
      {"<i2", DType::i16, "ab", "ab"},
      {">i2", DType::i16, "ab", "ba"},
      {"<u2", DType::u16, "ab", "ab"},
      {">u4", DType::u32, "abcd", "dcba"},
      {"<i4", DType::i32, "abcd", "abcd"},
      {">i8", DType::i64, "abcdefgh", "hgfedcba"},
      {"<u8", DType::u64, "abcdefgh", "abcdefgh"},
      {">f2", DType::f16, "ab", "ba"},
      {">f4", DType::f32, "abcd", "dcba"},
      {"<f8", DType::f64, "abcdefgh", "abcdefgh"},
      {">c8", DType::c64, "abcdefgh", "dcbahgfe"},
      {">c16", DType::c128, "abcdefghABCDEFGH", "hgfedcbaHGFEDCBA"},
      {"bfloat16", DType::bf16, "ab", "ab"},
      {"float8_e4m3fn", DType::f8_e4m3, "a", "a"},
  };
  for (const Row& row : rows) {
    INFO(row.spelling);
    const TempFolder folder;
    folder.write("0", row.stored);
    const OneArray source(
        folder, with([&](Zarray& z) { z.shape = z.chunks = "[1]", z.dtype = '"' + std::string(row.spelling) + '"'; }));
    CHECK(source.manifest()[0].dtype == row.dtype);
    const auto bytes = tensor_bytes(source, "a");
    CHECK(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == row.loaded);
  }
}

TEST_CASE("a chunk without a file is the fill value, whatever its size") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  struct Row {
    const char* dtype;
    const char* fill;
    std::string element;
  };
  const Row rows[] = {
      {"<f4", "1.5", bytes_of_values<float>({1.5})},
      {"<f4", "-0.0", bytes_of_values<float>({-0.0f})},
      {">f4", "1", bytes_of_values<float>({1})},
      {"<f8", "\"NaN\"", bytes_of_values<double>({nan})},
      {"<f8", "\"-Infinity\"", bytes_of_values<double>({-infinity})},
      {"<f2", "1", bytes_of_values<uint16_t>({0x3c00})},
      {"<f2", "65504", bytes_of_values<uint16_t>({0x7bff})},
      {"<f2", "5.9604644775390625e-08", bytes_of_values<uint16_t>({0x0001})},
      {"<f2", "\"NaN\"", bytes_of_values<uint16_t>({0x7e00})},
      {"bfloat16", "-1.0", bytes_of_values<uint16_t>({0xbf80})},
      {"bfloat16", "\"Infinity\"", bytes_of_values<uint16_t>({0x7f80})},
      {"|b1", "true", std::string(1, '\1')},
      {"|i1", "-128", std::string(1, '\x80')},
      {"<u8", "18446744073709551615", std::string(8, '\xff')},
      {"<c8", "[1.0,\"NaN\"]", bytes_of_values<float>({1, std::numeric_limits<float>::quiet_NaN()})},
  };
  for (const Row& row : rows) {
    INFO(row.dtype << " " << row.fill);
    const TempFolder folder;
    const OneArray source(folder, with([&](Zarray& z) {
                            z.shape = "[1000,1000]", z.chunks = "[1000,1000]",
                            z.dtype = '"' + std::string(row.dtype) + '"', z.fill_value = row.fill;
                          }));
    TileBuffer buffer;
    const TileView view = source.load(0, 0, buffer);
    CHECK(std::string(reinterpret_cast<const char*>(view.data), row.element.size()) == row.element);
    CHECK(view.strides == std::vector<int64_t>{0, 0});
    CHECK(buffer.size() == row.element.size());
    CHECK(contains(formats::missing_chunks(source.array()).value_or(""), "1 chunk is not there"));
  }
}

TEST_CASE("an array that disappears is not an array of fill values") {
  const TempFolder folder;
  const OneArray source(folder, {});
  std::filesystem::remove(folder.path(".zarray"));
  TileBuffer buffer;
  CHECK(contains(error_of([&] { source.load(0, 0, buffer); }), "io-read"));
}

TEST_CASE("damaged chunks are refused, saying how") {
  const std::string data = bytes_of_values<float>({1, -2});
  std::string bad_crc = gzip_bytes(data), bad_body = zstd_bytes(data);
  bad_crc[bad_crc.size() - 8] ^= 1;
  bad_body[0] ^= 1;
  const std::string zeros(64 << 20, '\0');
  struct Row {
    const char* damage;
    std::string compressor, chunk;
    const char* error;
  };
  const Row rows[] = {
      {"raw, short", "null", data.substr(1), "zarr-chunk: the chunk has 7 bytes; 8 expected"},
      {"raw, long", "null", data + "!", "zarr-chunk: the chunk has 9 bytes; 8 expected"},
      {"raw, empty", "null", "", "the chunk has 0 bytes; 8 expected"},
      {"gzip, empty", kGzip, "", "gzip data ends early"},
      {"gzip, short inside", kGzip, gzip_bytes(data.substr(1)), "the chunk decodes to 7 bytes; 8 expected"},
      {"gzip, a byte too many", kGzip, gzip_bytes(data + "!"), "the chunk decodes to more than the 8 bytes expected"},
      {"gzip bomb", kGzip, gzip_bytes(zeros), "the chunk decodes to more than the 8 bytes expected"},
      {"gzip, second member too many", kGzip, gzip_bytes(data) + gzip_bytes("!"),
       "the chunk decodes to more than the 8 bytes expected"},
      {"gzip, checksum", kGzip, bad_crc, "gzip data is damaged: incorrect data check"},
      {"gzip, no trailer", kGzip, gzip_bytes(data).substr(0, gzip_bytes(data).size() - 4), "gzip data ends early"},
      {"gzip, trailing garbage", kGzip, gzip_bytes(data) + "garbage", "7 bytes follow the gzip data"},
      {"gzip, not gzip", kGzip, data, "gzip data is damaged"},
      {"gzip expected, zlib found", kGzip, deflate_bytes(data, 15), "gzip data is damaged"},
      {"zlib, trailing garbage", kZlib, deflate_bytes(data, 15) + "x", "1 bytes follow the zlib data"},
      {"zstd, empty", kZstd, "", "zstd data ends early"},
      {"zstd, cut", kZstd, zstd_bytes(data).substr(0, zstd_bytes(data).size() - 2), "zstd data ends early"},
      {"zstd, short inside", kZstd, zstd_bytes(data.substr(1)), "the chunk decodes to 7 bytes; 8 expected"},
      {"zstd bomb", kZstd, zstd_bytes(zeros), "the chunk decodes to more than the 8 bytes expected"},
      {"zstd, magic", kZstd, bad_body, "zstd data is damaged"},
      {"zstd, trailing garbage", kZstd, zstd_bytes(data) + "garbage", "zstd data is damaged"},
  };
  for (const Row& row : rows) {
    INFO(row.damage);
    const TempFolder folder;
    folder.write("0", row.chunk);
    const OneArray source(folder, with([&](Zarray& z) { z.compressor = row.compressor; }));
    TileBuffer buffer;
    const auto error = error_of([&] { source.load(0, 0, buffer); });
    INFO(error);
    CHECK(contains(error, row.error));
    CHECK(buffer.capacity() < 1'000'000);
  }
}

TEST_CASE("any one byte of a compressed chunk changed or the rest cut off gives the chunk or an Error") {
  std::vector<float> values(100);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * i % 7);
  const std::string data = bytes_of_values(values);
  const std::pair<std::string, std::string> rows[] = {
      {kGzip, gzip_bytes(data.substr(0, 150)) + gzip_bytes(data.substr(150))}, {kZlib, deflate_bytes(data, 15)}};
  const TempFolder folder;
  for (const auto& [compressor, whole] : rows) {
    const OneArray source(folder, with([&, &id = compressor](Zarray& z) {
                            z.shape = z.chunks = "[100]";
                            z.compressor = id;
                          }));
    const auto good_or_refused = [&](const std::string& chunk) {
      folder.write("0", chunk);
      std::vector<float> read;
      const std::string error = error_of([&] { read = floats(source); });
      return read == values || contains(error, "zarr-chunk: ");
    };
    for (size_t at = 0; at < whole.size(); ++at) {
      INFO(compressor << " byte " << at);
      for (const int bit : {0, 3, 7}) {
        std::string changed = whole;
        changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
        CHECK(good_or_refused(changed));
      }
      folder.write("0", whole.substr(0, at));
      CHECK(contains(error_of([&] { floats(source); }), "zarr-chunk: "));
    }
  }
}

TEST_CASE("memory grows with what a chunk holds, not with what it promises") {
  const TempFolder folder;
  folder.write("0", gzip_bytes("few"));
  const OneArray source(folder, with([](Zarray& z) { z.shape = z.chunks = "[500000000]", z.compressor = kGzip; }));
  TileBuffer buffer;
  CHECK(contains(error_of([&] { source.load(0, 0, buffer); }), "decodes to 3 bytes; 2000000000 expected"));
  CHECK(buffer.capacity() < 1'000'000);
}

TEST_CASE("a buffer that served a larger chunk serves a smaller one") {
  const TempFolder folder;
  folder.write("0", gzip_bytes(bytes_of_values<float>({1, -2})));
  const OneArray source(folder, with([](Zarray& z) { z.compressor = kGzip; }));
  TileBuffer buffer(1000);
  source.load(0, 0, buffer);
  CHECK(buffer.size() == 8);
}

TEST_CASE("a .zarray that is wrong, or asks for what is not read, is refused by name") {
  struct Row {
    std::function<void(Zarray&)> change;
    const char* error;
  };
  const Row rows[] = {
      {[](Zarray& z) { z.format = "3"; }, "zarr-unsupported: zarr_format is 3; version 2 is read of a .zarray"},
      {[](Zarray& z) { z.compressor = R"({"id":"lzma"})"; },
       "zarr-unsupported: the compressor 'lzma' is not read; blosc, bz2, gzip, lz4, zlib, zstd and none are"},
      {[](Zarray& z) { z.compressor = R"("gzip")"; }, "zarr-metadata: 'compressor' is neither"},
      {[](Zarray& z) { z.filters = R"([{"id":"delta"}])"; },
       "zarr-unsupported: filters [{\"id\":\"delta\"}] are not read"},
      {[](Zarray& z) { z.dtype = "\"<f3\""; }, "zarr-unsupported: the dtype \"<f3\" is not read"},
      {[](Zarray& z) { z.dtype = "\"|f4\""; }, "the dtype \"|f4\" is not read"},
      {[](Zarray& z) { z.dtype = "\"|O\""; }, "the dtype \"|O\" is not read"},
      {[](Zarray& z) { z.dtype = R"([["a","<f4"]])"; }, "the dtype [[\"a\",\"<f4\"]] is not read"},
      {[](Zarray& z) { z.order = "\"A\""; }, "zarr-metadata: order is \"A\""},
      {[](Zarray& z) { z.separator = "\"-\""; }, "dimension_separator is \"-\""},
      {[](Zarray& z) { z.chunks = "[0]"; }, "zarr-metadata: chunks [0] have no elements"},
      {[](Zarray& z) { z.shape = "[2,2]", z.chunks = "[1,0]"; }, "zarr-metadata: chunks [1,0] have no elements"},
      {[](Zarray& z) { z.chunks = "[1,2]"; }, "differ in the number of dimensions"},
      {[](Zarray& z) { z.shape = "[-1]"; }, "'shape' holds -1, which is not a size"},
      {[](Zarray& z) { z.shape = "[2.5]"; }, "'shape' holds 2.5, which is not a size"},
      {[](Zarray& z) { z.shape = "2"; }, "'shape' is 2; an array of sizes was expected"},
      {[](Zarray& z) { z.chunks = "[1099511627776]"; },
       "limit-exceeded: a chunk of [1099511627776] float32 is larger than"},
      {[](Zarray& z) { z.shape = "[4611686018427387904]"; }, "tensor-shape-overflow"},
      {[](Zarray& z) {
         z.shape = "[100000000]";
         z.chunks = "[1]";
       },
       "limit-exceeded: shape [100000000] in chunks of [1] makes more than"},
      {[](Zarray& z) {
         z.shape = z.chunks =
             "[" +
             std::string(66, '1').replace(1, 64, ",1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1") +
             "]";
       },
       "limit-exceeded: "},
      {[](Zarray& z) { z.fill_value = "\"AAAA\""; }, "zarr-unsupported: fill_value \"AAAA\" is not read for float32"},
      {[](Zarray& z) { z.dtype = "\"|u1\"", z.fill_value = "256"; }, "fill_value 256 is not read for uint8"},
      {[](Zarray& z) { z.dtype = "\"<f2\"", z.fill_value = "0.1"; }, "fill_value 0.1 is not read for float16"},
      {[](Zarray& z) { z.order = "\"C\",\"order\":\"C\""; }, "zarr-metadata: the key 'order' occurs twice"},
      {[](Zarray& z) { z.order = ""; }, "zarr-metadata: not valid JSON"},
  };
  for (const Row& row : rows) {
    const Zarray zarray = with(row.change);
    INFO(zarray.json());
    const auto error = error_of([&] { formats::parse_zarray(zarray.json(), ".zarray", {}); });
    INFO(error);
    CHECK(contains(error, row.error));
  }
  for (const char* name : {"chunks", "compressor", "dtype", "fill_value", "filters", "order", "shape", "zarr_format"}) {
    Json json = Json::parse(Zarray().json());
    json.erase(name);
    CHECK(contains(error_of([&] { formats::parse_zarray(json.dump(), ".zarray", {}); }),
                   fmt::format("zarr-metadata: '{}' is missing", name)));
  }
}

TEST_CASE("chunks of blosc, bz2 and lz4 are read, and damage is refused") {
  std::vector<float> values(3000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i / 7);
  const std::string data = bytes_of_values(values);
  const auto blosc = [&](std::string_view bytes, const char* packer, int shuffle) {
    std::string out(bytes.size() + BLOSC_MAX_OVERHEAD, '\0');
    const int size =
        blosc_compress_ctx(5, shuffle, sizeof(float), bytes.size(), bytes.data(), out.data(), out.size(), packer, 0, 1);
    REQUIRE(size > 0);
    return out.substr(0, static_cast<size_t>(size));
  };
  const auto bz2 = [](std::string bytes) {
    std::string out(bytes.size() + 1000, '\0');
    auto size = static_cast<unsigned>(out.size());
    REQUIRE(BZ2_bzBuffToBuffCompress(out.data(), &size, bytes.data(), static_cast<unsigned>(bytes.size()), 1, 0, 0) ==
            BZ_OK);
    return out.substr(0, size);
  };
  const auto lz4 = [](std::string_view bytes, uint32_t claimed) {
    std::string out(static_cast<size_t>(LZ4_compressBound(static_cast<int>(bytes.size()))), '\0');
    const int size =
        LZ4_compress_default(bytes.data(), out.data(), static_cast<int>(bytes.size()), static_cast<int>(out.size()));
    return std::string(reinterpret_cast<const char*>(&claimed), 4) + out.substr(0, static_cast<size_t>(size));
  };
  const auto size = static_cast<uint32_t>(data.size());
  const std::string kBlosc = R"({"id":"blosc"})", kBz2 = R"({"id":"bz2"})", kLz4 = R"({"id":"lz4"})";
  struct Row {
    const char* what;
    std::string compressor, chunk;
    const char* error;
  };
  std::string damaged_blosc = blosc(data, "lz4", 1), damaged_bz2 = bz2(data), damaged_lz4 = lz4(data, size);
  damaged_blosc[20] ^= 0x55;  // where the first block begins
  damaged_bz2[40] ^= 1;
  for (size_t i = 8; i < 30; ++i) damaged_lz4[i] = '\xff';
  const Row rows[] = {
      {"blosc, lz4, bytes shuffled", kBlosc, blosc(data, "lz4", BLOSC_SHUFFLE), ""},
      {"blosc, zstd, bits shuffled", kBlosc, blosc(data, "zstd", BLOSC_BITSHUFFLE), ""},
      {"blosc, zlib", kBlosc, blosc(data, "zlib", BLOSC_NOSHUFFLE), ""},
      {"blosc, blosclz", kBlosc, blosc(data, "blosclz", BLOSC_SHUFFLE), ""},
      {"blosc, empty", kBlosc, "", "zarr-chunk: blosc data ends early"},
      {"blosc, cut", kBlosc, blosc(data, "lz4", 1).substr(0, 100), "the header of the blosc data is damaged"},
      {"blosc, too short inside", kBlosc, blosc(data.substr(4), "lz4", 1), "decodes to 11996 bytes; 12000 expected"},
      {"blosc, too long inside", kBlosc, blosc(data + "1234", "lz4", 1), "decodes to 12004 bytes; 12000 expected"},
      {"blosc, damaged", kBlosc, damaged_blosc, "zarr-chunk: blosc data"},
      {"bz2", kBz2, bz2(data), ""},
      {"bz2, two streams", kBz2, bz2(data.substr(0, 5000)) + bz2(data.substr(5000)), ""},
      {"bz2, empty", kBz2, "", "bzip2 data ends early"},
      {"bz2, cut", kBz2, bz2(data).substr(0, 50), "bzip2 data ends early"},
      {"bz2, too long inside", kBz2, bz2(data + "!"), "decodes to more than the 12000 bytes expected"},
      {"bz2, damaged", kBz2, damaged_bz2, "bzip2 data is damaged"},
      {"bz2, trailing garbage", kBz2, bz2(data) + "garbage", "bzip2 data is damaged"},
      {"lz4", kLz4, lz4(data, size), ""},
      {"lz4, no header", kLz4, "abc", "lz4 data ends early"},
      {"lz4, another size", kLz4, lz4(data, size + 4), "says that it decodes to 12004 bytes; 12000 expected"},
      {"lz4, too short inside", kLz4, lz4(data.substr(4), size), "decodes to 11996 bytes; 12000 expected"},
      {"lz4, too long inside", kLz4, lz4(data + "1234", size), "lz4 data is damaged"},
      {"lz4, damaged", kLz4, damaged_lz4, "lz4 data is damaged"},
      {"lz4 that cannot hold it", kLz4, lz4("", size), "cannot hold 12000"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const TempFolder folder;
    folder.write("0", row.chunk);
    const OneArray source(folder, with([&](Zarray& z) {
                            z.shape = z.chunks = "[3000]";
                            z.compressor = row.compressor;
                          }));
    std::vector<float> read;
    const std::string error = error_of([&] { read = floats(source); });
    INFO(error);
    if (std::string_view(row.error).empty())
      CHECK(read == values);
    else
      CHECK(contains(error, row.error));
  }
}
