// Safetensors files as they are, and every kind of damage the format's rules exclude.
#include "remap/compare.h"
#include "support/catch.h"
#include "support/source_values.h"
#include "support/temp_folder.h"

using namespace remap;
using namespace remap::test;

namespace {

std::string little_endian(uint64_t value) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &value, 8);
  return bytes;
}

std::string file_of(const std::string& header, const std::string& data) {
  return little_endian(header.size()) + header + data;
}

const std::string kTwo = R"({"__metadata__":{"format":"pt"},"a":{"dtype":"I32","shape":[2],"data_offsets":[0,8]},)"
                         R"("b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}})";
const std::string kTwoData("\1\0\0\0\2\0\0\0\7", 9);

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

}  // namespace

TEST_CASE("a file's tensors, bytes, places and metadata are read") {
  const TempFolder folder;
  const auto path = folder.write("any.name", file_of(kTwo + "   ", kTwoData));
  folder.write("config.json", R"({"z":1,"a":[null]})");
  const auto source = open_source(path);
  CHECK(source->format() == "safetensors");
  CHECK(source->path() == path);
  REQUIRE(source->manifest().size() == 2);
  CHECK(source->manifest()[0] == TensorInfo{"a", DType::i32, {2}});
  CHECK(source->manifest()[1] == TensorInfo{"b", DType::u8, {}});
  CHECK(tensor_values<int32_t>(*source, "a") == std::vector<int32_t>{1, 2});
  CHECK(tensor_values<uint8_t>(*source, "b") == std::vector<uint8_t>{7});
  CHECK(source->metadata().dump() == R"({"__metadata__":{"format":"pt"},"config":{"z":1,"a":[null]}})");
  const auto without = open_source(
      folder.write("null", file_of(R"({"__metadata__":null,)" + entry("a", "U8", "[1]", "[0,1]") + "}", "x")));
  CHECK_FALSE(without->metadata().contains("__metadata__"));
  TileBuffer buffer;
  const TileView view = source->load(1, 0, buffer);
  CHECK(view.fd >= 0);
  CHECK(view.offset_bytes == 8 + kTwo.size() + 3 + 8);
}

TEST_CASE("a header may be written in any of JSON's ways") {
  const TempFolder folder;
  const auto plain = open_source(folder.write("plain", file_of(kTwo, kTwoData)));
  for (const char* header : {
           R"({ "__metadata__" : {"format":"pt"} , "a":{"dtype": "I32","shape":[ 2 ],"data_offsets":[0, 8]},)"
           R"("b":{"dtype":"U8","shape":[ ],"data_offsets":[8,9]} }  )",
           R"({"__metadata__":{"format":"pt"},"a":{"shape":[2],"data_offsets":[0,8],"dtype":"I32"},)"
           R"("b":{"dtype":"U8","shape":[],"data_offsets":[8,9]}})",
           R"({"b":{"dtype":"U8","shape":[],"data_offsets":[8,9]},"\u0061":{"dtype":"I32","shape":[2],)"
           R"("data_offsets":[0,8]},"__metadata__":{"\u0066ormat":"pt"}})",
       }) {
    INFO(header);
    const auto source = open_source(folder.write("other", file_of(header, kTwoData)));
    REQUIRE(source->manifest().size() == 2);
    for (size_t i = 0; i < 2; ++i) {
      CHECK(source->manifest()[i] == plain->manifest()[i]);
      CHECK(tensors_equal(*source, i, *plain, i));
    }
    CHECK(source->metadata() == plain->metadata());
  }
  // A string may hold what looks like the end of the metadata, or like a tensor.
  const std::string odd =
      R"({"__metadata__":{"x":"}\"}","y":"{"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  CHECK(open_source(folder.write("odd", file_of(odd, "x")))->metadata()["__metadata__"]["x"] == "}\"}");
}

TEST_CASE("the reference model is read as safetensors wrote it") {
  const auto source = open_source(REMAP_TEST_DATA "/switch/expected");
  CHECK(source->manifest().size() == 84);
  CHECK(source->metadata()["config"]["architectures"][0] == "SwitchTransformersForConditionalGeneration");
  std::string listing;
  for (const auto& tensor : source->manifest().tensors())
    listing += tensor.key + "\t" + std::string(name(tensor.dtype)) + "\t" + to_string(tensor.shape) + "\n";
  CHECK(listing == read_file(REMAP_TEST_DATA "/switch/manifest-expected.tsv"));
}

TEST_CASE("a tensor without elements has no tiles, and an empty file no tensors") {
  const TempFolder folder;
  const auto source = open_source(folder.write("m", file_of("{" + entry("e", "F32", "[0,3]", "[0,0]") + "}", "")));
  CHECK(source->tile_boxes(0).empty());
  CHECK(open_source(folder.write("n", file_of("{}", "")))->manifest().size() == 0);
}

TEST_CASE("damaged safetensors files are refused, saying how") {
  struct Row {
    const char* damage;
    std::string bytes;
    const char* error;  // a part of it
  };
  const std::string deep(200, '[');
  const Row rows[] = {
      {"header longer than the file", little_endian(1000) + "{\"",
       "safetensors-truncated: unable to read header: 1000 bytes needed, 2 left"},
      {"header above the limit", little_endian(200u << 20) + "{}",
       "limit-exceeded: 209715200 bytes of header are claimed; at most 100000000 are read (max_header_bytes)"},
      {"header is no JSON", file_of("{\"a\":", ""), "safetensors-header: not valid JSON"},
      {"two values in the header", file_of("{}{}", ""), "safetensors-header: not valid JSON"},
      {"header too deep", file_of("{\"a\":" + deep, ""), "safetensors-header: JSON nested deeper"},
      {"a name twice",
       file_of("{" + entry("a", "U8", "[1]", "[0,1]") + "," + entry("a", "U8", "[1]", "[1,2]") + "}", "xy"),
       "safetensors-header: the key 'a' occurs twice"},
      {"a field twice", file_of(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x"),
       "safetensors-header: the key 'dtype' occurs twice"},
      {"the metadata twice", file_of(R"({"__metadata__":{},"__metadata__":{}})", ""),
       "safetensors-header: the key '__metadata__' occurs twice"},
      {"metadata that is not closed", file_of(R"({"__metadata__":{"a":"b})", ""), "safetensors-header: not valid JSON"},
      {"unknown dtype", file_of("{" + entry("a", "F3", "[2]", "[0,1]") + "}", "x"),
       "safetensors-header: tensor 'a': the dtype 'F3' is not known"},
      {"half a byte", file_of("{" + entry("a", "F4", "[3]", "[0,2]") + "}", "xy"),
       "safetensors-header: tensor 'a': F4 [3] is not a whole number of bytes"},
      {"another library's dtype", file_of("{" + entry("a", "float32", "[1]", "[0,4]") + "}", "abcd"),
       "the dtype 'float32' is not known"},
      {"shape and size differ", file_of("{" + entry("a", "F32", "[2]", "[0,4]") + "}", "abcd"),
       "F32 [2] needs 8 bytes, its data_offsets [0,4] span 4"},
      {"negative dimension", file_of("{" + entry("a", "U8", "[-1]", "[0,1]") + "}", "x"),
       "tensor 'a': -1 is not a dimension"},
      {"fractional dimension", file_of("{" + entry("a", "U8", "[1.0]", "[0,1]") + "}", "x"), "is not a dimension"},
      {"shape overflows", file_of("{" + entry("a", "U8", "[4294967296,4294967296]", "[0,1]") + "}", "x"),
       "tensor-shape-overflow"},
      {"offsets run backwards", file_of("{" + entry("a", "U8", "[1]", "[1,0]") + "}", "x"),
       "data_offsets [1,0] run backwards"},
      {"offsets are three", file_of("{" + entry("a", "U8", "[1]", "[0,1,2]") + "}", "x"),
       "data_offsets is not [begin, end]"},
      {"data is cut", file_of(kTwo, kTwoData.substr(0, 5)),
       "safetensors-truncated: tensor 'a' ends at byte 8 of the data, which has 5 bytes"},
      {"a hole", file_of("{" + entry("a", "U8", "[1]", "[0,1]") + "," + entry("b", "U8", "[1]", "[2,3]") + "}", "xyz"),
       "safetensors-layout: tensor 'b' starts at byte"},
      {"a hole in front", file_of("{" + entry("a", "U8", "[1]", "[1,2]") + "}", "xy"), "safetensors-layout"},
      {"an overlap",
       file_of("{" + entry("a", "U8", "[2]", "[0,2]") + "," + entry("b", "U8", "[2]", "[1,3]") + "}", "xyz"),
       "overlapping"},
      {"a tail", file_of(kTwo, kTwoData + "!"), "safetensors-layout: 1 bytes follow the last tensor"},
      {"no shape", file_of(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", "x"), "tensor 'a' has no 'shape'"},
      {"metadata is a list", file_of(R"({"__metadata__":[]})", ""), "'__metadata__' is not an object"},
      {"metadata is not a text", file_of(R"({"__metadata__":{"n":1}})", ""),
       "'__metadata__' holds 'n', which is not a string"},
  };
  const TempFolder folder;
  for (const Row& row : rows) {
    INFO(row.damage);
    const auto path = folder.write("damaged", row.bytes);
    const auto error = error_of([&] { open_source(path); });
    INFO(error);
    CHECK(contains(error, row.error));
  }
}

TEST_CASE("a file cut anywhere is an error, never a crash") {
  const TempFolder folder;
  const std::string whole = file_of(kTwo, kTwoData);
  for (size_t length = 0; length < whole.size(); ++length) {
    const auto path = folder.write("cut", std::string_view(whole).substr(0, length));
    CHECK_THROWS_AS(open_source(path), Error);
  }
}

TEST_CASE("shards are one source, opened by folder or by index") {
  const TempFolder folder;
  folder.write("model-1.safetensors", file_of("{" + entry("a", "U8", "[1]", "[0,1]") + "}", "x"));
  folder.write("model-2.safetensors", file_of("{" + entry("b", "U8", "[2]", "[0,2]") + "}", "yz"));
  const auto index = folder.write(
      "model.safetensors.index.json",
      R"({"metadata":{"total_size":3},"weight_map":{"b":"model-2.safetensors","a":"model-1.safetensors"}})");
  for (const auto& path : {folder.path(), index}) {
    const auto source = open_source(path);
    CHECK(source->path() == path);
    CHECK(source->manifest().size() == 2);
    CHECK(tensor_values<char>(*source, "a") == std::vector<char>{'x'});
    CHECK(tensor_values<char>(*source, "b") == std::vector<char>{'y', 'z'});
    CHECK(source->metadata()["index"]["total_size"] == 3);
  }
}

TEST_CASE("an index that does not fit its shards, or leads elsewhere, is refused") {
  const TempFolder folder;
  folder.write("sub/s",
               file_of("{" + entry("a", "U8", "[1]", "[0,1]") + "," + entry("b", "U8", "[1]", "[1,2]") + "}", "xy"));
  folder.write("s", file_of("{" + entry("a", "U8", "[1]", "[0,1]") + "}", "x"));
  folder.write("ab",
               file_of("{" + entry("a", "U8", "[1]", "[0,1]") + "," + entry("b", "U8", "[1]", "[1,2]") + "}", "xy"));
  folder.write("text", "hello world");
  std::filesystem::create_symlink("nowhere", folder.path("gone"));
  struct Row {
    const char* index;
    const char* error;
  };
  const Row rows[] = {
      {R"({"weight_map":{"a":"s","c":"s"}})", "does not hold the tensor 'c'"},
      {R"({"weight_map":{"c":"s"}})", "does not hold the tensor 'c', which the index places in it"},
      {R"({"weight_map":{"b":"s","a":"ab"}})",
       "shard-index: does not hold the tensor 'b', which the index places in it; 'ab' holds it"},
      {R"({"weight_map":{"a":"ab"}})",
       "shard-index: holds the tensor 'b', which the index does not place in this file"},
      {R"({"weight_map":{"a":"t","b":"u","c":"s"}})", "2 of its 3 shards are not in the index's folder: 't' and 'u'"},
      {R"({"weight_map":{"a":"t","b":"u"}})", "none of its shards is in the index's folder: 't' and 'u'"},
      {R"({"weight_map":{"a":"gone"}})", "the shard 'gone' is not in the index's folder"},
      {R"({"weight_map":{"a":"text"}})", "source-unknown-format: the file starts with \"hello"},
      {R"({"weight_map":{}})", "weight_map is empty"},
      {R"({"weight_map":{"a":"t"}})", "the shard 't' is not in the index's folder"},
      {R"({"weight_map":{"a":"../s"}})", "names the file '../s'"},
      {R"({"weight_map":{"a":"sub/s"}})", "names the file 'sub/s'"},
      {R"({"weight_map":{"a":"/etc/passwd"}})", "names the file '/etc/passwd'"},
      {R"({"weight_map":{"a":".."}})", "names the file '..'"},
      {R"({"weight_map":{"a":"s\u0000"}})", "names the file"},
      {R"({"weight_map":{"a":1}})", "gives no file name for 'a'"},
      {R"({"weight_map":{"a":"s","a":"s"}})", "the key 'a' occurs twice"},
      {R"({"weight_map":[]})", "no object 'weight_map'"},
  };
  for (const Row& row : rows) {
    INFO(row.index);
    const auto path = folder.write("model.safetensors.index.json", row.index);
    const auto error = error_of([&] { open_source(path); });
    INFO(error);
    CHECK(contains(error, row.error));
  }
}
