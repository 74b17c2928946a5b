// T5X checkpoints: the reference one in both forms against its listing, odd forms of the tree, and damage.
#include "support/catch.h"
#include "support/source_values.h"
#include "support/temp_folder.h"
#include "support/zarr_files.h"

#include <algorithm>
#include <functional>
#include <sstream>

#include <fmt/format.h>

using namespace remap;
using namespace remap::test;
namespace fs = std::filesystem;
namespace mp = remap::test::msgpack;

namespace {

const std::string kClassic = REMAP_TEST_DATA "/switch/source/checkpoint_1200";
const std::string kOrbax = REMAP_TEST_DATA "/switch/source-orbax/checkpoint_1200";
const std::string kQuery = "target/encoder/layers_0/attention/query/kernel";

std::vector<std::string> split(const std::string& line, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(line);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

// The listing made by the reference tools: name, …, dtype (column 3), shape (column 4).
Manifest golden_manifest() {
  std::vector<TensorInfo> tensors;
  std::istringstream in(read_file(REMAP_TEST_DATA "/switch/manifest-source.tsv"));
  std::string line;
  std::getline(in, line);
  while (std::getline(in, line)) {
    const auto columns = split(line, '\t');
    if (columns[0] == "version") continue;
    Shape shape;
    for (const auto& dim : split(columns[4].substr(1, columns[4].size() - 2), ','))
      if (!dim.empty()) shape.push_back(std::stoll(dim));
    const DType dtype = columns[3] == "<f4" ? DType::f32 : parse_dtype(columns[3]).value();
    tensors.push_back({columns[0].substr(std::string("optimizer/").size()), dtype, shape});
  }
  return Manifest(std::move(tensors));
}

OpenOptions target_only() {
  OpenOptions options;
  options.subtree = "target";
  return options;
}

// {"version": 3, "optimizer": {"state": {"step": …}, "target": target}}
std::string classic(const std::string& target) {
  return mp::map(
      {{"version", mp::integer(3)},
       {"optimizer", mp::map({{"state", mp::map({{"step", mp::ndarray({}, "int32", bytes_of_values<int32_t>({7}))}})},
                              {"target", target}})}});
}

std::string spec(const std::string& path, const std::string& store = "file", const std::string& dtype = "float32",
                 const std::vector<std::string>& shape = {mp::integer(2)}) {
  return mp::map({{"driver", mp::text("zarr")},
                  {"dtype", mp::text(dtype)},
                  {"kvstore", mp::map({{"driver", mp::text(store)}, {"path", mp::text(path)}})},
                  {"metadata", mp::map({{"shape", mp::array(shape)}})}});
}

// A checkpoint folder with the array "target.a" (float32 [1,-2]) and this msgpack file.
std::string write_checkpoint(const TempFolder& folder, const std::string& checkpoint) {
  folder.write("target.a/.zarray", Zarray().json());
  folder.write("target.a/0", bytes_of_values<float>({1, -2}));
  folder.write("checkpoint", checkpoint);
  return folder.path();
}

std::string ndarray(const std::vector<float>& values) {
  return mp::ndarray({values.size()}, "float32", bytes_of_values(values));
}

}  // namespace

TEST_CASE("the reference checkpoint is listed as its own tools list it") {
  for (const std::string& path :
       std::vector<std::string>{kClassic, kClassic + "/", kClassic + "/checkpoint", REMAP_TEST_DATA "/switch/source",
                                kOrbax, kOrbax + "/state"}) {
    INFO(path);
    const auto source = open_source(path);
    CHECK(source->format() == "t5x");
    CHECK(source->path() == path);
    CHECK(source->manifest() == golden_manifest());
    CHECK(source->metadata()["step"] == 1200);
    CHECK(source->remarks().empty());
  }
}

TEST_CASE("metadata holds version, step and gin") {
  const auto source = open_source(kClassic);
  CHECK(source->metadata()["version"] == 3);
  CHECK(source->metadata()["gin"]["NUM_EXPERTS"] == 4);
  const auto orbax = open_source(kOrbax);
  CHECK(!orbax->metadata().contains("version"));
  CHECK(!orbax->metadata().contains("gin"));
  OpenOptions options;
  options.companions["gin"] = REMAP_TEST_DATA "/switch/source/config.gin";
  CHECK(open_source(kOrbax, options)->metadata()["gin"] == source->metadata()["gin"]);
}

TEST_CASE("both forms of the reference checkpoint hold the same bytes, and those of the converted model") {
  const auto classic_source = open_source(kClassic), orbax = open_source(kOrbax),
             expected = open_source(REMAP_TEST_DATA "/switch/expected");
  for (const auto& tensor : classic_source->manifest().tensors())
    CHECK(tensor_bytes(*classic_source, tensor.key) == tensor_bytes(*orbax, tensor.key));
  CHECK(tensor_bytes(*classic_source, "target/token_embedder/embedding") == tensor_bytes(*expected, "shared.weight"));
  CHECK(tensor_bytes(*classic_source, "target/encoder/encoder_norm/scale") ==
        tensor_bytes(*expected, "encoder.final_layer_norm.weight"));
  const auto kernel = tensor_values<uint32_t>(*classic_source, kQuery);  // [24, 30]
  const auto weight = tensor_values<uint32_t>(*expected, "encoder.block.0.layer.0.SelfAttention.q.weight");
  REQUIRE(kernel.size() == weight.size());
  size_t different = 0;
  for (size_t i = 0; i < 24; ++i)
    for (size_t j = 0; j < 30; ++j) different += kernel[i * 30 + j] != weight[j * 24 + i];
  CHECK(different == 0);
}

TEST_CASE("with a subtree, nothing outside of it is opened") {
  const TempFolder folder;
  fs::copy(kClassic, folder.path("checkpoint_1"), fs::copy_options::recursive);
  for (const auto& entry : fs::directory_iterator(folder.path("checkpoint_1")))
    if (entry.path().filename().string().starts_with("state.")) fs::remove_all(entry.path());
  const auto source = open_source(folder.path(), target_only());
  CHECK(source->manifest().size() == 66);
  CHECK(source->metadata()["step"] == 1200);
  for (const auto& tensor : source->manifest().tensors()) CHECK(tensor.key.starts_with("target/"));
  const auto error = error_of([&] { open_source(folder.path()); });
  CHECK(contains(error, "t5x-array-missing: the array 'state/param_states/"));
  CHECK(contains(error, "there is no such folder"));
}

TEST_CASE("a subtree is whole path components") {
  const TempFolder folder;
  const auto path = write_checkpoint(folder, classic(mp::map({{"ab", ndarray({1})}, {"a", ndarray({2})}})));
  OpenOptions options;
  options.subtree = "target/a";
  const auto source = open_source(path, options);
  CHECK(source->manifest().tensors() == std::vector<TensorInfo>{{"target/a", DType::f32, {1}}});
}

TEST_CASE("checkpoints that are not finished, or several, are refused") {
  const TempFolder folder;
  folder.write("checkpoint_5.tmp-123/checkpoint", classic(mp::map({})));
  CHECK(contains(error_of([&] { open_source(folder.path("checkpoint_5.tmp-123")); }), "t5x-unfinished"));
  CHECK(contains(error_of([&] { open_source(folder.path("checkpoint_5.tmp-123/checkpoint")); }), "t5x-unfinished"));
  CHECK(contains(error_of([&] { open_source(folder.path()); }), "t5x-unfinished"));
  folder.write("checkpoint_10/checkpoint", classic(mp::map({})));
  CHECK(open_source(folder.path())->manifest().size() == 1);  // the step
  folder.write("checkpoint_9/checkpoint", classic(mp::map({})));
  CHECK(contains(error_of([&] { open_source(folder.path()); }),
                 "t5x-several: the folder holds several checkpoints: checkpoint_9, checkpoint_10"));
}

TEST_CASE("every kind of leaf is read") {
  const TempFolder folder;
  const std::string old_spec = mp::map({{"driver", mp::text("zarr")},
                                        {"dtype", mp::text("float32")},
                                        {"kvstore", mp::map({{"driver", mp::text("gfile")}})},
                                        {"metadata", mp::map({{"shape", mp::array({mp::integer(2)})}})},
                                        {"path", mp::text("target.a")}});
  const std::string old_names = mp::extension(
      1, mp::array({mp::array({mp::integer(1)}), mp::binary("int32"), mp::binary(bytes_of_values<int32_t>({5}))}));
  const std::string target =
      mp::map({{"gcs", spec("target.a/", "gcs")},
               {"file", spec("target.a")},
               {"old", old_spec},
               {"old_name", old_names},
               {"inline", mp::ndarray({2, 1}, "float32", bytes_of_values<float>({3, 4}))},
               {"scalar", mp::ndarray({}, "float64", bytes_of_values<double>({0.5}), 3)},
               {"bf16", mp::ndarray({1}, "bfloat16", "\x80\x3f")},
               {"none", mp::ndarray({0, 7}, "float32", "")},
               {"nil", mp::nil()},
               {"empty", mp::map({})},
               {"complex", mp::extension(2, mp::array({mp::real(1), mp::real(-2)}))},
               {"plain", mp::array({mp::integer(1), mp::text("x"), mp::boolean(true), mp::nil()})}});
  const auto source = open_source(write_checkpoint(folder, classic(target)), target_only());
  CHECK(source->manifest().size() == 8);
  for (const char* key : {"target/gcs", "target/file", "target/old"})
    CHECK(tensor_values<float>(*source, key) == std::vector<float>{1, -2});
  CHECK(tensor_values<float>(*source, "target/inline") == std::vector<float>{3, 4});
  CHECK(tensor_values<double>(*source, "target/scalar") == std::vector<double>{0.5});
  CHECK(tensor_values<int32_t>(*source, "target/old_name") == std::vector<int32_t>{5});
  CHECK(tensor_values<uint16_t>(*source, "target/bf16") == std::vector<uint16_t>{0x3f80});
  CHECK(source->manifest()[source->manifest().find("target/none")].shape == Shape{0, 7});
  CHECK(source->tile_boxes(source->manifest().find("target/none")).empty());
  CHECK(source->metadata()["values"].dump() == R"({"target/complex":[1.0,-2.0],"target/plain":[1,"x",true,null]})");
  CHECK(source->metadata()["step"] == 7);
}

TEST_CASE("arrays of types that are not read are listed, and hide no others") {
  const TempFolder folder;
  const std::string chunked =
      mp::map({{"__msgpack_chunked_array__", mp::boolean(true)},
               {"shape", mp::map({{"0", mp::integer(3)}})},
               {"chunks", mp::map({{"0", mp::ndarray({2}, "int4", "ab")}, {"1", mp::ndarray({1}, "int4", "c")}})}});
  const auto source = open_source(write_checkpoint(folder, classic(mp::map({{"w", ndarray({3, 4})},
                                                                            {"x", mp::ndarray({2, 1}, "int4", "ab")},
                                                                            {"y", chunked},
                                                                            {"z", mp::ndarray({1}, "", "abcd")}}))),
                                  target_only());
  REQUIRE(source->manifest().size() == 4);
  CHECK(tensor_values<float>(*source, "target/w") == std::vector<float>{3, 4});
  CHECK(describe(source->manifest()[1]) == "int4 [2,1], not read: an array of 'int4', a type that is not read");
  CHECK(describe(source->manifest()[2]) == "int4 [3], not read: an array of 'int4', a type that is not read");
  CHECK(describe(source->manifest()[3]) == "? [1], not read: an array of '', a type that is not read");
  CHECK_FALSE(source->in_place(1));
  TileBuffer buffer;
  CHECK(contains(error_of([&] { source->tile_boxes(1); }), "tensor-unread"));
  CHECK(contains(error_of([&] { source->load(1, 0, buffer); }), "tensor-unread"));
}

TEST_CASE("integers of all sizes are kept") {
  const TempFolder folder;
  const auto source = open_source(write_checkpoint(
      folder, classic(mp::map({{"seed", mp::integer(~uint64_t{0})}, {"n", mp::integer(uint64_t{1} << 62)}}))));
  CHECK(source->metadata()["values"].dump() ==
        R"({"target/seed":18446744073709551615,"target/n":4611686018427387904})");
  const auto odd = write_checkpoint(folder, mp::map({{"version", mp::integer(~uint64_t{0})}}));
  CHECK(contains(error_of([&] { open_source(odd); }), "t5x-version: 'version' is not an integer"));
}

TEST_CASE("an inline array is served from the file's mapping") {
  const TempFolder folder;
  const auto source = open_source(write_checkpoint(folder, classic(mp::map({{"x", ndarray({3, 4})}}))), target_only());
  TileBuffer buffer;
  const TileView view = source->load(0, 0, buffer);
  CHECK(buffer.empty());
  CHECK(view.fd >= 0);
  CHECK(read_file(folder.path("checkpoint")).substr(view.offset_bytes, 8) == bytes_of_values<float>({3, 4}));
}

TEST_CASE("chunked arrays are joined in numeric order, cut at any place") {
  // 2 x 3 x 4 elements with their own number as value, in runs of every length.
  std::vector<float> values(24);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  for (size_t run = 1; run <= 24; ++run) {
    std::vector<std::pair<std::string, std::string>> chunks;
    for (size_t begin = 0, n = 0; begin < values.size(); begin += run, ++n)
      chunks.emplace_back(std::to_string(n),
                          ndarray({values.begin() + static_cast<long>(begin),
                                   values.begin() + static_cast<long>(std::min(values.size(), begin + run))}));
    std::sort(chunks.begin(), chunks.end());  // as flax writes them: "10" before "2"
    const std::string leaf =
        mp::map({{"__msgpack_chunked_array__", mp::boolean(true)},
                 {"shape", mp::map({{"0", mp::integer(2)}, {"1", mp::integer(3)}, {"2", mp::integer(4)}})},
                 {"chunks", mp::map(chunks)}});
    const TempFolder folder;
    const auto source = open_source(write_checkpoint(folder, classic(mp::map({{"x", leaf}}))), target_only());
    INFO(run);
    CHECK(source->manifest()[0].shape == Shape{2, 3, 4});
    CHECK(tensor_values<float>(*source, "target/x") == values);
    int64_t covered = 0;
    for (const Box& box : source->tile_boxes(0)) covered += element_count(box.extent);
    CHECK(covered == 24);
  }
}

TEST_CASE("key order does not matter, and other state is listed too") {
  const TempFolder folder;
  const auto path =
      write_checkpoint(folder, mp::map({{"flax_mutables", mp::map({{"m", ndarray({1})}})},
                                        {"optimizer", mp::map({{"target", mp::map({{"w", ndarray({2})}})}})},
                                        {"version", mp::ndarray({}, "int64", bytes_of_values<int64_t>({3}))}}));
  const auto source = open_source(path);
  REQUIRE(source->manifest().size() == 2);
  CHECK(source->manifest()[0].key == "flax_mutables/m");
  CHECK(source->manifest()[1].key == "target/w");
}

TEST_CASE("malformed trees are refused, saying how") {
  const auto in_target = [](const std::string& leaf) { return classic(mp::map({{"x", leaf}})); };
  const auto chunked = [](const std::string& shape, const std::string& chunks) {
    return mp::map({{"__msgpack_chunked_array__", mp::boolean(true)}, {"shape", shape}, {"chunks", chunks}});
  };
  std::string deep = mp::nil();
  for (int i = 0; i < 100; ++i) deep = mp::map({{"k", deep}});
  struct Row {
    const char* damage;
    std::string checkpoint;
    const char* error;
  };
  const Row rows[] = {
      {"version 2", mp::map({{"version", mp::integer(2)}, {"optimizer", mp::map({})}}),
       "t5x-version: version 2 of the format stored bfloat16 arrays as uint16"},
      {"version 4", mp::map({{"version", mp::integer(4)}, {"optimizer", mp::map({})}}),
       "t5x-version: version 4 of the format; version 3 is read"},
      {"version is text", mp::map({{"version", mp::text("3")}, {"optimizer", mp::map({})}}),
       "t5x-version: 'version' is not an integer"},
      {"no optimizer", mp::map({{"version", mp::integer(3)}}), "t5x-version: there is no map 'optimizer'"},
      {"trailing bytes", classic(mp::map({})) + "x", "t5x-msgpack: 1 bytes follow the msgpack value"},
      {"a key twice", in_target(mp::map({{"a", mp::nil()}, {"a", mp::nil()}})),
       "t5x-msgpack: unable to read msgpack: the key 'a' occurs twice"},
      {"key is a number", in_target("\x81\x01\xc0"), "an integer as a map's key; a string was expected"},
      {"key is a map", in_target("\x81\x80\xc0"), "a map as a map's key; a string was expected"},
      {"key is not UTF-8", in_target(mp::map({{"\xff", mp::nil()}})), "a map's key is not UTF-8"},
      {"too deep", in_target(deep), "nested deeper than 64 levels"},
      {"unknown extension", in_target(mp::extension(7, "x")), "extension type 7"},
      {"payload is cut", in_target(mp::extension(1, "\x93")),
       "t5x-msgpack: 'target/x': unable to read msgpack: the bytes end inside a value"},
      {"payload is not an array", in_target(mp::extension(1, mp::nil())),
       "an array's payload is not [shape, dtype, bytes]"},
      {"unknown dtype of a folder", in_target(spec("target.a/", "file", "float31")),
       "t5x-msgpack: 'target/x': the dtype 'float31' is not known"},
      {"a key that is too long", in_target(mp::map({{std::string(5000, 'k'), mp::nil()}})),
       "limit-exceeded: 5000 bytes of a map's key; at most 4096 are read (max_key_bytes)"},
      {"too few bytes", in_target(mp::ndarray({2}, "float32", "abcd")),
       "an array of float32 [2] needs 8 bytes and has 4"},
      {"too many bytes", in_target(mp::ndarray({0}, "float32", "abcd")), "needs 0 bytes and has 4"},
      {"shape overflows", in_target(mp::ndarray({1ull << 62, 8}, "float32", "abcd")),
       "more elements than can be counted"},
      {"chunk numbers", in_target(chunked(mp::map({{"0", mp::integer(1)}}), mp::map({{"1", ndarray({1})}}))),
       "a chunked array's chunks are not numbered 0 to 0: '1'"},
      {"chunk twice",
       in_target(chunked(mp::map({{"0", mp::integer(2)}}), mp::map({{"0", ndarray({1})}, {"00", ndarray({1})}}))),
       "not numbered 0 to 1: '00'"},
      {"chunks too short", in_target(chunked(mp::map({{"0", mp::integer(2)}}), mp::map({{"0", ndarray({1})}}))),
       "needs 8 bytes, its 1 chunks have 4"},
      {"no chunks", in_target(chunked(mp::map({{"0", mp::integer(0)}}), mp::map({}))),
       "a chunked array without chunks"},
      {"chunk dtypes",
       in_target(chunked(mp::map({{"0", mp::integer(2)}}),
                         mp::map({{"0", ndarray({1})}, {"1", mp::ndarray({1}, "int32", "abcd")}}))),
       "chunk 1 is int32, chunk 0 is float32"},
      {"chunk is nil", in_target(chunked(mp::map({{"0", mp::integer(2)}}), mp::map({{"0", mp::nil()}}))),
       "chunk 0 is nil; an array was expected"},
      {"path leads out", in_target(spec("../other/")), "t5x-path: 'target/x': an array is said to be at '../other'"},
      {"path is absolute", in_target(spec("/etc/target.a")), "t5x-path"},
      {"path is the folder", in_target(spec("./")), "t5x-path"},
      {"path is empty", in_target(spec("")), "t5x-path"},
      {"placeholder leads out", mp::map({{"target", mp::map({{"x", mp::text("PLACEHOLDER://a/../../b")}})}}),
       "t5x-path"},
      {"no such array", in_target(spec("target.b/")),
       "t5x-array-missing: the array 'target/x' is not there; there is no such folder"},
      {"other store", in_target(spec("target.a/", "s3")),
       "t5x-unsupported: 'target/x': an array is kept in a store of kind 's3'"},
      {"other shape", in_target(spec("target.a/", "file", "float32", {mp::integer(3)})),
       "t5x-array-mismatch: the array 'target/x' has the shape [3] here and [2] in"},
      {"other dtype", in_target(spec("target.a/", "file", "bfloat16")),
       "t5x-array-mismatch: the array 'target/x' has the dtype bfloat16 here and float32 in"},
      {"same path twice", in_target(mp::map({{"a/b", ndarray({1})}, {"a", mp::map({{"b", ndarray({1})}})}})),
       "manifest-duplicate-key"},
  };
  for (const Row& row : rows) {
    INFO(row.damage);
    const TempFolder folder;
    const auto path = write_checkpoint(folder, row.checkpoint);
    const auto error = error_of([&] { open_source(path); });
    INFO(error);
    CHECK(contains(error, row.error));
  }
}

TEST_CASE("errors in the msgpack file name the byte") {
  const TempFolder folder;
  const std::string bytes = classic(mp::map({{"x", "\xc1"}}));  // never used by msgpack
  const auto path = write_checkpoint(folder, bytes);
  try {
    open_source(path);
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    const auto& place = std::get<BytePlace>(error.diagnostic().place);
    CHECK(place.file == folder.path("checkpoint"));
    REQUIRE(place.offset.has_value());
    CHECK(*place.offset + 1 >= bytes.size() - 1);
    CHECK(*place.offset <= bytes.size());
  }
}

TEST_CASE("a msgpack file cut anywhere is an error, never a crash") {
  const std::string whole = classic(mp::map({{"a", spec("target.a/")}, {"b", ndarray({1, 2})}}));
  const TempFolder folder;
  const auto path = write_checkpoint(folder, whole);
  CHECK_NOTHROW(open_source(path));
  for (size_t length = 0; length < whole.size(); ++length) {
    folder.write("checkpoint", std::string_view(whole).substr(0, length));
    CHECK_THROWS_AS(open_source(path), Error);
  }
}

TEST_CASE(
    "a chunk that is not there is the fill value and remarked upon; without one it is refused at opening, as an array "
    "without .zarray is") {
  const TempFolder folder;
  const auto path = write_checkpoint(folder, classic(mp::map({{"x", spec("target.a/")}})));
  fs::remove(folder.path("target.a/0"));
  const auto error = error_of([&] { open_source(path, target_only()); });
  CHECK(contains(error, "zarr-chunk-missing: the chunk is not there, and the array 'target/x' has no fill value"));
  Zarray with_fill;
  with_fill.fill_value = "0.0";
  folder.write("target.a/.zarray", with_fill.json());
  const auto source = open_source(path, target_only());
  CHECK(tensor_values<float>(*source, "target/x") == std::vector<float>{0, 0});
  CHECK(source->remarks() == std::vector<std::string>{"target/x: 1 chunk is not there, read as the fill value"});
  fs::remove(folder.path("target.a/.zarray"));
  CHECK(contains(error_of([&] { open_source(path); }), "the array 'target/x' is not there; its folder has no .zarray"));
}
