// The shapes of attack that programs which read checkpoints have met, a row each: how the file is built, and what must
// happen. Every file is opened and read to its last byte in a process of its own. Whatever it says, nothing in it is
// run, nothing beside it changes, and time and memory stay small.
#include <functional>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lang/rules.h"
#include "remap/manifest_file.h"
#include "remap/source.h"
#include "support/catch.h"
#include "support/child.h"
#include "support/source_values.h"
#include "support/temp_folder.h"
#include "support/torch_files.h"
#include "support/yardstick.h"
#include "support/zarr_files.h"

using namespace remap;
using namespace remap::test;
using namespace std::string_literals;
namespace fs = std::filesystem;
namespace mp = remap::test::msgpack;

namespace {

struct Attack {
  std::string shape;     // and where it was met
  std::string file;      // what is opened, in a folder of its own
  std::string bytes;     // of the file; "": `build` writes it
  std::string must_say;  // part of "id: message" of the error; or of what a source that opens says
  std::function<void(const TempFolder&)> build = {};
};

// Everything that can be asked of a checkpoint, as text.
std::string read_all(const std::string& path) {
  const auto source = open_source(path);
  std::string said = "opens: ";
  TileBuffer scratch;
  for (const TensorInfo& tensor : source->manifest().tensors()) {
    said += fmt::format("{} {}; ", tensor.key, describe(tensor));
    if (source->has_data() && tensor.unread == nullptr) (void)tensor_bytes(*source, tensor.key);
  }
  for (const auto& remark : source->remarks()) said += remark + "; ";
  for (const auto& notice : source->notices()) said += notice.message + "; ";
  return said + source->metadata().dump();
}

// Names and sizes of all there is below a folder.
std::vector<std::string> listing(const fs::path& folder) {
  std::vector<std::string> lines;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    lines.push_back(fmt::format("{} {}", entry.path().string(),
                                fs::is_regular_file(entry.symlink_status()) ? entry.file_size() : 0));
  std::sort(lines.begin(), lines.end());
  return lines;
}

void check(const std::vector<Attack>& attacks) {
  for (const Attack& attack : attacks) {
    INFO(attack.shape);
    const TempFolder outer;
    fs::create_directory(outer.path("folder"));
    const TempFolder& folder = outer;
    if (attack.build) attack.build(folder);
    if (!attack.bytes.empty()) folder.write("folder/" + attack.file, attack.bytes);
    const auto before = listing(outer.path());
    const ChildResult result = in_child([&] {
      fs::current_path(folder.path("folder"));
      std::string error;
      std::string said;
      error = error_of([&] { said = read_all(folder.path("folder/" + attack.file)); });
      return error == "nothing was thrown" ? said : error;
    });
    INFO(result.text.substr(0, 2000));
    CHECK(contains(result.text, attack.must_say));
    CHECK(listing(outer.path()) == before);
    CHECK(result.seconds < 10 * full_checkpoint_seconds());
    if (kMeasuresMemory) CHECK(result.peak_bytes < (256u << 20));
  }
}

// ------------------------------------------------------------ torch

std::string text(std::string_view value) {
  return "X" + little(static_cast<uint32_t>(value.size())) + std::string(value);
}

const std::string kCommand = text("touch PWNED");

// {"w": a tensor, "x": what the opcodes leave}
std::string beside_a_tensor(const std::string& opcodes) {
  Pickle pickle(4);
  pickle << "}(";
  pickle.text("w").tensor({}).text("x") << opcodes;
  return pickle.bytes() + "u.";
}
std::string zip_with(const std::string& opcodes) { return build_torch_zip(beside_a_tensor(opcodes)); }
std::string legacy_with(const std::string& opcodes) {
  return build_torch_legacy(beside_a_tensor(opcodes), {{"0", 6, six_floats()}});
}
std::string zip_of(const Pickle::Tensor& tensor) {
  return build_torch_zip((Pickle() << "}").text("w").tensor(tensor).bytes() + "s.");
}
std::string damaged_zip(ZipDamage damage, bool deflate = false) {
  return build_zip(torch_entries((Pickle() << "}").text("w").tensor({}).bytes() + "s.", deflate), damage);
}

// ------------------------------------------------------------ safetensors

std::string safetensors(const std::string& header, const std::string& data) {
  return little<uint64_t>(header.size()) + header + data;
}
std::string entry(const std::string& key, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", key, dtype, shape, offsets);
}
const std::string kOne = safetensors("{" + entry("a", "U8", "[1]", "[0,1]") + "}", "x");

// ------------------------------------------------------------ T5X

std::string flax(const std::string& target) {
  return mp::map({{"version", mp::integer(3)}, {"optimizer", mp::map({{"target", target}})}});
}
std::string flax_array(const std::string& path, uint64_t size = 2) {
  return flax(mp::map({{"x", mp::map({{"driver", mp::text("zarr")},
                                      {"dtype", mp::text("float32")},
                                      {"kvstore", mp::map({{"driver", mp::text("file")}, {"path", mp::text(path)}})},
                                      {"metadata", mp::map({{"shape", mp::array({mp::integer(size)})}})}})}}));
}
// A checkpoint whose only array is described and stored so.
std::function<void(const TempFolder&)> t5x_with(const Zarray& zarray, const std::string& chunk, uint64_t size = 2) {
  return [=](const TempFolder& folder) {
    folder.write("folder/checkpoint", flax_array("target.a", size));
    folder.write("folder/target.a/.zarray", zarray.json());
    folder.write("folder/target.a/0", chunk);
  };
}
template <typename Change>
Zarray zarray_with(Change change) {
  Zarray zarray;
  change(zarray);
  return zarray;
}

std::string id_and_message(const std::string& rules) {
  Diagnostics diagnostics;
  lang::parse_rules(std::make_shared<lang::SourceText>("rules.yaml", rules), diagnostics);
  return diagnostics.items().empty() ? "" : diagnostics.items()[0].id + ": " + diagnostics.items()[0].message;
}

}  // namespace

TEST_CASE("attack: a callable in a checkpoint is a name, however it would be called (CVE-2025-32434, CVE-2025-14924)") {
  const std::string system = "cposix\nsystem\n";
  std::vector<Attack> attacks;
  for (const auto& [form, opcodes] : std::map<std::string, std::string>{
           {"REDUCE", system + kCommand + "\x85R"},
           {"INST", "(" + kCommand + "iposix\nsystem\n"},
           {"OBJ", "(" + system + kCommand + "o"},
           {"NEWOBJ", system + kCommand + "\x85\x81"},
           {"NEWOBJ_EX", system + kCommand + "\x85}\x92"},
           {"STACK_GLOBAL", text("posix") + text("system") + "\x93" + kCommand + "\x85R"},
           {"BUILD of a __setstate__", "ca\nB\n)\x81}" + text("__setstate__") + system + "sb" + kCommand + "b"},
           {"BUILD on a harmless object (fickling, GHSA-mhc9-48gj-9gp3)",
            "ccollections\nOrderedDict\n)R}" + text("__reduce__") + system + kCommand + "\x85Rsb"},
           {"an item appended to a harmless object",
            "ccollections\nOrderedDict\n)R" + text("k") + system + kCommand + "\x85Rs"},
           {"through the loader's own function", "ctorch.storage\n_load_from_bytes\nC\1x\x85R"},
           {"a logger, which would make a file (CVE-2026-56304)", "clogging\nFileHandler\n" + text("PWNED") + "\x85R"}})
    for (const bool zip : {true, false})
      attacks.push_back({form + (zip ? " in a zip archive" : " in a legacy stream"), "model.pt",
                         zip ? zip_with(opcodes) : legacy_with(opcodes), "opens: w F32 [2,3]"});
  check(attacks);
}

TEST_CASE("attack: a string of a checkpoint is never evaluated (CVE-2025-14926, CVE-2025-14928)") {
  const std::string code = "__import__('os').system('touch PWNED')";
  check({
      {"code where a list is meant", "model.pt", zip_with(text(code)), "opens: "},
      {"code in a gin file", "checkpoint", "", "opens: ",
       [&](const TempFolder& folder) {
         folder.write("folder/checkpoint", flax(mp::map({{"n", mp::nil()}})));
         folder.write("folder/config.gin", "import os\nA = @os.system()\nB = \"" + code + "\"\n");
       }},
  });
  const std::string rules = "remap: 1\nfamily: toy\nsource: {root: \"\"}\nlet: {x: \"python_list(\\\"" + code +
                            "\\\")\"}\n"
                            "rules: [{keep: \"**\", when: x == 1}]\n";
  CHECK(
      id_and_message(rules).empty());  // its value: expression_test, "mistakes in expressions are named where they are"
}

TEST_CASE("attack: what cannot be read safely is not read in another way (Stanza 1.12.0)") {
  check({
      {"a class by its number in a registry", "model.pt", zip_with("\x82\1"), "pickle-extension: "},
      {"an unknown opcode behind a callable", "model.pt", zip_with("cposix\nsystem\n" + kCommand + "\x85R0\xff"),
       "pickle-bad-opcode: "},
      {"a bare pickle under a checkpoint's name", "pytorch_model.bin", beside_a_tensor("N"), ": "},
      {"a Keras archive, whose config names classes (CVE-2025-1550)", "model.keras",
       build_zip({{"config.json", R"({"module":"os","class_name":"system"})"},
                  {"metadata.json", "{}"},
                  {"model.weights.h5", "x"}}),
       "source-unknown-format: "},
      {"HDF5, whose links lead elsewhere (CVE-2026-1462)", "model.h5", "\x89HDF\r\n\x1a\n"s + std::string(64, '\0'),
       "source-unknown-format: "},
  });
}

TEST_CASE("attack: container opcodes on the wrong type, storages shorter than their tensors (CVE-2026-24747)") {
  check({
      {"SETITEM of a list", "model.pt", zip_with("]NNs"), "pickle-wrong-type: "},
      {"APPEND to a tuple", "model.pt", zip_with(")Na"), "pickle-wrong-type: "},
      {"ADDITEMS to a list", "model.pt", zip_with("](N\x90"), "pickle-wrong-type: "},
      {"a storage said to be longer than its member", "model.pt", zip_of({.elements = 600}), "torch-bad-storage: "},
      {"a tensor that reaches past its storage", "model.pt", zip_of({.shape = {200, 3}}), "torch-bad-tensor: "},
      {"a stride that leads far out", "model.pt", zip_of({.strides = {0x7fffffff, 1}}), "torch-bad-tensor: "},
      {"a wider type than there are bytes", "model.pt", zip_of({.type = "DoubleStorage"}), "torch-bad-storage: "},
  });
}

TEST_CASE("attack: a payload, then what stops a scanner (hayward)") {
  const std::string payload = "cposix\nsystem\n" + kCommand + "\x85R";
  check({
      {"garbage behind STOP", "model.pt", build_torch_zip(beside_a_tensor(payload) + "\xff\xff garbage"),
       "10 bytes after the end of the pickle are not read"},
      {"a second pickle behind STOP", "model.pt",
       build_torch_zip(beside_a_tensor("N") + Pickle().operator<<(payload).stop()),
       "bytes after the end of the pickle are not read"},
      {"a broken opcode behind the payload", "model.pt", zip_with(payload + "0\xff"), "pickle-bad-opcode: "},
      {"a pickle that ends in the middle", "model.pt", build_torch_zip("\x80\2" + payload), "pickle-no-stop: "},
      {"garbage behind a safetensors file", "model.safetensors", kOne + payload, "safetensors-layout: "},
  });
}

TEST_CASE("attack: sharing makes a small file a huge object") {
  Pickle tuples, lists;
  tuples << "}";
  tuples.text("w").tensor({}) << "sN\x85q\1";
  for (int i = 0; i < 60; ++i) tuples << "0h\1h\1\x86q\1";  // 2^60 leaves
  lists << "]q\1";
  for (int i = 0; i < 60; ++i) lists << "0](h\1h\1eq\1";
  std::string duplicated = "]";
  for (int i = 0; i < 40; ++i) duplicated += "2\x86";
  check({
      {"nested tuples by the memo", "model.pt", build_torch_zip(tuples.stop()), "opens: "},
      {"nested lists by the memo", "model.pt", build_torch_zip(lists.stop()), "opens: "},
      {"DUP", "model.pt", zip_with(duplicated), "opens: w F32 [2,3]"},
      {"a list that holds itself", "model.pt", zip_with("]q\1h\1a"), "opens: w F32 [2,3]"},
      {"200,000 levels", "model.pt", zip_with(std::string(200'000, ']') + std::string(199'999, 'a')),
       "opens: w F32 [2,3]"},
  });
}

TEST_CASE("attack: lengths and counts that no file backs (CVE-2026-21452, GHSA-qjvr-435c-5fjh, CVE-2026-32284)") {
  check({
      {"pickle: bytes of 2^63", "model.pt", zip_with("\x8e\0\0\0\0\0\0\0\x80"s), "pickle-truncated: "},
      {"pickle: text of 4 GiB", "model.pt", zip_with("X\xff\xff\xff\xff"), "pickle-truncated: "},
      {"pickle: a frame of 2^64 - 1", "model.pt", zip_with("\x95" + std::string(8, '\xff')), "pickle-truncated: "},
      {"pickle: memo slot 2^32 - 1", "model.pt", zip_with("Nr\xff\xff\xff\xff"), "opens: w F32 [2,3]"},
      {"msgpack: array of 2^32 - 1", "checkpoint", "\x81\xa1x\xdd\xff\xff\xff\xff\xc0", "t5x-msgpack: "},
      {"msgpack: map of 2^32 - 1", "checkpoint", "\x81\xa1x\xdf\xff\xff\xff\xff\xc0", "t5x-msgpack: "},
      {"msgpack: bytes of 2^32 - 1", "checkpoint", "\x81\xa1x\xc6\xff\xff\xff\xffxx", "t5x-msgpack: "},
      {"msgpack: an extension of 2^32 - 1", "checkpoint", "\x81\xa1x\xc9\xff\xff\xff\xff\1xx", "t5x-msgpack: "},
      {"msgpack: a fixed extension that is cut", "checkpoint", "\x81\xa1x\xd8\1xx", "t5x-msgpack: "},
      {"safetensors: a header longer than the file", "model.safetensors", little<uint64_t>(1000) + "{\"",
       "safetensors-truncated: "},
      {"safetensors: a header of 2^63", "model.safetensors", little<uint64_t>(uint64_t{1} << 63) + "{\"", ": "},
      {"zip: more members than the directory has room for", "model.pt", damaged_zip(ZipDamage::directory_count),
       "zip-truncated: "},
      {"zip: a member of two gigabytes", "model.pt", damaged_zip(ZipDamage::data_past_end), "zip-bad-header: "},
      {"manifest: a folded key that stands for 10^12", "manifest.json",
       R"({"remap_manifest":1,"folded":true,"tensors":{"{0..999999}.{0..999999}":{"dtype":"F32","shape":[]}}})",
       "manifest-syntax: "},
  });
}

TEST_CASE("attack: archives of which two readers see different things (CVE-2025-1944, CVE-2025-1945, zombie zip)") {
  const std::string pickle = beside_a_tensor("N");
  auto two = torch_entries(pickle);
  two.insert(two.begin(), {"archive/data.pkl", Pickle().operator<<("cposix\nsystem\n" + kCommand + "\x85R").stop()});
  auto other_root = torch_entries(pickle);
  other_root.push_back({"other/data.pkl", pickle});
  check({
      {"another name in the local header", "model.pt", damaged_zip(ZipDamage::local_name),
       "the local header of 'archive/data.pkl' has another name"},
      {"another method in the local header", "model.pt", damaged_zip(ZipDamage::local_method), "zip-bad-header: "},
      {"another size in the local header", "model.pt", damaged_zip(ZipDamage::local_size), "zip-bad-header: "},
      {"another checksum in the local header", "model.pt", damaged_zip(ZipDamage::local_crc), "zip-bad-header: "},
      {"other flags in the local header (CVE-2025-1945)", "model.pt", damaged_zip(ZipDamage::local_flags),
       "zip-bad-header: "},
      {"flagged as encrypted, and not (CVE-2025-10156)", "model.pt", damaged_zip(ZipDamage::encrypted),
       "zip-encrypted: "},
      {"a wrong checksum", "model.pt", damaged_zip(ZipDamage::bad_crc), "zip-bad-crc: "},
      {"a wrong checksum of what is deflated", "model.pt", damaged_zip(ZipDamage::bad_crc, true), "zip-bad-crc: "},
      {"said to be stored, and deflated", "model.pt", damaged_zip(ZipDamage::stored_but_deflated, true),
       "zip-bad-crc: "},
      {"stored, and of two sizes", "model.pt", damaged_zip(ZipDamage::stored_sizes_differ), "zip-bad-size: "},
      {"two members of one name", "model.pt", build_zip(two), "zip-duplicate-name: "},
      {"two members by one header", "model.pt", damaged_zip(ZipDamage::same_header_twice), "zip-overlap: "},
      {"members that overlap (Fifield)", "model.pt", damaged_zip(ZipDamage::overlap), "zip-overlap: "},
      {"a member that reaches into the directory", "model.pt", damaged_zip(ZipDamage::into_directory), "zip-overlap: "},
      {"two end records that differ", "model.pt", damaged_zip(ZipDamage::zip64_disagrees), "zip-bad-directory: "},
      {"a member that inflates to two gigabytes", "model.pt", damaged_zip(ZipDamage::deflate_bomb, true),
       "limit-exceeded: the pickle has 2147483647 bytes"},
      {"a second pickle in another folder", "model.pt", build_zip(other_root), "torch-no-pickle: "},
  });
}

TEST_CASE("attack: what a file is, is told by its bytes, not by its name (CVE-2025-1889)") {
  auto extra = torch_entries(beside_a_tensor("N"));
  const std::string payload = Pickle().operator<<("cposix\nsystem\n" + kCommand + "\x85R").stop();
  extra.push_back({"archive/.hidden/config.p", payload});
  extra.push_back({"archive/data/x.pkl", payload});
  check({
      {"a torch file called safetensors", "model.safetensors", zip_with("cposix\nsystem\n" + kCommand + "\x85R"),
       "opens: w F32 [2,3]"},
      {"a safetensors file called pytorch_model.bin", "pytorch_model.bin", kOne, "opens: a U8 [1]"},
      {"further pickles in the archive", "model.pt", build_zip(extra), "opens: w F32 [2,3]"},
      {"a pickle called config.json beside it", "model.safetensors", kOne,
       "json-syntax: ", [&](const TempFolder& folder) { folder.write("folder/config.json", payload); }},
  });
}

TEST_CASE("attack: a shape whose bytes cannot be counted (CVE-2026-33298, CVE-2026-27940)") {
  const int large = 0x7fffffff;
  check({
      {"safetensors", "model.safetensors",
       safetensors("{" + entry("a", "F64", "[4611686018427387904,8]", "[0,8]") + "}", "12345678"),
       "tensor-shape-overflow: "},
      {"safetensors: a product that wraps to 0", "model.safetensors",
       safetensors("{" + entry("a", "U8", "[4294967296,4294967296]", "[0,0]") + "}", ""), "tensor-shape-overflow: "},
      {"torch: strides of 0", "model.pt", zip_of({.shape = {large, large, large}, .strides = {0, 0, 0}}),
       "tensor-shape-overflow: "},
      {"torch: a terabyte from four bytes", "model.pt", zip_of({.shape = {large, 1000}, .strides = {0, 0}}),
       "limit-exceeded: "},
      {"msgpack", "checkpoint", flax(mp::map({{"x", mp::ndarray({1ull << 62, 8}, "float32", "abcd")}})),
       "t5x-msgpack: "},
      {"zarr: the array", "checkpoint", "",
       "tensor-shape-overflow: ", t5x_with(zarray_with([](Zarray& z) { z.shape = "[4611686018427387904]"; }), "")},
      {"zarr: the chunk", "checkpoint", "",
       "limit-exceeded: ", t5x_with(zarray_with([](Zarray& z) { z.chunks = "[1099511627776]"; }), "")},
      {"zarr: more chunks than can be listed", "checkpoint", "", "limit-exceeded: ",
       t5x_with(zarray_with([](Zarray& z) { z.shape = "[1000000000]", z.chunks = "[1]", z.fill_value = "0"; }), "",
                1'000'000'000)},
      {"manifest", "manifest.txt", "a float64 [4611686018427387904, 8]\n", "tensor-shape-overflow: "},
  });
}

TEST_CASE("attack: dims larger than the data (CVE-2026-7482)") {
  check({
      {"safetensors", "model.safetensors", safetensors("{" + entry("a", "F32", "[1000]", "[0,4000]") + "}", "abcd"),
       "safetensors-truncated: "},
      {"safetensors: dims and offsets differ", "model.safetensors",
       safetensors("{" + entry("a", "F32", "[1000]", "[0,4]") + "}", "abcd"), "safetensors-header: "},
      {"msgpack", "checkpoint", flax(mp::map({{"x", mp::ndarray({1000}, "float32", "abcd")}})), "t5x-msgpack: "},
      {"zarr: the chunk", "checkpoint", "", "zarr-chunk: ", t5x_with({}, "abcd")},
      {"zarr: a chunk that decodes to less", "checkpoint", "", "zarr-chunk: ",
       t5x_with(zarray_with([](Zarray& z) { z.compressor = R"({"id":"gzip","level":1})"; }), gzip_bytes("abcd"))},
      {"zarr: a chunk that decodes to far more", "checkpoint", "", "zarr-chunk: ",
       t5x_with(zarray_with([](Zarray& z) { z.compressor = R"({"id":"gzip","level":1})"; }),
                gzip_bytes(std::string(64 << 20, '\0')))},
      {"legacy stream", "model.pt", build_torch_legacy(beside_a_tensor("N"), {{"0", 6, "short"}}), "torch-truncated: "},
  });
}

TEST_CASE("attack: headers that overlap, leave holes, or name a thing twice") {
  const std::string a = entry("a", "U8", "[2]", "[0,2]");
  check({
      {"an overlap", "model.safetensors", safetensors("{" + a + "," + entry("b", "U8", "[2]", "[1,3]") + "}", "xyz"),
       "safetensors-layout: "},
      {"a hole", "model.safetensors", safetensors("{" + a + "," + entry("b", "U8", "[1]", "[3,4]") + "}", "wxyz"),
       "safetensors-layout: "},
      {"a tensor twice", "model.safetensors",
       safetensors("{" + a + "," + entry("a", "U8", "[2]", "[2,4]") + "}", "wxyz"), "safetensors-header: "},
      {"an index's key twice", "model.safetensors.index.json", R"({"weight_map":{"a":"one","a":"two"}})",
       "occurs twice"},
      {"a document's key twice", "model.safetensors", kOne, "occurs twice",
       [](const TempFolder& folder) { folder.write("folder/config.json", R"({"x":1,"x":2})"); }},
  });
}

TEST_CASE("attack: names that lead out of the folder (CVE-2026-27489, CVE-2026-34447)") {
  const auto index = [](const std::string& shard) { return Json{{"weight_map", {{"a", shard}}}}.dump(); };
  const auto outside = [](const TempFolder& folder) { folder.write("outside", kOne); };
  std::vector<Attack> attacks;
  for (const std::string& name :
       {"../outside"s, "/etc/passwd"s, ".."s, "sub/../../outside"s, "..\\outside"s, "outside\0"s, ""s})
    attacks.push_back({"index: '" + name + "'", "model.safetensors.index.json", index(name),
                       "shard-index: weight_map names the file", outside});
  for (const std::string& path : {"../outside"s, "/etc"s, "a/../../outside"s, "."s})
    attacks.push_back({"array: '" + path + "'", "checkpoint", flax_array(path), "t5x-path: ", outside});
  for (const std::string& name : {"../data.pkl"s, "/data.pkl"s, "archive/../data.pkl"s, "archive\\data.pkl"s})
    attacks.push_back({"zip: '" + name + "'", "model.pt",
                       build_zip({{"archive/data.pkl", Pickle().operator<<("}").stop()}, {name, "x"}}),
                       "zip-bad-name: "});
  attacks.push_back(
      {"a storage outside of its folder", "model.pt", zip_of({.key = "../data.pkl"}), "torch-bad-storage: "});
  check(attacks);
}

TEST_CASE("attack: links (CVE-2026-34446)") {
  const std::string index = R"({"weight_map":{"a":"shard"}})";
  const auto link_to = [](const std::string& target) {
    return [target](const TempFolder& folder) {
      folder.write("outside/shard", kOne);
      fs::create_symlink(target, folder.path("folder/shard"));
    };
  };
  check({
      {"a shard that is a link to a folder", "model.safetensors.index.json", index, "io-read: ", link_to("../outside")},
      {"a shard that is a link to a device", "model.safetensors.index.json", index, "io-read: ", link_to("/dev/zero")},
      {"a shard that is a link to nothing", "model.safetensors.index.json", index, "shard-index: ", link_to("gone")},
      {"a shard that is a link to itself", "model.safetensors.index.json", index, "shard-index: ", link_to("shard")},
      {"a shard that is a link out of the folder", "model.safetensors.index.json", index, "is a link to",
       link_to("../outside/shard")},
      {"links of folders that lead around, up and out", "", "",
       "opens: a F32 [2]; not followed, since what they lead to is in the folder itself: the links 'l' and 'm'; "
       "not followed: 'root' is a link to '/', outside of the folder; so is 'x'; {}",
       [](const TempFolder& folder) {
         for (const char* name : {"folder/a", "outside/b"}) {
           folder.write(name + "/.zarray"s, Zarray().json());
           folder.write(name + "/0"s, "8 bytes.");
         }
         for (const auto& [name, target] :
              std::map<std::string, std::string>{{"l", "."}, {"m", "."}, {"root", "/"}, {"x", "../outside"}})
           fs::create_symlink(target, folder.path("folder/" + name));
       }},
      {"a chunk that is a link out of the folder", "", "", "'a/0' is a link to '../../outside', outside of the folder",
       [](const TempFolder& folder) {
         folder.write("folder/a/.zarray", Zarray().json());
         folder.write("outside", "8 bytes.");
         fs::create_symlink("../../outside", folder.path("folder/a/0"));
       }},
      {"a pipe that nobody writes to", "model.safetensors", "", "io-read: ",
       [](const TempFolder& folder) {
         REQUIRE(::system(("mkfifo " + folder.path("folder/model.safetensors")).c_str()) == 0);
       }},
      {"a shard that is a hard link", "model.safetensors.index.json", index, "opens: a U8 [1]",
       [](const TempFolder& folder) {
         folder.write("outside/shard", kOne);
         fs::create_hard_link(folder.path("outside/shard"), folder.path("folder/shard"));
       }},
  });
}

TEST_CASE("attack: rule files sent for review (CVE-2022-25857)") {
  const std::string head = "remap: 1\nfamily: toy\nsource: {root: \"\"}\n";
  std::string bomb = "a: &a [x, x]\n";
  for (char c = 'b'; c <= 'z'; ++c)
    bomb += fmt::format("{0}: &{0} [*{1}, *{1}, *{1}, *{1}]\n", c, static_cast<char>(c - 1));
  const struct {
    const char* shape;
    std::string rules, must_say;
  } rows[] = {
      {"aliases of aliases", head + bomb, "yaml-unsupported: an anchor"},
      {"ten thousand brackets", head + "rules: " + std::string(10'000, '[') + std::string(10'000, ']'),
       "yaml-syntax: "},
      {"ten thousand levels of blocks",
       head + "rules:\n" +
           [] {
             std::string levels;
             for (size_t i = 1; i < 2000; ++i) levels += std::string(i, ' ') + "-\n";
             return levels;
           }(),
       "yaml-syntax: "},
      {"a key twice, the second far below",
       head + "rules: [{drop: a, because: x}]\n" + std::string(5000, '\n') + "rules: []\n", "yaml-duplicate-key: "},
      {"a field twice in a rule", head + "rules: [{drop: a, because: x, drop: b}]\n", "yaml-duplicate-key: "},
      {"a merge key", head + "rules: [{<<: {drop: a}, because: x}]\n", "yaml-unsupported: "},
      {"a tag that makes objects", head + "rules: !!python/object/apply:os.system [touch PWNED]\n",
       "yaml-unsupported: "},
      {"a second document", head + "rules: []\n---\nrules: []\n", "yaml-unsupported: "},
      {"what an editor does not show", head + "rules: []\r# x\n", "yaml-syntax: a carriage return"},
      {"a regex that takes for ever elsewhere", head + "rules: [{from: 're:(a*)*b', to: c}]\n", ""},
      {"a regex that is too large", head + "rules: [{from: 're:((((a{100}){100}){100}){100})', to: c}]\n",
       "pattern-syntax: "},
      {"an expression of ten thousand parentheses",
       head + "let: {x: \"" + std::string(10'000, '(') + "1" + std::string(10'000, ')') + "\"}\nrules: []\n",
       "expression-"},
  };
  for (const auto& row : rows) {
    INFO(row.shape);
    const ChildResult result = in_child([&] { return id_and_message(row.rules); });
    INFO(result.text);
    CHECK(contains(result.text, row.must_say));
    CHECK(result.seconds < 10 * full_checkpoint_seconds());
    if (kMeasuresMemory) CHECK(result.peak_bytes < (256u << 20));
  }
}
