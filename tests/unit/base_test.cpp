// Names, orders and checked sizes that everything else rests on.
#include "base/checksum.h"
#include "base/json_members.h"
#include "base/key_index.h"
#include "base/parallel_for.h"
#include "base/progress_counter.h"
#include "base/sorted_order.h"
#include "base/text.h"
#include "remap/diagnostic.h"
#include "remap/manifest.h"
#include "support/catch.h"
#include "support/temp_folder.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <span>
#include <thread>

using namespace remap;

TEST_CASE("natural order puts layer 2 before layer 10") {
  std::vector<std::string> keys = {"layer.10.w", "layer.2.w", "layer.2.b", "a", "layer.02.b", "layer"};
  std::sort(keys.begin(), keys.end(), natural_less);
  CHECK(keys == std::vector<std::string>{"a", "layer", "layer.02.b", "layer.2.b", "layer.2.w", "layer.10.w"});
}

TEST_CASE("the begin of a text ends between its characters") {
  const std::string text = "a\u00e9\u20ac\U00020710z";  // 1, 2, 3, 4 and 1 bytes
  const size_t wanted[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
  for (size_t most = 0; most < std::size(wanted); ++most) {
    INFO("at most " << most << " bytes");
    CHECK(utf8_prefix(text, most) == text.substr(0, wanted[most]));
  }
  const std::string bytes(10, '\x80');  // no text: cut all the same
  CHECK(utf8_prefix(bytes, 8).size() == 5);
  CHECK(utf8_prefix(bytes, 2).empty());
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

TEST_CASE("tensors of one shape share it once they are in a manifest") {
  const Manifest manifest(
      {{"c", DType::f32, {2, 3}}, {"a", DType::f32, {2, 3}}, {"b", DType::f32, {3, 2}}, {"d", DType::f32, {}}});
  CHECK(manifest[0].shape.shares(manifest[2].shape));
  CHECK_FALSE(manifest[0].shape.shares(manifest[1].shape));
  CHECK(manifest[3].shape.empty());
  CHECK(manifest[0].shape == SharedShape{2, 3});
  CHECK(manifest[0].shape == Shape{2, 3});
  CHECK(manifest[0].shape != manifest[1].shape);
  CHECK(SharedShape() == Shape());
  CHECK(SharedShape(Shape()).begin() == SharedShape(Shape()).end());
}

TEST_CASE("merging runs sorts as a stable sort does, and reorder moves every item once") {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const size_t n = random() % 200;
    const uint32_t values = 1 + random() % 50, rising = random() % 4;
    std::vector<std::pair<uint32_t, size_t>> items;  // what is sorted by, and where it was
    for (size_t i = 0; i < n; ++i) {
      const bool goes_on = i > 0 && random() % 8 < 2 * rising;
      items.emplace_back(goes_on ? items.back().first + random() % 2 : random() % values, i);
    }
    auto expected = items;
    std::stable_sort(expected.begin(), expected.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    reorder(items, sorted_order(n, [&](size_t a, size_t b) { return items[a].first < items[b].first; }));
    CHECK(items == expected);
  }
}

TEST_CASE("an index of keys finds each, and nothing else, however it grew") {
  std::mt19937 random(2);
  for (const size_t reserved : {0, 10, 5000}) {
    std::vector<std::string> texts;
    std::map<std::string, size_t> known;
    KeyIndex index;
    index.reserve(reserved);
    const auto text_of = [&](size_t i) -> std::string_view { return texts[i]; };
    CHECK(index.find("", text_of) == KeyIndex::npos);
    const auto find_each = [&](const std::vector<std::string>& asked) {
      struct {
        const std::vector<std::string>& texts;
        std::string_view operator()(size_t i) const { return texts[i]; }
        const void* home(size_t i) const { return &texts[i]; }
      } const all{texts};
      std::vector<size_t> found;
      index.find_each(asked, all, [&](size_t i, size_t number) {
        CHECK(i == found.size());
        found.push_back(number);
      });
      return found;
    };
    CHECK(find_each({"", "layers.1.weight"}) == std::vector<size_t>{KeyIndex::npos, KeyIndex::npos});
    for (int i = 0; i < 4000; ++i) {
      const std::string text = "layers." + std::to_string(random() % 3000) + ".weight";
      const auto [place, fresh] = index.add(text, texts.size(), text_of);
      CHECK(known.try_emplace(text, texts.size()).second == fresh);
      CHECK(place == known.at(text));
      if (fresh) texts.push_back(text);
    }
    std::vector<std::string> asked;
    std::vector<size_t> expected;
    for (int i = 0; i < 3100; ++i) {
      const std::string text = "layers." + std::to_string(i) + ".weight";
      const auto it = known.find(text);
      expected.push_back(it == known.end() ? KeyIndex::npos : it->second);
      asked.push_back(text);
      CHECK(index.find(text, text_of) == expected.back());
    }
    CHECK(find_each(asked) == expected);
  }
}

TEST_CASE("a checksum of values is that of their bytes, however many wait to be hashed") {
  std::string bytes;
  Checksum sum;
  for (uint64_t i = 0; i < 20'000; ++i) {
    const std::string text(i % 97, static_cast<char>('a' + i % 26));
    sum.add(i);
    sum.add(text);
    for (const uint64_t value : {i, uint64_t{text.size()}})
      for (int shift = 0; shift < 64; shift += 8) bytes += static_cast<char>(value >> shift & 0xff);
    bytes += text;
  }
  CHECK(sum.sum() == checksum(std::as_bytes(std::span(bytes))));
}

TEST_CASE("members of large objects are found, set and taken out, and keep their order") {
  Json object = {{"b", 1}};
  JsonMembers members(object);
  members.set("a", 2);
  members.set("b", 3);
  CHECK(object.dump() == R"({"b":3,"a":2})");
  CHECK(*members.find("a") == 2);
  CHECK(members.find("c") == nullptr);
  for (int i = 0; i < 100'000; ++i) members.set("k" + std::to_string(i), i);  // in the square of it: minutes
  members.set("k77", "again");
  CHECK(object.size() == 100'002);
  const Json& fixed = object;
  CHECK(*JsonMembers(fixed).find("k77") == "again");
  CHECK(*JsonMembers(fixed).find("k99999") == 99999);
  std::string asked;
  erase_members(object, [&](const std::string& key, Json& value) {
    if (key.size() == 1) asked += key;
    if (key == "k5") value = "changed";
    return key != "a" && key != "k5";
  });
  CHECK(asked == "ba");
  CHECK(object.dump() == R"({"a":2,"k5":"changed"})");
}

TEST_CASE("a tree is filled by paths, and what stands in it stays") {
  JsonTree tree;
  tree.place({"a", "b"}, 1);
  tree.place({"a"}, 2);
  tree.place({"x"}, {{"y", 1}});
  tree.place({"x", "z"}, 2);
  tree.place({"x", "y"}, 5);
  tree.place({"a", "b", "c"}, 1);  // below a number
  tree.place({"n"}, nullptr);
  tree.place({"n", "m"}, 1);
  tree.place({"n", "m"}, 2);
  CHECK(tree.take().dump() == R"({"a":{"b":1},"x":{"y":1,"z":2},"n":{"m":1}})");
  CHECK(tree.take().dump() == "{}");
}

TEST_CASE("each of many is done once, by workers of their own, and the first that fails is what is thrown") {
  for (const int64_t work : {int64_t{0}, int64_t{1} << 40}) {
    std::vector<std::atomic<int>> done(1000);
    std::atomic<int> workers = 0;
    parallel_each(done.size(), work, [&] { return [&, own = ++workers](size_t i) { done[i] += own > 0; }; });
    CHECK(std::all_of(done.begin(), done.end(), [](const auto& times) { return times == 1; }));
    CHECK(workers >= 1);
    std::string thrown;
    try {
      parallel_each(1000, work, [&] {
        return [](size_t i) {
          if (i % 100 == 37) throw std::runtime_error(std::to_string(i));
        };
      });
    } catch (const std::runtime_error& error) {
      thrown = error.what();
    }
    CHECK(thrown == "37");
  }
  parallel_each(0, 0, [] { return [](size_t) { FAIL(); }; });
}

TEST_CASE("diagnostic ids are sorted and unique") {
  const auto& rows = diagnostic_table();
  CHECK(std::is_sorted(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.id < b.id; }));
  CHECK(std::adjacent_find(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.id == b.id; }) ==
        rows.end());
}

TEST_CASE("progress is told by one thread at a time, never beyond its total, and at the end") {
  std::atomic<int> inside = 0;
  int overlaps = 0;
  std::vector<std::pair<uint64_t, uint64_t>> told;
  const ProgressFunction tell = [&](uint64_t done, uint64_t total) {
    overlaps += ++inside > 1;
    told.emplace_back(done, total);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    --inside;
  };
  const auto began = std::chrono::steady_clock::now();
  ProgressCounter counter(tell, 1000);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 30; ++i) {
          counter.add(10);  // 1200 in all: more than was expected
          std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
      });
  }
  const size_t while_adding = told.size();
  const auto tenths = static_cast<size_t>((std::chrono::steady_clock::now() - began) / std::chrono::milliseconds(100));
  counter.finish();
  CHECK(overlaps == 0);
  CHECK(while_adding >= 1);  // it took 300 ms
  CHECK(while_adding <= tenths);
  CHECK(std::is_sorted(told.begin(), told.end()));
  CHECK(told.back() == std::pair<uint64_t, uint64_t>(1000, 1000));
  for (const auto& [done, total] : told) CHECK(done <= total);

  const ProgressFunction nobody;
  ProgressCounter silent(nobody, 1000);
  silent.add(10);
  silent.reach(500);
  silent.finish();
}
