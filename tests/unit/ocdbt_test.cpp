// OCDBT databases and the arrays that Orbax keeps in them: what is read, and every damage by its name.
#include "formats/ocdbt.h"
#include "remap/source.h"
#include "support/catch.h"
#include "support/ocdbt_files.h"
#include "support/source_values.h"
#include "support/temp_folder.h"

#include <functional>

#include <fmt/format.h>

using namespace remap;
using namespace remap::test;
using namespace remap::test::ocdbt;
using formats::OcdbtDatabase;

namespace {

namespace fs = std::filesystem;

const std::string kNodeFile = "d/node", kValueFile = "d/value";
const Envelope kNodeForm = {kNode};

// A database of one leaf: "a" inline, "b" in a file of its own.
struct Database {
  std::vector<LeafEntry> entries = {{"a", "inline"}, {"b", "", true, {0, 2, 3}}};
  std::vector<FileName> value_files = {{kValueFile}};
  std::string values = "..abc..";
  std::string node;      // if not empty, in the leaf's place
  std::string manifest;  // if not empty, in its place
  std::vector<FileName> node_files = {{kNodeFile}};
  std::vector<Version> list = {{1, 0, {}}};

  std::string leaf() const { return sealed(leaf_body(entries, value_files), kNodeForm); }
  void write(const TempFolder& folder) const {
    const std::string stored = node.empty() ? leaf() : node;
    std::vector<Version> filled = list;
    if (filled.back().root.length == 0) filled.back().root.length = stored.size();
    folder.write(kNodeFile, stored);
    folder.write(kValueFile, values);
    folder.write("manifest.ocdbt", manifest.empty() ? sealed(manifest_body(node_files, filled)) : manifest);
  }
};

std::string bytes_of_floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::string text_of(const std::optional<formats::StoredValue>& value) {
  return value ? std::string(reinterpret_cast<const char*>(value->bytes.data()), value->bytes.size()) : "(none)";
}

// Everything that opening and reading it throws.
std::string error_of_all(const TempFolder& folder, const Limits& limits = {}) {
  return error_of([&] {
    const OcdbtDatabase database(folder.path(), limits);
    for (size_t i = 0; i < database.size(); ++i) database.find(std::string(database.key(i)));
  });
}

}  // namespace

TEST_CASE("keys and values of the newest version, inline and outside, packed or not") {
  for (const uint64_t method : {0, 1}) {
    const TempFolder folder;
    Database db;
    db.node = sealed(leaf_body(db.entries, db.value_files), {kNode, 0, method});
    const Version none{1, 0, {0, ~uint64_t{0}, ~uint64_t{0}}};
    db.manifest = sealed(manifest_body(db.node_files, {none, {4, 0, {0, 0, db.node.size()}}}), {kManifest, 0, method});
    db.write(folder);
    const OcdbtDatabase database(folder.path(), {});
    CHECK(database.generation() == 4);
    CHECK(database.size() == 2);
    CHECK(text_of(database.find("a")) == "inline");
    CHECK(text_of(database.find("b")) == "abc");
    CHECK(text_of(database.find("")) == "(none)");
    CHECK(text_of(database.find("bb")) == "(none)");
    CHECK(database.files_read().size() == 3);
  }
}

TEST_CASE("deep trees: keys below a common prefix, files below a base") {
  const TempFolder folder;
  // root (height 1) in sub/x/d/root, whose base sub/x/ leads to d/left, d/right and the value d/v.
  const std::string left = sealed(leaf_body({{"", "0"}, {"1", "1"}}), kNodeForm);
  const std::string right = sealed(leaf_body({{"k", "", true, {0, 1, 1}}}, {{"d/v"}}), kNodeForm);
  const std::string root = sealed(
      interior_body(1, {{"ab", 2, {0, 0, left.size()}}, {"ac", 1, {1, 0, right.size()}}}, {{"d/left"}, {"d/right"}}),
      kNodeForm);
  folder.write("sub/x/d/left", left);
  folder.write("sub/x/d/right", right);
  folder.write("sub/x/d/v", "vw");
  folder.write("sub/x/d/root", root);
  folder.write("manifest.ocdbt", sealed(manifest_body({{"sub/x/d/root", 6}}, {{1, 1, {0, 0, root.size()}}})));
  const OcdbtDatabase database(folder.path(), {});
  REQUIRE(database.size() == 3);
  CHECK(text_of(database.find("ab")) == "0");
  CHECK(text_of(database.find("ab1")) == "1");
  CHECK(text_of(database.find("ak")) == "w");
}

TEST_CASE("a database that was never written to, or whose newest version is empty, has no keys") {
  const TempFolder folder;
  folder.write("manifest.ocdbt", sealed(configuration(1)));
  CHECK(OcdbtDatabase(folder.path(), {}).size() == 0);
  folder.write("manifest.0000000000000003", sealed(manifest_body({{""}}, {{3, 0, {0, ~uint64_t{0}, ~uint64_t{0}}}})));
  CHECK(OcdbtDatabase(folder.path(), {}).generation() == 3);
  Database db;
  db.write(folder);  // the numbered file is not read for a manifest that has versions of its own
  CHECK(OcdbtDatabase(folder.path(), {}).size() == 2);
}

TEST_CASE("damaged databases are refused by name") {
  const std::string good = sealed(manifest_body({{kNodeFile}}, {{1, 0, {0, 0, Database().leaf().size()}}}));
  const auto node = [](const std::string& body) { return sealed(body, kNodeForm); };
  const auto with_manifest = [](const std::string& bytes) { return [bytes](Database& d) { d.manifest = bytes; }; };
  const auto with_node = [&](const std::string& body) { return [=](Database& d) { d.node = node(body); }; };
  const auto with_path = [](const std::string& path) { return [path](Database& d) { d.node_files = {{path}}; }; };
  const std::string bomb(1 << 28, '\0');
  std::string flipped = good;
  flipped[30] ^= 1;
  struct Row {
    const char* damage;
    std::function<void(Database&)> change;
    const char* error;
  };
  const Row rows[] = {
      {"cut", with_manifest(good.substr(0, 40)), "ocdbt-damaged: the length is"},
      {"7 bytes", with_manifest("1234567"), "7 bytes, fewer than the 18"},
      {"one bit", with_manifest(flipped), "ocdbt-damaged: the checksum is"},
      {"a node in its place", with_manifest(Database().leaf()), "the magic number is 0cdb20de; 0cdb3a2a was expected"},
      {"another length", with_manifest(sealed("", {kManifest, 0, 0, 1})), "the length is 19 by its own account"},
      {"a later version", with_manifest(sealed("", {kManifest, 9})), "ocdbt-unsupported: version 9 of the format"},
      {"an unknown compression", with_manifest(sealed("", {kManifest, 0, 7})), "ocdbt-unsupported: compression 7"},
      {"a bomb", with_manifest(sealed(bomb, {kManifest, 0, 1})), "so many are not unpacked"},
      {"bytes behind", with_manifest(sealed(manifest_body({}, {{1, 0, {}}}) + "x")), "follow the version nodes"},
      {"no version", with_manifest(sealed(manifest_body({}, {}))), "there is no version"},
      {"2^62 versions", with_manifest(sealed(configuration() + varint(0) + varint(uint64_t{1} << 62))),
       "versions: 4611686018427387904 are claimed, and 0 bytes left"},
      {"2^60 files", with_manifest(sealed(configuration() + varint(uint64_t{1} << 60))), "data files: 1152921504606"},
      {"versions out of order", with_manifest(sealed(manifest_body({}, {{5, 0, {}}, {3, 0, {}}}))),
       "the generation 3 is not greater"},
      {"an arity of 2^0", with_manifest(sealed(configuration(0, 0))), "the arity of versions is 2 to the power of 0"},
      {"kind 2", with_manifest(sealed(configuration(2))), "the manifest's kind is 2"},
      {"a number of 11 bytes", with_manifest(sealed(configuration() + std::string(11, '\xff'))), "data files: not"},
      {"a path that leads out", with_path("../d/node"), "ocdbt-path: the database names the data file '../d/node'"},
      {"and back", with_path("d/../../d/node"), "ocdbt-path"},
      {"an absolute path", with_path("/etc/hostname"), "ocdbt-path"},
      {"an empty path", with_path(""), "ocdbt-path"},
      {"a path of a dot", with_path("./d/node"), "ocdbt-path"},
      {"a path with a zero byte", with_path(std::string("d/node\0x", 8)), "ocdbt-path"},
      {"a path with a backslash", with_path("d\\node"), "ocdbt-path"},
      {"a path of two slashes", with_path("d//node"), "ocdbt-path"},
      {"a path of 70000 bytes", with_path(std::string(70000, 'x')), "the suffix of a data file's path: not a number"},
      {"no such file", with_path("d/other"), "source-parts: the data file 'd/other' of the database is not there"},
      {"a file that the table has not", [](Database& d) { d.list[0].root = {3, 0, 9}; }, "in data file 3 of 1"},
      {"past the end", [](Database& d) { d.list[0].root = {0, 5, 1 << 20}; }, "a node has 1048576 bytes"},
      {"an offset that wraps", [](Database& d) { d.list[0].root = {0, ~uint64_t{0} - 3, 9}; }, "a node has 9 bytes"},
      {"another height", [](Database& d) { d.list[0].height = 1; }, "the node's height is 0; 1 was expected"},
      {"a manifest as node", [&](Database& d) { d.node = good; }, "the magic number is 0cdb3a2a; 0cdb20de was"},
      {"no entries", with_node(leaf_body({})), "the node has no entries"},
      {"2^31 entries", with_node(std::string(1, '\0') + file_table({}) + varint(uint64_t{1} << 31)),
       "entries: 2147483648 are claimed"},
      {"a key of 70000 bytes", with_node(leaf_body({{std::string(70000, 'k'), ""}})), "a key: not a number"},
      {"a shared prefix that is not there",
       with_node(std::string(1, '\0') + file_table({}) + varint(2) + varints({5, 1, 1}) + "ab" + varints({0, 0}) +
                 std::string(2, '\0')),
       "a key shares more bytes than the one before it has"},
      {"keys out of order", with_node(leaf_body({{"b", ""}, {"a", ""}})), "the keys are not in ascending order"},
      {"a key twice", with_node(leaf_body({{"a", ""}, {"a", ""}})), "the keys are not in ascending order"},
      {"kind 5 of a value", with_node(leaf_body({{"a", "", false, {}, 5}})), "the kind of a value is 5"},
      {"an inline value that is not there",
       with_node(std::string(1, '\0') + file_table({}) + varint(1) + varints({1}) + "a" + varint(uint64_t{1} << 40) +
                 std::string(1, '\0')),
       "an inline value: 1099511627776 bytes needed"},
      {"bytes behind a node", with_node(leaf_body({{"a", ""}}) + "x"), "1 bytes follow the node's entries"},
      {"a value outside", [](Database& d) { d.entries[1].place = {0, 5, 3}; }, "the value of 'b' has 3 bytes"},
      {"a value of 2^50 bytes", [](Database& d) { d.entries[1].place.length = uint64_t{1} << 50; }, "the value of 'b'"},
      {"a value in another folder", [](Database& d) { d.value_files = {{"../secret"}}; }, "ocdbt-path"},
      {"a value in no file", [](Database& d) { d.entries[1].place.file = 1; }, "a value is in data file 1 of 1"},
      {"a node that unpacks to 256 MiB", [&](Database& d) { d.node = sealed(bomb, {kNode, 0, 1}); },
       "so many are not unpacked"},
      {"zstd that is none",
       [&](Database& d) {
         std::string bytes = sealed("xxxx", kNodeForm);
         bytes[13] = 1;
         bytes.resize(bytes.size() - 4);
         d.node = bytes + u32(crc32c(std::as_bytes(std::span(bytes))));
       },
       "zstd data is damaged"},
      {"a child that is itself",
       [&](Database& d) {
         const auto body = [&](size_t length) { return interior_body(1, {{"a", 0, {0, 0, length}}}, {{kNodeFile}}); };
         d.list[0].height = 1;
         d.node = node(body(node(body(99)).size()));
       },
       "ocdbt-damaged: the tree's nodes, one counted as often as it is reached"},
      {"one leaf below two keys",
       [&](Database& d) {
         const std::string leaf = node(leaf_body({{"c", ""}}));
         d.values = leaf + std::string(1000, '.');
         d.list[0].height = 1;
         const ocdbt::Place at{0, 0, leaf.size()};
         d.node = node(interior_body(1, {{"a", 0, at}, {"b", 0, at}}, {{kValueFile}}));
       },
       "the node's keys do not follow those before it"},
      {"a child that begins before its key",
       [&](Database& d) {
         const std::string leaf = node(leaf_body({{"a", ""}}));
         d.values = leaf;
         d.list[0].height = 1;
         d.node = node(interior_body(1, {{"b", 0, {0, 0, leaf.size()}}}, {{kValueFile}}));
       },
       "the node's first key is smaller than its parent says"},
  };
  for (const Row& row : rows) {
    INFO(row.damage);
    const TempFolder folder;
    Database db;
    row.change(db);
    db.write(folder);
    const std::string error = error_of_all(folder);
    INFO(error);
    CHECK(contains(error, row.error));
  }
  const TempFolder folder;
  Database().write(folder);
  Limits limits;
  limits.max_tensors = 1;
  CHECK(contains(error_of_all(folder, limits), "limit-exceeded: 2 keys of the database; at most 1"));
  for (size_t at = 0; at < Database().leaf().size(); ++at) {  // any one bit of the node
    Database db;
    db.node = db.leaf();
    db.node[at] = static_cast<char>(db.node[at] ^ 4);
    db.write(folder);
    CHECK(contains(error_of_all(folder), "ocdbt-"));
  }
}

TEST_CASE("a data file that becomes another one is noticed") {
  const TempFolder folder;
  Database db;
  db.entries.pop_back();
  db.value_files.clear();
  for (int i = 10; i < 90; ++i) {  // more than are held open
    db.entries.push_back({fmt::format("k{}", i), "", true, {db.value_files.size(), 0, 2}});
    db.value_files.push_back({fmt::format("v/{}", i)});
    folder.write(db.value_files.back().path, "xy");
  }
  db.write(folder);
  const OcdbtDatabase database(folder.path(), {});
  for (int i = 10; i < 90; ++i) CHECK(text_of(database.find(fmt::format("k{}", i))) == "xy");
  folder.write("v/10", "xyz");
  CHECK(contains(error_of([&] { database.find("k10"); }), "io-changed"));
}

TEST_CASE("Orbax's tree: keys, what must be there, what is not an array") {
  const std::string zarray = R"({"chunks":[2],"compressor":null,"dtype":"<f4","fill_value":null,"filters":null,)"
                             R"("order":"C","shape":[2],"zarr_format":2})";
  const auto leaf = [](const char* text, const char* keys, const char* value) {
    return fmt::format(R"("{}":{{"key_metadata":[{}],"value_metadata":{}}})", text, keys, value);
  };
  const auto tree = [](const std::string& leaves) { return fmt::format(R"({{"tree_metadata":{{{}}}}})", leaves); };
  const std::string array = R"({"value_type":"jax.Array","skip_deserialize":false})";
  const TempFolder folder;
  Database db;
  db.entries = {{"a.b/w/.zarray", zarray}, {"a.b/w/0", bytes_of_floats({1, 2})}, {"zero/.zarray", zarray}};
  db.write(folder);
  CHECK(open_source(folder.path())->format() == "zarr");
  CHECK(open_source(folder.path())->manifest().find("a.b/w") != Manifest::npos);
  folder.write("_METADATA", tree(leaf("1", R"({"key":"a"},{"key":"b/w"})", array.c_str()) + "," +
                                 leaf("2", R"({"key":"none"})", R"({"value_type":"None","skip_deserialize":true})")));
  const auto source = open_source(folder.path());
  CHECK(source->format() == "orbax");
  CHECK(tensor_values<float>(*source, "a/b/w") == std::vector<float>{1, 2});
  CHECK(tensor_values<float>(*source, "zero") == std::vector<float>{0, 0});
  const std::pair<std::string, const char*> rows[] = {
      {"[]", "orbax-tree: there is no object 'tree_metadata'"},
      {"{", "orbax-tree: not valid JSON"},
      {R"({"tree_metadata":{"x":{}}})", "orbax-tree: the leaf x has no list of keys"},
      {tree(leaf("1", R"({"key":"lost"})", array.c_str())), "source-parts: the array 'lost' of the tree is not there"},
      {tree(leaf("1", R"({"key":"a"},{"key":"b/w"})", array.c_str()) + "," +
            leaf("2", R"({"key":"a.b/w"})", array.c_str())),
       "orbax-tree: two leaves of the tree have the array 'a.b/w': 'a/b/w' and 'a.b/w'"},
  };
  for (const auto& [text, expected] : rows) {
    folder.write("_METADATA", text);
    const std::string error = error_of([&] { open_source(folder.path()); });
    INFO(error);
    CHECK(contains(error, expected));
  }
}

TEST_CASE("managers' folders: the only step, the item that holds the model; what is not finished") {
  const TempFolder folder;
  const auto copy_to = [&](const std::string& name) {
    fs::create_directories(folder.path(name));
    const TempFolder made;
    Database db;
    db.entries = {{"x", "y"}};
    db.write(made);
    fs::copy(made.path(), folder.path(name), fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  };
  copy_to("7/params");
  CHECK(open_source(folder.path())->folder() == folder.path("7/params"));
  copy_to("7/train_state");
  CHECK(open_source(folder.path())->folder() == folder.path("7/params"));
  CHECK(contains(open_source(folder.path("7"))->notices().at(0).message, "taken: 'params'; left aside: 'train_state'"));
  copy_to("12.orbax-checkpoint-tmp-3/params");
  CHECK(open_source(folder.path())->folder() == folder.path("7/params"));
  CHECK(contains(error_of([&] { open_source(folder.path("12.orbax-checkpoint-tmp-3")); }), "orbax-unfinished"));
  copy_to("12/other");
  copy_to("12/another");
  CHECK(contains(error_of([&] { open_source(folder.path()); }), "the folder holds several checkpoints: '7' and '12'"));
  CHECK(contains(error_of([&] { open_source(folder.path("12")); }), "several checkpoints: 'another' and 'other'"));
  copy_to("20/ocdbt.process_0");
  CHECK(contains(error_of([&] { open_source(folder.path("20")); }), "orbax-unfinished"));
}
