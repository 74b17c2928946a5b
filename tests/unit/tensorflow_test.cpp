// TensorFlow checkpoints: tables, entries, slices, strings, the form of before 0.12, folders; every damage by its name.
#include "formats/snappy.h"
#include "formats/tensorflow_source.h"
#include "support/catch.h"
#include "support/source_values.h"
#include "support/temp_folder.h"
#include "support/tensorflow_files.h"
#include "tensor/tiling.h"

#include <functional>

#include <fmt/format.h>

using namespace remap;
using namespace remap::test;
using namespace remap::test::tensorflow;
using formats::SliceExtent;
using formats::TensorSlice;

namespace {

namespace fs = std::filesystem;

std::string bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

const std::vector<float> kBias = {1, 2}, kWeight = {1, 2, 3, 4, 5, 6};

// A checkpoint of two tensors, `bias` [2] and `kernel` [3,2], as a test changes it.
struct Bundle {
  std::string header = header_message();
  std::map<std::string, Entry> entries;
  std::string data = bytes_of(kBias) + bytes_of(kWeight);
  size_t per_block = 1000;

  Bundle() {
    entries["bias"] = {1, {2}, 0, 0, 8, sum_of(bytes_of(kBias))};
    entries["kernel"] = {1, {3, 2}, 0, 8, 24, sum_of(bytes_of(kWeight))};
  }
  Entries all() const {
    Entries list = {{"", header}};
    for (const auto& [key, entry] : entries) list.emplace_back(key, entry.message());
    return list;
  }
  std::string write(const TempFolder& folder) const { return write_index(folder, table(all(), per_block)); }
  std::string write_index(const TempFolder& folder, const std::string& index) const {
    folder.write("m.ckpt.data-00000-of-00001", data);
    return folder.write("m.ckpt.index", index);
  }
};

// Everything that opening and reading it throws.
std::string error_of_all(const std::string& path) {
  return error_of([&] {
    const auto source = open_source(path);
    for (const auto& tensor : source->manifest().tensors())
      if (tensor.unread == nullptr) tensor_bytes(*source, tensor.key);
  });
}

}  // namespace

TEST_CASE("CRC-32C") {
  const std::string_view digits = "123456789";
  const auto bytes = std::as_bytes(std::span(digits));
  CHECK(crc32c(bytes) == 0xe3069283u);
  CHECK(crc32c(bytes.subspan(4), crc32c(bytes.first(4))) == 0xe3069283u);
  CHECK(crc32c({}) == 0);
}

TEST_CASE("what boxes cover is told exactly") {
  struct Row {
    std::vector<Box> boxes;
    const char* fault;
  };
  const Row rows[] = {
      {{{{0, 0}, {3, 4}}}, ""},
      {{{{0, 0}, {1, 4}}, {{1, 0}, {2, 4}}}, ""},
      // A pinwheel, which no cut takes apart.
      {{{{0, 0}, {1, 2}}, {{0, 2}, {2, 2}}, {{1, 0}, {2, 1}}, {{2, 1}, {1, 3}}, {{1, 1}, {1, 1}}}, ""},
      {{{{0, 0}, {1, 4}}}, "they leave a part uncovered"},
      {{{{0, 0}, {2, 4}}, {{1, 0}, {2, 4}}}, "they overlap"},
      {{{{0, 0}, {3, 2}}, {{0, 0}, {3, 2}}}, "they overlap"},
      {{{{0, 0}, {3, 4}}, {{1, 1}, {0, 2}}}, ""},  // a box without elements covers nothing
      {{}, "they leave a part uncovered"},
  };
  for (const Row& row : rows) CHECK(tiling_fault(row.boxes, {3, 4}) == row.fault);
  CHECK(tiling_fault({}, {0, 4}).empty());
  CHECK(tiling_fault({{{}, {}}}, {}).empty());
  CHECK(tiling_fault({{{}, {}}, {{}, {}}}, {}) == "they overlap");
  std::vector<Box> many(1000, {Shape(32, 0), Shape(32, 1)});
  CHECK(contains(tiling_fault(many, Shape(32, 2)), "more than can be compared"));
}

TEST_CASE("tensors are listed and read, from one block or many") {
  for (const size_t per_block : {1, 2, 1000}) {
    const TempFolder folder;
    Bundle bundle;
    bundle.per_block = per_block;
    const std::string index = bundle.write(folder);
    for (const std::string& path :
         {folder.path(), index, folder.path("m.ckpt"), folder.path("m.ckpt.data-00000-of-00001")}) {
      INFO(path);
      const auto source = open_source(path);
      CHECK(source->format() == "tensorflow");
      CHECK(source->manifest().tensors() ==
            std::vector<TensorInfo>{{"bias", DType::f32, {2}}, {"kernel", DType::f32, {3, 2}}});
      CHECK(tensor_values<float>(*source, "kernel") == kWeight);
      CHECK(source->in_place(0));
    }
  }
}

TEST_CASE("slices are read by their boxes, whichever way whole axes are written") {
  const TempFolder folder;
  Bundle bundle;
  bundle.entries.clear();
  const TensorSlice left = {{}, {0, 70}}, right = {{0, 2}, {70, 130}};
  std::vector<float> whole(400), part;
  for (size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<float>(i);
  bundle.data.clear();
  bundle.entries["w"] = {1, {2, 200}, 0, 0, 0, 0, {right, left}};
  for (const auto& [slice, begin, width] : {std::tuple(left, 0, 70), std::tuple(right, 70, 130)}) {
    part.clear();
    for (int row = 0; row < 2; ++row)
      part.insert(part.end(), whole.begin() + 200 * row + begin, whole.begin() + 200 * row + begin + width);
    const auto offset = static_cast<int64_t>(bundle.data.size());
    bundle.data += bytes_of(part);
    bundle.entries[formats::slice_key("w", slice)] = {
        1, {2, width}, 0, offset, static_cast<int64_t>(part.size() * 4), sum_of(bytes_of(part))};
  }
  bundle.write(folder);
  const auto source = open_source(folder.path());
  REQUIRE(source->manifest().size() == 1);
  CHECK(source->tile_boxes(0) == std::vector<Box>{{{0, 0}, {2, 70}}, {{0, 70}, {2, 130}}});
  CHECK(tensor_values<float>(*source, "w") == whole);
}

TEST_CASE("keys of slices keep the order of numbers") {
  using formats::slice_key;
  CHECK(slice_key("a", {}) == std::string("\0a\0\1\0", 5));
  CHECK(slice_key(std::string("\0\xff", 2), {}) == std::string("\0\0\xff\xff\0\0\1\0", 8));
  CHECK(slice_key("", {{}, {0, 4}}) == std::string("\0\0\1\1\2\x80\x7f\x80\x84", 9));
  CHECK(slice_key("", {{64, 200}}) == std::string("\0\0\1\1\1\xc0\x40\xc0\xc8", 9));
  CHECK(slice_key("", {{8191, 8192}}) == std::string("\0\0\1\1\1\xdf\xff\xe0\x20\0", 10));
  std::string last;
  for (const int64_t start : {int64_t{0}, int64_t{63}, int64_t{64}, int64_t{8192}, int64_t{1} << 31, int64_t{1} << 40,
                              int64_t{1} << 48, int64_t{1} << 55, int64_t{1} << 61, INT64_MAX}) {
    const std::string key = slice_key("", {{start, 1}});
    CHECK(last < key);
    last = key;
  }
}

TEST_CASE("strings are metadata, and the graph of objects is read") {
  const TempFolder folder;
  Bundle bundle;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape, const std::vector<std::string>& strings) {
    const auto [data, sum] = strings_data(strings);
    bundle.entries[name] = {
        7, std::move(shape), 0, static_cast<int64_t>(bundle.data.size()), static_cast<int64_t>(data.size()), sum};
    bundle.data += data;
  };
  const std::string attribute = bytes_field(1, "VARIABLE_VALUE") + bytes_field(2, "dense/kernel") +
                                bytes_field(3, "model/kernel/.ATTRIBUTES/VARIABLE_VALUE");
  add("_CHECKPOINTABLE_OBJECT_GRAPH", {}, {bytes_field(1, "") + bytes_field(1, bytes_field(2, attribute))});
  add("words", {2}, {"a", std::string(200, 'b')});
  add("one", {}, {"\xff\0x"});
  bundle.entries["none"] = {7, {0}, 0, 0, 0, sum_of("")};
  bundle.write(folder);
  const auto source = open_source(folder.path());
  CHECK(source->manifest().size() == 2);
  CHECK(source->metadata()["object_graph"] ==
        Json::parse(R"({"objects":2,"variables":{"model/kernel/.ATTRIBUTES/VARIABLE_VALUE":"dense/kernel"}})"));
  CHECK(source->metadata()["strings"]["words"] == Json({"a", std::string(200, 'b')}));
  CHECK(source->metadata()["strings"]["one"] == Json::parse(R"({"$bytes":1,"hex":"ff"})"));
  CHECK(source->metadata()["strings"]["none"] == Json::array());
  CHECK(source->remarks().size() == 3);
}

TEST_CASE("types that are not numbers of their own are listed, not read") {
  const TempFolder folder;
  Bundle bundle;
  bundle.entries["bias"].dtype = 13;  // qint32
  bundle.entries["kernel"] = {21, {}, 0, 0, 5, 0};
  bundle.write(folder);
  const auto source = open_source(folder.path());
  CHECK(describe(source->manifest()[0]) == "qint32 [2], not read: a quantized tensor, whose scale is elsewhere");
  CHECK(describe(source->manifest()[1]) == "variant [], not read: an object of TensorFlow's, not numbers");
  TileBuffer buffer;
  CHECK(contains(error_of([&] { source->load(0, 0, buffer); }), "tensor-unread"));
}

TEST_CASE("damaged entries are refused by name") {
  struct Row {
    const char* damage;
    std::function<void(Bundle&)> change;
    const char* error;
  };
  const Row rows[] = {
      {"no header", [](Bundle& b) { b.header.clear(); }, "tensorflow-entry: the header counts 0 data files"},
      {"a header that is not a message", [](Bundle& b) { b.header = "\x0a\xff"; },
       "the header: field 1 runs past the end"},
      {"big-endian", [](Bundle& b) { b.header += number_field(2, 1); }, "tensorflow-unsupported: the checkpoint was "},
      {"a later version", [](Bundle& b) { b.header = number_field(1, 1) + bytes_field(3, number_field(2, 99)); },
       "tensorflow-unsupported: the checkpoint is for readers of version 99"},
      {"a bad consumer", [](Bundle& b) { b.header = number_field(1, 1) + bytes_field(3, bytes_field(3, "\1")); },
       "tensorflow-unsupported: the checkpoint names version 1"},
      {"an unknown type", [](Bundle& b) { b.entries["bias"].dtype = 99; }, "'bias': 99 is not a known type"},
      {"a negative dimension", [](Bundle& b) { b.entries["bias"].shape = {-1}; }, "the dimension -1 is negative"},
      {"too many elements", [](Bundle& b) { b.entries["bias"].shape = Shape(3, int64_t{1} << 33); },
       "tensor-shape-overflow"},
      {"a shape too large", [](Bundle& b) { b.entries["bias"].shape = {int64_t{1} << 40}; },
       "which takes 4398046511104 bytes, and its entry says 8"},
      {"a shape too small", [](Bundle& b) { b.entries["bias"].shape = {1}; }, "takes 4 bytes, and its entry says 8"},
      {"too many dimensions", [](Bundle& b) { b.entries["bias"].shape = Shape(33, 1); }, "more than 32 dimensions"},
      {"a shard that is not there", [](Bundle& b) { b.entries["bias"].shard = 5; }, "'bias' is in data file 5 of 1"},
      {"a negative shard", [](Bundle& b) { b.entries["bias"].shard = -1; }, "'bias' is in data file -1 of 1"},
      {"an offset past the end", [](Bundle& b) { b.entries["kernel"].offset = 9; },
       "tensorflow-data: 'kernel' has 24 bytes from byte 9, and the file 32"},
      {"an offset that overflows", [](Bundle& b) { b.entries["kernel"].offset = INT64_MAX; }, "tensorflow-data"},
      {"a negative offset", [](Bundle& b) { b.entries["kernel"].offset = -16; }, "tensorflow-data"},
      {"a negative size", [](Bundle& b) { b.entries["kernel"].size = -24; }, "and its entry says -24"},
      {"another data file", [](Bundle& b) { b.header = header_message(2); },
       "source-parts: the data file is not there"},
      {"2^31-1 data files", [](Bundle& b) { b.header = header_message(INT32_MAX); }, "source-parts"},
      {"changed data", [](Bundle& b) { b.data[9] = '!'; }, "tensorflow-data: the checksum of 'kernel' is"},
      {"strings past their bytes", [](Bundle& b) { b.entries["bias"].dtype = 7, b.entries["bias"].shape = {9}; },
       "the strings of 'bias': 9 strings do not fit into 8 bytes"},
      {"strings of other bytes", [](Bundle& b) { b.entries["bias"].dtype = 7; }, "the strings of 'bias': "},
      {"a slice that is not there",
       [](Bundle& b) {
         b.entries["bias"].slices = {{{0, 1}}, {{1, 1}}};
       },
       "'bias' has no entry for its slice of [1] at [0]"},
      {"a slice of another rank",
       [](Bundle& b) {
         b.entries["bias"].slices = {{{0, 1}, {0, 1}}};
       },
       "a slice of 'bias' has 2 dimensions, and the tensor 1"},
      {"a slice outside",
       [](Bundle& b) {
         b.entries["bias"].slices = {{{1, 2}}};
       },
       "outside of the shape [2]"},
      {"a slice that overflows",
       [](Bundle& b) {
         b.entries["bias"].slices = {{{INT64_MAX, INT64_MAX}}};
       },
       "outside"},
      {"a gap",
       [](Bundle& b) {
         b.entries["kernel"].slices = {{{0, 1}, {}}};
         b.entries[formats::slice_key("kernel", {{0, 1}, {}})] = {1, {1, 2}, 0, 0, 8, sum_of(bytes_of(kBias))};
       },
       "the slices of 'kernel' [3,2] do not make it up: they leave a part uncovered"},
      {"a slice of another shape",
       [](Bundle& b) {
         b.entries["bias"].slices = {{{}}};
         b.entries[formats::slice_key("bias", {{}})] = {1, {1, 2}, 0, 0, 8, sum_of(bytes_of(kBias))};
       },
       "the slice of 'bias' at [0] is float32 [2], and its entry float32 [1,2]"},
  };
  for (const Row& row : rows) {
    INFO(row.damage);
    const TempFolder folder;
    Bundle bundle;
    row.change(bundle);
    bundle.write(folder);
    const std::string error = error_of_all(folder.path());
    INFO(error);
    CHECK(contains(error, row.error));
  }
  const TempFolder folder;
  Bundle().write_index(folder, table({{"bias", Bundle().entries["bias"].message()}}));
  CHECK(contains(error_of_all(folder.path()), "tensorflow-entry: the table does not begin with a header"));
  Bundle().write_index(folder, table({}));
  CHECK(contains(error_of_all(folder.path()), "tensorflow-entry: the table does not begin with a header"));
  Bundle().write_index(folder, table({{"", header_message()}, {"\xff", Bundle().entries["bias"].message()}}));
  CHECK(contains(error_of_all(folder.path()), "the name of a tensor is not UTF-8"));
}

TEST_CASE("damaged tables are refused by name") {
  const Entries good = Bundle().all();
  const std::string contents = block_contents(good), whole = table(good);
  const auto one = [](const std::string& stored) { return table_of({{"z", stored}}); };
  const auto restarts = [](const std::string& entries, uint32_t n, uint32_t at) {
    return entries + fixed32(at) + fixed32(n);
  };
  const auto changed = [&](size_t at) {
    std::string file = whole;
    file[at] = static_cast<char>(file[at] ^ 1);
    return file;
  };
  const std::string footer_at = whole.substr(0, whole.size() - 48);
  struct Row {
    const char* damage;
    std::string file;
    const char* error;
  };
  const Row rows[] = {
      {"empty", "", "the file has 0 bytes, too few for a table"},
      {"cut", whole.substr(0, whole.size() - 10), "does not end with a table's magic number"},
      {"text", std::string(100, 'x'), "does not end with a table's magic number"},
      {"one bit", changed(3), "the block's checksum is "},
      {"type 7", one(with_trailer(contents, 7)), "compressed in a way that is not known (7)"},
      {"handles that do not end", footer_at + std::string(40, '\xff') + kMagic,
       "the handle of the meta index is damaged"},
      {"an index outside", footer_at + footer(handle(0, 0), handle(1 << 20, 9)), "outside of the file"},
      {"an index that wraps", footer_at + footer(handle(0, 0), handle(~uint64_t{0}, 9)), "outside of the file"},
      {"a block twice",
       [&] {
         std::string file = with_trailer(contents);
         const std::string index =
             block_contents({{"m", handle(0, contents.size())}, {"z", handle(0, contents.size())}}, 1);
         const std::string at = handle(file.size(), index.size());
         return file + with_trailer(index) + footer(handle(0, 0), at);
       }(),
       "the block at byte 0 overlaps the one before it"},
      {"blocks out of order",
       table_of({{"y", with_trailer(block_contents({{"k", "v"}}))}, {"z", with_trailer(contents)}}),
       "does not begin with a header"},
      {"blocks of one key",
       table_of(
           {{"a", with_trailer(block_contents({good[0], good[1]}))}, {"z", with_trailer(block_contents({good[1]}))}}),
       "the block's keys do not follow those of the block before it"},
      {"keys out of order", one(with_trailer(block_contents({good[0], good[2], good[1]}))), "not in ascending order"},
      {"a key twice", one(with_trailer(block_contents({good[0], good[1], good[1]}))), "not in ascending order"},
      {"too short for restarts", one(with_trailer("ab")), "the block has no restart points"},
      {"2^30 restarts", one(with_trailer(restarts("", 1 << 30, 0))), "1073741824 restart points, which do not fit"},
      {"a restart outside", one(with_trailer(restarts("", 1, 77))), "a restart point is outside of the block"},
      {"a long number",
       one(with_trailer(restarts("\xff\xff\xff\xff\xff\x01"
                                 "aa",
                                 1, 0))),
       "a length in the block"},
      {"more shared than there is",
       one(with_trailer(restarts({"\x05\x01\x01"
                                  "ab",
                                  5},
                                 1, 0))),
       "shares 5 bytes with one of 0"},
      {"past the block",
       one(with_trailer(restarts({"\x00\x01\x7f"
                                  "ab",
                                  5},
                                 1, 0))),
       "runs past the end of the block"},
      {"snappy that claims 4 GB",
       one(with_trailer("\xff\xff\xff\xff\x0f"
                        "x",
                        1)),
       "4294967295 bytes are claimed"},
      {"snappy that claims what it cannot hold",
       one(with_trailer("\xff\xff\xff\x0f"
                        "x",
                        1)),
       "cannot hold"},
      {"snappy, cut",
       one(with_trailer(varint(10) + "\x10"
                                     "ab",
                        1)),
       "a literal runs past the end"},
      {"snappy from before the start",
       one(with_trailer(varint(10) + std::string("\x00"
                                                 "a\x01\x05",
                                                 4),
                        1)),
       "a copy from before the start"},
  };
  for (const Row& row : rows) {
    INFO(row.damage);
    const TempFolder folder;
    Bundle().write_index(folder, row.file);
    const std::string error = error_of_all(folder.path());
    INFO(error);
    CHECK(contains(error, row.error));
  }
  for (size_t at = 0; at < whole.size(); ++at) {  // any one bit: what is read is right, or it is refused
    const TempFolder folder;
    Bundle().write_index(folder, changed(at));
    std::vector<float> read = kWeight;
    const std::string error = error_of([&] {
      const auto source = open_source(folder.path("m.ckpt.index"));
      if (source->manifest().size() == 2) read = tensor_values<float>(*source, "kernel");
    });
    INFO(at << error);
    CHECK((error == "nothing was thrown" || contains(error, "tensorflow-")));
    CHECK(read == kWeight);
  }
}

TEST_CASE("snappy's blocks are unpacked") {
  const auto unpack = [](std::string_view bytes) {
    std::vector<std::byte> out;
    const std::string fault = formats::unpack_snappy(std::as_bytes(std::span(bytes)), 1 << 20, out);
    return fault.empty() ? std::string(reinterpret_cast<const char*>(out.data()), out.size()) : "!" + fault;
  };
  CHECK(unpack(std::string("\x00", 1)).empty());
  CHECK(unpack("\x03\x08"
               "abc") == "abc");
  CHECK(unpack("\x0a\x04"
               "ab"
               "\x11\x02") == "ababababab");  // copies what it writes
  CHECK(unpack(std::string("\x0a\x04"
                           "ab"
                           "\x1e\x02\x00",
                           7)) == "ababababab");  // an offset of two bytes
  CHECK(unpack(std::string("\x0a\x04"
                           "ab"
                           "\x1f\x02\x00\x00\x00",
                           9)) == "ababababab");
  CHECK(unpack("\x05\xf0\x04"
               "abcde") == "abcde");  // a length of one byte
  CHECK(unpack("\x02\x08"
               "abc") == "!more bytes than claimed");
  CHECK(unpack("\x04\x08"
               "abc") == "!3 bytes, 4 claimed");
  CHECK(unpack("\x0a\x04"
               "ab\x11") == "!a copy's offset is cut off");
  CHECK(unpack("\x0a\xf4\x01") == "!a literal's length is cut off");
  CHECK(unpack("") == "!the length is damaged");
  const TempFolder folder;
  const Entries good = Bundle().all();
  const std::string contents = block_contents(good);
  std::string packed = varint(contents.size());
  for (size_t at = 0; at < contents.size(); at += 60) {
    const std::string part = contents.substr(at, 60);
    packed += static_cast<char>((part.size() - 1) << 2);
    packed += part;
  }
  Bundle().write_index(folder, table_of({{"z", with_trailer(packed, 1)}}));
  CHECK(tensor_values<float>(*open_source(folder.path()), "kernel") == kWeight);
}

TEST_CASE("of a folder the latest checkpoint is taken, and the choice is said") {
  const TempFolder folder;
  const std::string index = table(Bundle().all());
  for (const char* name : {"m.ckpt-2", "m.ckpt-10"}) {
    folder.write(std::string(name) + ".index", index);
    folder.write(std::string(name) + ".data-00000-of-00001", Bundle().data);
  }
  CHECK(contains(error_of([&] { open_source(folder.path()); }),
                 "the folder holds several TensorFlow checkpoints: 'm.ckpt-2.index' and 'm.ckpt-10.index'"));
  for (const char* state : {"m.ckpt-2", "/somewhere/else/m.ckpt-2", "../m.ckpt-2"}) {
    folder.write("checkpoint", fmt::format("model_checkpoint_path: \"{}\"\n", state));
    for (const std::string& path : {folder.path(), folder.path("checkpoint")})
      CHECK(open_source(path)->manifest().size() == 2);
    const auto source = open_source(folder.path());
    REQUIRE(source->notices().size() == 1);
    CHECK(contains(source->notices()[0].message, "taken: 'm.ckpt-2.index', the latest"));
  }
  folder.write("checkpoint", "model_checkpoint_path: \"m.ckpt-3\"\n");
  CHECK(contains(error_of([&] { open_source(folder.path()); }), "the latest, 'm.ckpt-3', is not one of them"));
  fs::remove(folder.path("m.ckpt-2.index"));
  fs::remove(folder.path("m.ckpt-2.data-00000-of-00001"));
  CHECK(contains(open_source(folder.path())->notices().at(0).message, "which is not here; taken: 'm.ckpt-10.index'"));
  fs::remove(folder.path("m.ckpt-10.index"));
  CHECK(contains(error_of([&] { open_source(folder.path()); }),
                 "source-parts: the index 'm.ckpt-10.index' of the TensorFlow checkpoint is not there, only its data"));
  CHECK(contains(error_of([&] { open_source(folder.path("m.ckpt-10.data-00000-of-00001")); }), "source-parts: "));
  fs::remove(folder.path("m.ckpt-10.data-00000-of-00001"));
  CHECK(contains(error_of([&] { open_source(folder.path()); }), "'m.ckpt-3' that it names is not here"));
}

TEST_CASE("a SavedModel's variables are read, by its folder or its file") {
  const TempFolder folder;
  folder.write("saved_model.pb", "\x08\x01\x12\x00");
  CHECK(contains(error_of([&] { open_source(folder.path()); }), "source-parts: the folder is a TensorFlow SavedModel"));
  folder.write("variables/variables.index", table(Bundle().all()));
  folder.write("variables/variables.data-00000-of-00001", Bundle().data);
  for (const std::string& path : {folder.path(), folder.path("saved_model.pb"), folder.path("variables")})
    CHECK(tensor_values<float>(*open_source(path), "bias") == kBias);
}

TEST_CASE("the form of before 0.12: damage is refused by name") {
  const TensorSlice whole = {{}, {}};
  const auto meta = [&](int64_t type, const std::vector<TensorSlice>& slices) {
    std::string tensor = bytes_field(1, "w") + bytes_field(2, shape_message({1, 2})) + number_field(3, type);
    for (const auto& slice : slices) tensor += bytes_field(4, slice_message(slice));
    return bytes_field(1, bytes_field(1, tensor) + bytes_field(2, number_field(1, 1)));
  };
  const auto value = [&](const std::string& proto) {
    return bytes_field(2, bytes_field(1, "w") + bytes_field(3, proto));
  };
  const auto packed = [](int field, const std::vector<int64_t>& values) {
    std::string out;
    for (const int64_t v : values) out += varint(static_cast<uint64_t>(v));
    return bytes_field(field, out);
  };
  struct Row {
    const char* what;
    std::string meta, value;
    const char* error;
  };
  const Row rows[] = {
      {"int8", meta(6, {whole}), value(packed(7, {-128, 127})), "nothing was thrown"},
      {"not packed", meta(6, {whole}), value(number_field(7, -1) + number_field(7, 1)), "nothing was thrown"},
      {"too large for int8", meta(6, {whole}), value(packed(7, {1, 128})), "the value 128 does not fit int8"},
      {"too large for bool", meta(10, {whole}), value(packed(11, {0, 2})), "the value 2 does not fit bool"},
      {"one too few", meta(6, {whole}), value(packed(7, {1})), "1 bytes of values, where int8 [1,2] takes 2"},
      {"one too many", meta(6, {whole}), value(packed(7, {1, 2, 3})), "there are more values than the shape"},
      {"in another field", meta(1, {whole}), value(packed(7, {1, 2})), "0 bytes of values"},
      {"floats, cut", meta(1, {whole}), value(bytes_field(5, "abcdef")), "6 bytes of values, where float32"},
      {"a value that does not end", meta(6, {whole}), value(bytes_field(7, "\xff")), "a value is damaged"},
      {"no slice", meta(6, {}), value(packed(7, {1, 2})), "they leave a part uncovered"},
      {"a slice that is not there", meta(6, {{{0, 1}, {}}}), value(packed(7, {1, 2})), "has no entry for its slice"},
      {"no message", "\x0a\x7f", value(packed(7, {1, 2})), "runs past the end"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const TempFolder folder;
    folder.write("old.ckpt", table({{"", row.meta}, {formats::slice_key("w", whole), row.value}}, 1));
    folder.write("checkpoint", "model_checkpoint_path: \"old.ckpt\"\n");
    const std::string error = error_of_all(folder.path());
    INFO(error);
    CHECK(contains(error, row.error));
  }
}
