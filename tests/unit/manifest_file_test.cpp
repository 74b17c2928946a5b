// Manifests as files: both forms, what they become, and what is refused.
#include "remap/manifest_file.h"
#include "formats/plain_tensors.h"
#include "remap/report.h"
#include "support/catch.h"
#include "support/source_values.h"
#include "support/temp_folder.h"

using namespace remap;
using namespace remap::test;

TEST_CASE("a text manifest is read in every spelling of the listings we have") {
  const TempFolder folder;
  const auto source = open_source(folder.write("m.tsv",
                                               "# key dtype shape\n\n"
                                               "b.weight\tF32\t[30,24]\n"
                                               "a.weight float32 [32, 32]\r\n"
                                               "  c   bfloat16\t[ ]  \n"
                                               "\"d e\\t\" I64 [1]"));
  CHECK(source->format() == "manifest");
  CHECK(!source->has_data());
  const std::vector<TensorInfo> expected = {{"a.weight", DType::f32, {32, 32}},
                                            {"b.weight", DType::f32, {30, 24}},
                                            {"c", DType::bf16, {}},
                                            {"d e\t", DType::i64, {1}}};
  CHECK(source->manifest().tensors() == expected);
  CHECK(source->metadata() == Json::object());
  TileBuffer buffer;
  CHECK(contains(error_of([&] { source->load(0, 0, buffer); }), "manifest-no-data"));
  CHECK(source->tile_boxes(0) == std::vector<Box>{{{0, 0}, {32, 32}}});
}

TEST_CASE("a JSON manifest keeps format, metadata and ties") {
  const TempFolder folder;
  const char* list = R"({"remap_manifest":1,"format":"torch","metadata":{"args":{"layers":2}},
    "tensors":[{"key":"b","dtype":"F16","shape":[2],"alias":"s"},
               {"key":"a","dtype":"torch.float16","shape":[2],"alias":"s"}]})";
  const auto source = open_source(folder.write("m.json", list));
  CHECK(source->manifest().tensors() ==
        std::vector<TensorInfo>{{"a", DType::f16, {2}, "s"}, {"b", DType::f16, {2}, "s"}});
  CHECK(source->metadata().dump() == R"({"args":{"layers":2},"$format":"torch"})");
  const auto object =
      open_source(folder.write("o.json", R"({"remap_manifest":1,"tensors":{"x":{"dtype":"U8","shape":[]}}})"));
  CHECK(object->manifest().tensors() == std::vector<TensorInfo>{{"x", DType::u8, {}}});
}

TEST_CASE("a list of tensors that is read without a tree of values is what the general parser makes of it") {
  const TempFolder folder;
  // The same list plainly, and with an escape in the first key, which is left to the general parser.
  const auto both = [&](const std::string& begin, const std::string& rest) {
    const std::string plain = begin + "key\": \"a" + rest, escaped = begin + "key\": \"\\u0061" + rest;
    CHECK(formats::take_plain_tensors(plain).has_value());
    CHECK_FALSE(formats::take_plain_tensors(escaped).has_value());
    const auto result = [&](const std::string& text) {
      std::string listed;
      const std::string error = error_of([&] {
        const auto source = open_source(folder.write("m.json", text));
        listed = manifest_to_json(*source);
      });
      return listed + error;
    };
    CHECK(result(plain) == result(escaped));
    return result(plain);
  };
  const std::string begin = R"({"remap_manifest":1,"metadata":{"tensors":[{"key":"no","dtype":"F32","shape":[1]}]},)";
  CHECK(contains(both(begin + R"("tensors":[{")",
                      R"(","dtype":"F16","shape":[ 2 , 3 ]},)"
                      "\n {\"key\":\"b\",\"dtype\":\"F16\",\"shape\":[],\"alias\":\"s\"}],\"format\":\"torch\"}"),
                 R"({"key":"a","dtype":"F16","shape":[2,3]})"));
  const std::string list = R"({"remap_manifest":1,"tensors":[{")";
  CHECK(contains(both(R"({"folded":true,"remap_manifest":1,"tensors":[{")", R"(.{0..2}","dtype":"F16","shape":[2]}]})"),
                 "a.2"));
  CHECK(contains(both(list, R"(","dtype":"F16","shape":[2]},{"key":"a","dtype":"F16","shape":[2]}]})"), "named twice"));
  CHECK(contains(both(list, R"(","dtype":"F4","shape":[3]}]})"), "not a whole number of bytes"));
  CHECK(contains(
      both(list, R"(","dtype":"F16","shape":[2],"alias":"s"},{"key":"b","dtype":"F16","shape":[3],"alias":"s"}]})"),
      "have the alias"));
  CHECK(contains(both(list, R"(","dtype":"F16","shape":[2]}],"metadata":3})"), "'metadata' is not an object"));
  CHECK(contains(both(list, R"(","dtype":"F16","shape":[2]}],"tensors":[]})"), "occurs twice"));
  CHECK(contains(both(list, R"(","dtype":"F16","shape":[2]}],})"), "not valid JSON"));
  for (const char* other : {R"({"tensors":{}})", R"({"tensors":[]})", R"({"tensors":[{"key":"a"}]})", "{", "",
                            R"({"a":[{"tensors":[{"key":"a","dtype":"F16","shape":[2]}]}]})",
                            R"({"tensors":[{"key":"a","dtype":"F16","shape":[02]}]})",
                            R"({"tensors":[{"key":"a","dtype":"F16","shape":[-0]}]})",
                            R"({"tensors":[{"key":"a","dtype":"F16","shape":[1.0]}]})",
                            R"({"tensors":[{"key":"a","dtype":"F17","shape":[1]}]})",
                            R"({"tensors":[{"key":"a","dtype":"F16","shape":[1],"more":1}]})",
                            R"({"tensors":[{"key":"a","dtype":"F16","shape":[1]},]})"})
    CHECK_FALSE(formats::take_plain_tensors(other).has_value());
}

TEST_CASE("what is written is read back the same") {
  const TempFolder folder;
  const auto checkpoint = open_source(REMAP_TEST_DATA "/switch/source");
  const std::string json = manifest_to_json(*checkpoint);
  const auto read = open_source(folder.write("m.json", json));
  CHECK(read->manifest() == checkpoint->manifest());
  CHECK(read->metadata()["$format"] == "t5x");
  CHECK(read->metadata()["gin"] == checkpoint->metadata()["gin"]);
  CHECK(manifest_to_json(*read) == json);
  const std::string text = manifest_to_text(checkpoint->manifest());
  CHECK(open_source(folder.write("m.txt", text))->manifest() == checkpoint->manifest());
}

TEST_CASE("odd keys survive the text form") {
  const TempFolder folder;
  const Manifest manifest({{"#a", DType::f32, {}},
                           {"\"b\"", DType::f32, {1}},
                           {"c d", DType::f32, {}},
                           {"e\nf", DType::f32, {}},
                           {"g[1]", DType::f32, {2}}});
  CHECK(manifest_to_text(manifest).find("\"#a\"\tF32\t[]\n") != std::string::npos);
  CHECK(open_source(folder.write("m", manifest_to_text(manifest)))->manifest() == manifest);
}

TEST_CASE("tensors that are not read survive both forms") {
  const TempFolder folder;
  const Manifest manifest({unread_tensor("a", "a quantized tensor", "qint8", Shape{4, 6}),
                           unread_tensor("b", "a sparse tensor (COO)", "float32"),
                           unread_tensor("c not read: d", "odd [2] not read: \"so\"", {}, Shape{}),
                           unread_tensor("e", "a nested tensor"),
                           {"f", DType::f4, {2, 4}}});
  const std::string text = manifest_to_text(manifest);
  CHECK(text ==
        "a\tqint8\t[4,6]\tnot read: a quantized tensor\nb\tF32\t?\tnot read: a sparse tensor (COO)\n"
        "\"c not read: d\"\t?\t[]\tnot read: odd [2] not read: \"so\"\ne\t?\t?\tnot read: a nested "
        "tensor\nf\tF4\t[2,4]\n");
  const auto read = open_source(folder.write("m.txt", text));
  CHECK(read->manifest() == manifest);
  const std::string json = manifest_to_json(*read);
  CHECK(contains(json, R"x({"key":"b","dtype":"F32","shape":null,"unread":"a sparse tensor (COO)"})x"));
  CHECK(open_source(folder.write("m.json", json))->manifest() == manifest);
  CHECK(open_source(folder.write("n.json", render_folded_manifest(*read)))->manifest() == manifest);
  TileBuffer buffer;
  CHECK(contains(error_of([&] { read->tile_boxes(0); }),
                 "tensor-unread: the bytes of 'a' (qint8 [4,6]) are not read: it is a quantized tensor"));
  CHECK(contains(error_of([&] { read->load(0, 0, buffer); }), "tensor-unread"));
  CHECK(read->tile_boxes(4) == std::vector<Box>{{{0, 0}, {2, 2}}});
}

TEST_CASE("mistakes in a manifest are reported where they are") {
  struct Row {
    const char* text;
    const char* error;
  };
  const Row rows[] = {
      {"a F32 [1]\nb F33 [1]", "2:3 manifest-syntax: the dtype 'F33' is not known"},
      {"a F32 [1]\nb F32", "2:1 manifest-syntax: no shape such as [2,3] ends the line"},
      {"a F32 [1]\nb F32 [1,]", "2:7 manifest-syntax: '[1,]' is not a shape"},
      {"a F32 [1]\nb F32 [-1]", "2:7 manifest-syntax: '[-1]' is not a shape"},
      {"a F32 [1]\nb c F32 [1]", "2:1 manifest-syntax: a key with blanks is written as a JSON string"},
      {"a F32 [1]\n\"b F32 [1]", "2:1 manifest-syntax: the key starts with"},
      {"a F32 [1]\nF32 [1]", "2:1 manifest-syntax: a key, a dtype and a shape were expected"},
      {"a F32 [1]\nb F32 [4611686018427387904,8]", "2:1 tensor-shape-overflow"},
      {"a F32 [1]\na F32 [1]", "manifest-duplicate-key"},
      {"a F32 [1]\nb F4 [3]", "2:1 manifest-syntax: 'b' is F4 [3], which is not a whole number of bytes"},
      {"a F32 [1]\nb F33 ?", "2:1 manifest-syntax: no shape such as [2,3] ends the line"},
      {"a F32 [1]\nb F33 ? not read:  ", "2:1 manifest-syntax"},
      {R"({"remap_manifest":1,"tensors":[{"key":"a","dtype":"a b","shape":[],"unread":"odd"}]})",
       "'a' is not read: its dtype is one word"},
      {R"({"remap_manifest":1,"tensors":[{"key":"a","dtype":null,"shape":[]}]})",
       "the tensor 'a' has no string 'dtype'"},
      {R"({"remap_manifest":2,"tensors":[]})", "manifest-syntax: 'remap_manifest' is not 1"},
      {R"({"remap_manifest":1})", "manifest-syntax: there is no 'tensors'"},
      {R"({"remap_manifest":1,"tensors":3})", "'tensors' is neither an array nor an object"},
      {R"({"remap_manifest":1,"tensors":[{"dtype":"F32","shape":[]}]})", "a tensor has no string 'key'"},
      {R"({"remap_manifest":1,"tensors":[{"key":"a","dtype":"F32"}]})", "the tensor 'a' has no array 'shape'"},
      {R"({"remap_manifest":1,"tensors":[{"key":"a","dtype":"F32","shape":[-1]}]})",
       "its shape holds something other than sizes"},
      {R"({"remap_manifest":1,"tensors":{"a":{"dtype":"?","shape":[]}}})", "the dtype '?' is not known"},
      {R"({"remap_manifest":1,"tensors":[{"key":"a","dtype":"F32","shape":[],"alias":"s"},
                                       {"key":"b","dtype":"F32","shape":[1],"alias":"s"}]})",
       "'a' and 'b' have the alias 's' and differ"},
      {"{\"remap_manifest\":1,\n \"tensors\":[}", "2:13 json-syntax: not valid JSON"},
  };
  const TempFolder folder;
  for (const Row& row : rows) {
    INFO(row.text);
    const auto path = folder.write("m", row.text);
    const auto error = text_error_of([&] { open_source(path); });
    INFO(error);
    CHECK(contains(error, row.error));
  }
}

TEST_CASE("what is not a checkpoint is called by its name") {
  struct Row {
    std::string bytes;
    const char* error;
  };
  const Row rows[] = {
      {"", "the file is empty"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "the file is a Git LFS pointer"},
      {"<!DOCTYPE html><html>", "the file is an HTML page"},
      {"\x1f\x8b\x08", "the file is a gzip file"},
      {"hello world", "the file starts with \"hello world\", which is none of: safetensors"},
      {std::string("\x80\x04]."), "the file"},
      {R"({"a":1})", "a JSON file with neither 'weight_map'"},
  };
  const TempFolder folder;
  for (const Row& row : rows) {
    const auto path = folder.write("f", row.bytes);
    const auto error = error_of([&] { open_source(path); });
    INFO(error);
    CHECK(contains(error, row.error));
  }
  const TempFolder empty;
  CHECK(contains(error_of([&] { open_source(empty.path()); }), "source-unknown-format: the folder is empty"));
  empty.write("notes.txt", "hello");
  CHECK(contains(error_of([&] { open_source(empty.path()); }),
                 "source-unknown-format: the folder holds nothing known: looked for model.safetensors"));
  CHECK(contains(error_of([&] { open_source(empty.path("absent")); }), "io-read"));
}
