// Names, orders and checked sizes that everything else rests on.
#include "base/text.h"
#include "remap/diagnostic.h"
#include "remap/manifest.h"
#include "support/catch.h"
#include "support/temp_folder.h"

#include <algorithm>

using namespace remap;

TEST_CASE("natural order puts layer 2 before layer 10") {
  std::vector<std::string> keys = {"layer.10.w", "layer.2.w", "layer.2.b", "a", "layer.02.b", "layer"};
  std::sort(keys.begin(), keys.end(), natural_less);
  CHECK(keys == std::vector<std::string>{"a", "layer", "layer.02.b", "layer.2.b", "layer.2.w", "layer.10.w"});
}

TEST_CASE("the nearest name is offered only when it is near") {
  CHECK(nearest_name("transpos", {"shape", "transpose", "split"}) == "transpose");
  CHECK(nearest_name("banana", {"shape", "transpose", "split"}).empty());
  CHECK(nearest_name("JSON", {"text", "json"}) == "json");  // however many letters are in the other case
  CHECK(nearest_name("4", {"1", "2"}).empty());             // any letter is as near as any other
  CHECK(nearest_name("O", {"q", "o"}) == "o");
}

TEST_CASE("the nearest path is one that exists, whichever components are mistyped") {
  const remap::test::TempFolder folder;
  for (const char* name : {"deep/source/model.pt", "deep/source/config.json", "deep/source/other.bin"})
    folder.write(name, "x");
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"deep/source/modle.pt", "deep/source/model.pt"},
      {"deep/sourec/model.pt", "deep/source/model.pt"},
      {"depe/sourec/Config.JSON", "deep/source/config.json"},
      {"deep/source/other.safetensors", "deep/source/other.bin"},  // the same but for the extension
      {"deep/source/other", "deep/source/other.bin"},
      {"deep/sourec/", "deep/source"},
      {"deep/source/model.pt", ""},    // it exists
      {"deep/source/model.pt/x", ""},  // below a file there is nothing
      {"deep/nothing-like-it/model.pt", ""},
      {"deep/sourec/nothing-like-it", ""},
  };
  for (const auto& [path, near] : rows)
    CHECK(nearest_path(folder.path(path)) == (near.empty() ? "" : folder.path(near)));
  CHECK(nearest_path("").empty());
}

TEST_CASE("dtypes have one size and one name, and are read in every usual spelling") {
  for (const auto* spelling : {"F32", "float32", "torch.float32", "float"}) CHECK(parse_dtype(spelling) == DType::f32);
  CHECK(parse_dtype("bfloat16") == DType::bf16);
  CHECK(!parse_dtype("float31"));
  CHECK(size_bytes(DType::c128) == 16);
}

TEST_CASE("a manifest refuses the same key twice and shapes that overflow") {
  CHECK_THROWS_AS(Manifest({{"a", DType::f32, {1}}, {"a", DType::f32, {2}}}, "x.pt"), Error);
  CHECK(element_count({0, int64_t{1} << 62, 8}) == 0);
  CHECK_THROWS_AS(element_count({int64_t{1} << 62, 8}), Error);
  CHECK_THROWS_AS(element_count({-1}), Error);
}

TEST_CASE("diagnostic ids are sorted and unique") {
  const auto& rows = diagnostic_table();
  CHECK(std::is_sorted(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.id < b.id; }));
  CHECK(std::adjacent_find(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.id == b.id; }) ==
        rows.end());
}
