// zarr 3: codecs in chains, transposes, shards in shards, fill values; what is wrong is refused by name.
#include "base/crc32c.h"
#include "formats/zarr.h"
#include "support/catch.h"
#include "support/source_values.h"
#include "support/temp_folder.h"
#include "support/zarr_array_source.h"
#include "support/zarr_files.h"

#include <functional>
#include <numeric>
#include <span>

#include <fmt/format.h>

using namespace remap;
using namespace remap::test;

namespace {

const char* const kBytes = R"({"name":"bytes","configuration":{"endian":"little"}})";
const char* const kIndexCodecs = R"([{"name":"bytes","configuration":{"endian":"little"}},{"name":"crc32c"}])";

// The fields of a zarr.json that a test is about, as JSON texts.
struct ZarrJson {
  std::string shape = "[2]", chunk = "[2]", type = "float32", fill = "0", codecs = std::string("[") + kBytes + "]";
  std::string keys = R"({"name":"default"})", more = "";
  std::string json() const {
    return fmt::format(
        R"({{"zarr_format":3,"node_type":"array","shape":{},"data_type":"{}","chunk_grid":{{"name":"regular",)"
        R"("configuration":{{"chunk_shape":{}}}}},"chunk_key_encoding":{},"fill_value":{},"codecs":{}{}}})",
        shape, type, chunk, keys, fill, codecs, more);
  }
};

ZarrJson with(const std::function<void(ZarrJson&)>& change) {
  ZarrJson json;
  change(json);
  return json;
}

struct OneArray : ZarrArraySource {
  OneArray(const TempFolder& folder, const ZarrJson& json)
      : ZarrArraySource(folder.path(), *formats::parse_zarr_json(json.json(), folder.path("zarr.json"), {})) {
    folder.write("zarr.json", json.json());
  }
};

std::vector<float> floats(const Source& source) { return tensor_values<float>(source, "a"); }

std::string with_sum(std::string bytes) {
  const uint32_t sum = crc32c(std::as_bytes(std::span(bytes)));
  return bytes + std::string(reinterpret_cast<const char*>(&sum), sizeof sum);
}
std::string number(uint64_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }

// A shard of these chunks; an empty one is absent.
std::string shard(const std::vector<std::string>& chunks, bool index_at_end = true, bool sum = true) {
  std::string body, index;
  const size_t index_bytes = 16 * chunks.size() + (sum ? 4 : 0);
  for (const auto& chunk : chunks) {
    index += chunk.empty() ? number(~uint64_t{0}) + number(~uint64_t{0})
                           : number(body.size() + (index_at_end ? 0 : index_bytes)) + number(chunk.size());
    body += chunk;
  }
  if (sum) index = with_sum(index);
  return index_at_end ? body + index : index + body;
}
std::string sharding(const std::string& chunk, const std::string& codecs, const std::string& more = "") {
  return fmt::format(
      R"([{{"name":"sharding_indexed","configuration":{{"chunk_shape":{},"codecs":{},"index_codecs":{}{}}}}}])", chunk,
      codecs, kIndexCodecs, more);
}

}  // namespace

TEST_CASE("chunks are found under every kind of key") {
  struct Row {
    const char *shape, *keys, *file;
  };
  const Row rows[] = {
      {"[2]", R"({"name":"default"})", "c/0"},
      {"[1,2]", R"({"name":"default","configuration":{"separator":"."}})", "c.0.0"},
      {"[1,2]", R"("default")", "c/0/0"},
      {"[1,2]", R"({"name":"v2"})", "0.0"},
      {"[1,2]", R"({"name":"v2","configuration":{"separator":"/"}})", "0/0"},
  };
  for (const Row& row : rows) {
    INFO(row.keys);
    const TempFolder folder;
    folder.write(row.file, bytes_of_values<float>({1, 2}));
    CHECK(floats(OneArray(folder, with([&](ZarrJson& z) { z.shape = z.chunk = row.shape, z.keys = row.keys; }))) ==
          std::vector<float>{1, 2});
  }
  for (const auto& [keys, file] : {std::pair(R"({"name":"default"})", "c"), std::pair(R"({"name":"v2"})", "0")}) {
    const TempFolder folder;
    folder.write(file, bytes_of_values<float>({7}));
    CHECK(floats(OneArray(folder, with([&, &k = keys](ZarrJson& z) { z.shape = z.chunk = "[]", z.keys = k; }))) ==
          std::vector<float>{7});
  }
}

TEST_CASE("codecs are undone from the last to the first") {
  const std::string data = bytes_of_values<float>({1, -2});
  const std::string gzip = R"({"name":"gzip","configuration":{"level":1}})", sum = R"({"name":"crc32c"})";
  const std::pair<std::string, std::string> rows[] = {
      {sum, with_sum(data)},
      {gzip, gzip_bytes(data)},
      {gzip + "," + sum, with_sum(gzip_bytes(data))},
      {sum + "," + gzip, gzip_bytes(with_sum(data))},
      {sum + "," + gzip + "," + sum + "," + sum, with_sum(with_sum(gzip_bytes(with_sum(data))))},
      {R"("zstd")", zstd_bytes(data)},
      {R"({"name":"numcodecs.zlib"})", deflate_bytes(data, 15)},
  };
  for (const auto& [codecs, chunk] : rows) {
    INFO(codecs);
    const TempFolder folder;
    const OneArray source(folder,
                          with([&, &c = codecs](ZarrJson& z) { z.codecs = fmt::format("[{},{}]", kBytes, c); }));
    folder.write("c/0", chunk);
    CHECK(floats(source) == std::vector<float>{1, -2});
    for (size_t at = 0; at < chunk.size(); ++at) {
      std::string damaged = chunk;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
      folder.write("c/0", damaged);
      std::vector<float> read;
      const std::string error = error_of([&] { read = floats(source); });
      CHECK(
          (contains(error, "zarr-chunk: ") || read == std::vector<float>{1, -2} || codecs.find("zstd") != codecs.npos));
    }
  }
}

TEST_CASE("axes are turned back, one transpose after another") {
  // 2 x 3 x 4 in one chunk: element (i, j, k) is 100 i + 10 j + k.
  const auto value = [](int i, int j, int k) { return static_cast<float>(100 * i + 10 * j + k); };
  std::vector<float> expected, once, twice;
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 4; ++k) expected.push_back(value(i, j, k));
  for (int k = 0; k < 4; ++k)  // order [2,0,1]
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 3; ++j) once.push_back(value(i, j, k));
  for (int j = 0; j < 3; ++j)  // and then [2,0,1] again: axes 1, 2, 0
    for (int k = 0; k < 4; ++k)
      for (int i = 0; i < 2; ++i) twice.push_back(value(i, j, k));
  const std::string transpose = R"({"name":"transpose","configuration":{"order":[2,0,1]}},)";
  for (const auto& [codecs, chunk] : {std::pair(transpose, once), std::pair(transpose + transpose, twice)}) {
    const TempFolder folder;
    folder.write("c/0/0/0", bytes_of_values(chunk));
    const OneArray source(folder, with([&, &c = codecs](ZarrJson& z) {
                            z.shape = z.chunk = "[2,3,4]";
                            z.codecs = "[" + c + kBytes + "]";
                          }));
    CHECK(floats(source) == expected);
  }
}

TEST_CASE("shards: chunks inside, absent ones, edges, shards in shards, axes turned round") {
  // 5 x 4 in shards of 4 x 4 of chunks of 2 x 2: element (i, j) is 10 i + j.
  const auto value = [](int i, int j) { return static_cast<float>(10 * i + j); };
  const auto chunk = [&](int row, int column) {
    return bytes_of_values<float>(
        {value(row, column), value(row, column + 1), value(row + 1, column), value(row + 1, column + 1)});
  };
  std::vector<float> expected;
  for (int i = 0; i < 5; ++i)
    for (int j = 0; j < 4; ++j) expected.push_back(i < 2 && j >= 2 ? -1.5f : value(i, j));
  for (const bool at_end : {true, false}) {
    const TempFolder folder;
    folder.write("c/0/0", shard({chunk(0, 0), "", chunk(2, 0), chunk(2, 2)}, at_end));
    folder.write("c/1/0", shard({chunk(4, 0), chunk(4, 2), "", ""}, at_end));
    const OneArray source(folder, with([&](ZarrJson& z) {
                            z.shape = "[5,4]", z.chunk = "[4,4]", z.fill = "-1.5";
                            z.codecs = sharding("[2,2]", std::string("[") + kBytes + "]",
                                                at_end ? "" : R"(,"index_location":"start")");
                          }));
    CHECK(source.tile_boxes(0).size() == 6);
    CHECK(source.tile_boxes(0)[5] == Box{{4, 2}, {1, 2}});
    CHECK(floats(source) == expected);
  }
  {  // a shard of 4 x 4 of shards of 2 x 4, stored 4 x 2, of chunks of 2 x 2 of that
    const TempFolder folder;
    std::vector<std::string> inner;
    for (int top = 0; top < 4; top += 2) {
      std::vector<std::string> chunks;
      for (int left = 0; left < 4; left += 2)
        chunks.push_back(zstd_bytes(bytes_of_values<float>(
            {value(top, left), value(top + 1, left), value(top, left + 1), value(top + 1, left + 1)})));
      inner.push_back(shard(chunks, false));
    }
    folder.write("c/0/0", shard(inner));
    std::string innermost = sharding("[2,2]", fmt::format(R"([{},"zstd"])", kBytes), R"(,"index_location":"start")");
    innermost = R"([{"name":"transpose","configuration":{"order":[1,0]}},)" + innermost.substr(1);
    const OneArray source(folder, with([&](ZarrJson& z) {
                            z.shape = z.chunk = "[4,4]";
                            z.codecs = sharding("[2,4]", innermost);
                          }));
    std::vector<float> whole;
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) whole.push_back(value(i, j));
    CHECK(source.tile_boxes(0).size() == 4);
    CHECK(floats(source) == whole);
  }
}

TEST_CASE("damaged shards are refused by name") {
  const std::string one = bytes_of_values<float>({1}), two = bytes_of_values<float>({2});
  const std::string good = shard({one, two});
  std::string sum = good, far = one + with_sum(number(0) + number(4) + number(4) + number(99)),
              wraps = one + with_sum(number(0) + number(4) + number(~uint64_t{0}) + number(8));
  sum[9] ^= 1;
  const std::pair<std::string, const char*> rows[] = {
      {good, "nothing was thrown"},
      {good.substr(4), "chunk 1 of the shard has 4 bytes from byte 4, and chunks are in bytes 0 to 4"},
      {std::string(10, 'x'), "the shard has 10 bytes, and the index of its 2 chunks alone 36"},
      {"", "the shard has 0 bytes"},
      {sum, "the chunk's checksum (crc32c) is"},
      {far, "chunk 1 of the shard has 99 bytes from byte 4, and chunks"},
      {wraps, "chunk 1 of the shard has 8 bytes from byte 18446744073709551615"},
      {shard({one + one, two}), "the chunk has 8 bytes; 4 expected"},
  };
  for (const auto& [bytes, expected] : rows) {
    INFO(expected);
    const TempFolder folder;
    folder.write("c/0", bytes);
    const OneArray source(folder,
                          with([](ZarrJson& z) { z.codecs = sharding("[1]", std::string("[") + kBytes + "]"); }));
    const std::string error = error_of([&] { floats(source); });
    INFO(error);
    CHECK(contains(error, expected));
  }
}

TEST_CASE("fill values of version 3") {
  struct Row {
    const char *type, *fill;
    std::string element;
  };
  const Row rows[] = {
      {"float32", "\"0x7fc00001\"", std::string("\x01\x00\xc0\x7f", 4)},
      {"float32", "\"-Infinity\"", bytes_of_values<float>({-std::numeric_limits<float>::infinity()})},
      {"bfloat16", "\"0x3F80\"", std::string("\x80\x3f", 2)},
      {"float8_e4m3fn", "\"0x38\"", "\x38"},
      {"bool", "true", "\1"},
      {"complex64", "[1,\"NaN\"]", bytes_of_values<float>({1, std::numeric_limits<float>::quiet_NaN()})},
      {"uint64", "18446744073709551615", std::string(8, '\xff')},
  };
  for (const Row& row : rows) {
    INFO(row.type << row.fill);
    const TempFolder folder;
    const OneArray source(folder, with([&](ZarrJson& z) { z.type = row.type, z.fill = row.fill; }));
    TileBuffer buffer;
    const TileView view = source.load(0, 0, buffer);
    CHECK(std::string(reinterpret_cast<const char*>(view.data), row.element.size()) == row.element);
  }
}

TEST_CASE("a zarr.json that is wrong, or asks for what is not read, is refused by name") {
  const std::string codec_with = std::string("[") + kBytes + ",";
  struct Row {
    std::function<void(ZarrJson&)> change;
    const char* error;
  };
  const Row rows[] = {
      {[](ZarrJson& z) { z.type = "string"; }, "zarr-unsupported: the data_type \"string\" is not read"},
      {[](ZarrJson& z) { z.type = "half"; }, "the data_type \"half\" is not read"},
      {[](ZarrJson& z) { z.shape = "[2,2]"; }, "chunk_shape [2] and the array of 2 dimensions do not fit"},
      {[](ZarrJson& z) { z.shape = "[-2]"; }, "'shape' holds -2, which is not a size"},
      {[](ZarrJson& z) { z.chunk = "[0]"; }, "chunks [0] have no elements"},
      {[](ZarrJson& z) { z.chunk = "[1099511627776]"; }, "limit-exceeded: a chunk of [1099511627776] float32"},
      {[](ZarrJson& z) { z.keys = R"({"name":"other"})"; }, "the chunk_key_encoding 'other' is not read"},
      {[](ZarrJson& z) { z.keys = R"({"name":"v2","configuration":{"separator":"-"}})"; }, "the separator is \"-\""},
      {[](ZarrJson& z) { z.keys = "3"; }, "chunk_key_encoding is 3; an object with a 'name' was expected"},
      {[](ZarrJson& z) { z.fill = "\"0x7fc0\""; }, "fill_value \"0x7fc0\" is not read for float32"},
      {[](ZarrJson& z) { z.codecs = "[]"; }, "the codecs hold none that makes bytes"},
      {[](ZarrJson& z) { z.codecs = "3"; }, "'codecs' is 3; a list was expected"},
      {[](ZarrJson& z) { z.codecs = R"(["bytes"])"; }, "the codec 'bytes' has no 'endian'"},
      {[](ZarrJson& z) { z.codecs = R"(["gzip"])"; }, "the codec 'gzip' stands before one that makes bytes"},
      {[&](ZarrJson& z) { z.codecs = codec_with + R"("lzma"])"; }, "zarr-unsupported: the codec 'lzma' is not read"},
      {[&](ZarrJson& z) { z.codecs = codec_with + R"("gzip","zstd"])"; }, "bytes packed twice ('gzip', 'zstd')"},
      {[&](ZarrJson& z) { z.codecs = codec_with + kBytes + "]"; }, "the codec 'bytes' follows one that makes bytes"},
      {[](ZarrJson& z) { z.codecs = R"([{"name":"transpose","configuration":{"order":[1]}}])"; },
       "the order [1] is not one of 1 axes"},
      {[](ZarrJson& z) { z.codecs = R"([{"name":"transpose","configuration":{"order":[0,0]}}])"; }, "the order [0,0]"},
      {[](ZarrJson& z) { z.codecs = sharding("[3]", std::string("[") + kBytes + "]"); },
       "a shard of [2] is not a whole number of chunks of [3]"},
      {[](ZarrJson& z) { z.codecs = sharding("[0]", std::string("[") + kBytes + "]"); }, "chunks [0] have no elements"},
      {[](ZarrJson& z) { z.codecs = sharding("[1]", "[]"); }, "the codecs hold none that makes bytes"},
      {[](ZarrJson& z) {
         z.codecs = sharding("[1]", std::string("[") + kBytes + "]");
         z.codecs = z.codecs.substr(0, z.codecs.size() - 1) + R"(,"gzip"])";
       },
       "a shard that is packed as a whole ('gzip') is not read"},
      {[](ZarrJson& z) {
         z.shape = z.chunk = "[4611686018427387904]", z.type = "uint8";
         z.codecs = sharding("[1]", std::string("[") + kBytes + "]");
       },
       "tensor-shape-overflow"},
      {[](ZarrJson& z) {
         z.shape = z.chunk = "[100000000]", z.codecs = sharding("[1]", std::string("[") + kBytes + "]");
       },
       "limit-exceeded: a shard of [100000000] in chunks of [1] makes more than"},
      {[](ZarrJson& z) {
         for (int i = 0; i < 9; ++i) z.codecs = sharding("[1]", z.codecs);
       },
       "shards within shards, 8 levels deep"},
      {[](ZarrJson& z) { z.more = R"(,"surprise":{"name":"x"})"; }, "the field 'surprise' is not known"},
      {[](ZarrJson& z) { z.more = R"(,"storage_transformers":["x"])"; }, "storage_transformers"},
  };
  for (const Row& row : rows) {
    const ZarrJson json = with(row.change);
    const auto error = error_of([&] { formats::parse_zarr_json(json.json(), "zarr.json", {}); });
    INFO(error);
    CHECK(contains(error, row.error));
  }
  CHECK(
      formats::parse_zarr_json(with([](ZarrJson& z) { z.more = R"(,"x":{"must_understand":false})"; }).json(), "", {}));
  CHECK_FALSE(formats::parse_zarr_json(R"({"zarr_format":3,"node_type":"group"})", "", {}));
}
