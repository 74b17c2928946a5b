// GGUF files, built by hand: where tensors may lie, metadata, and what is said of files of other kinds.
#include "support/catch.h"
#include "support/source_values.h"
#include "support/temp_folder.h"
#include "support/torch_files.h"

#include <fmt/format.h>

using namespace remap;
using namespace remap::test;
using namespace std::string_literals;

namespace {

std::string text(const std::string& value) { return little<uint64_t>(value.size()) + value; }
std::string tensor(const std::string& name, const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset) {
  std::string out = text(name) + little(static_cast<uint32_t>(dims.size()));
  for (const uint64_t dim : dims) out += little(dim);
  return out + little(type) + little(offset);
}
std::string number(const std::string& key, uint32_t value) { return text(key) + little<uint32_t>(4) + little(value); }

// A file with `data_bytes` bytes 0, 1, 2 … of data.
std::string gguf(const std::vector<std::string>& pairs, const std::vector<std::string>& tensors, size_t data_bytes = 64,
                 size_t alignment = 32) {
  std::string file = "GGUF" + little<uint32_t>(3) + little<uint64_t>(tensors.size()) + little<uint64_t>(pairs.size());
  for (const auto& pair : pairs) file += pair;
  for (const auto& one : tensors) file += one;
  file.resize((file.size() + alignment - 1) / alignment * alignment);
  for (size_t i = 0; i < data_bytes; ++i) file += static_cast<char>(i);
  return file;
}

constexpr uint32_t kF32 = 0, kQ8 = 8, kI8 = 24, kUnknown = 99;

}  // namespace

TEST_CASE("tensors of a GGUF file lie one behind the other, with no more between them than the padding") {
  struct Row {
    const char* what;
    std::vector<std::string> tensors;
    const char* error;  // "": none
    size_t data_bytes = 64;
  };
  const Row rows[] = {
      {"in order", {tensor("a", {4}, kF32, 0), tensor("b", {4}, kF32, 32)}, ""},
      {"in another order", {tensor("b", {4}, kF32, 32), tensor("a", {4}, kF32, 0)}, ""},
      {"without elements", {tensor("a", {0}, kF32, 0), tensor("b", {4}, kF32, 0), tensor("c", {0}, kF32, 32)}, ""},
      {"quantized", {tensor("a", {32}, kQ8, 0), tensor("b", {0}, kF32, 64)}, ""},
      {"of an unknown type, and so of unknown size", {tensor("a", {3}, kUnknown, 0), tensor("b", {4}, kF32, 32)}, ""},
      {"the same bytes twice",
       {tensor("a", {4}, kF32, 0), tensor("b", {4}, kF32, 0)},
       "'b' begins at byte 0 of the data, and 'a' before it ends at byte 16"},
      {"one in the other",
       {tensor("a", {16}, kF32, 0), tensor("b", {4}, kF32, 32)},
       "'b' begins at byte 32 of the data, and 'a' before it ends at byte 64"},
      {"in a quantized one",
       {tensor("a", {32}, kQ8, 0), tensor("b", {4}, kF32, 32)},
       "'b' begins at byte 32 of the data, and 'a' before it ends at byte 34"},
      {"at the place of one of an unknown type",
       {tensor("b", {3}, kUnknown, 0), tensor("a", {4}, kF32, 0)},
       "'a' begins at byte 0 of the data, and 'b' before it ends at byte 1"},
      {"a hole between two",
       {tensor("a", {4}, kI8, 0), tensor("b", {4}, kI8, 64)},
       "'b' begins at byte 64 of the data; byte 32 was expected, where 'a' before it ends",
       96},
      {"a hole before the first",
       {tensor("a", {4}, kI8, 32)},
       "'a' begins at byte 32 of the data; byte 0 was expected, where the data begins"},
      {"not at a multiple of the alignment", {tensor("a", {4}, kI8, 8)}, "the offset of 'a' is not a multiple of 32"},
      {"past the end",
       {tensor("a", {17}, kF32, 0)},
       "'a' has 68 bytes from byte 0 of the data on; the file has 128 bytes"},
      {"quantized, past the end",
       {tensor("a", {64}, kQ8, 0)},
       "'a' has 68 bytes from byte 0 of the data on; the file has 128 bytes"},
      {"a row that is no multiple of the blocks",
       {tensor("a", {31, 2}, kQ8, 0)},
       "'a' has rows of 31 numbers; Q8_0 has them in blocks of 32"},
  };
  const TempFolder folder;
  for (const Row& row : rows) {
    INFO(row.what);
    const auto error = error_of([&] { open_source(folder.write("m.gguf", gguf({}, row.tensors, row.data_bytes))); });
    INFO(error);
    if (row.error == ""s)
      CHECK(error == "nothing was thrown");
    else
      CHECK(contains(error, "gguf-bad-file: "s + row.error));
  }
  const auto source = open_source(folder.write("m.gguf", gguf({}, rows[1].tensors)));
  CHECK(tensor_values<uint8_t>(*source, "b")[0] == 32);
  const auto wide =
      gguf({number("general.alignment", 64)}, {tensor("a", {4}, kI8, 0), tensor("b", {1}, kI8, 64)}, 65, 64);
  CHECK(tensor_values<int8_t>(*open_source(folder.write("m.gguf", wide)), "b") == std::vector<int8_t>{64});
}

TEST_CASE("attack: a GGUF tensor whose bytes or rows cannot be counted (CVE-2026-33298, CVE-2026-27940)") {
  const uint64_t half = uint64_t{1} << 62, root = uint64_t{1} << 32, most = ~uint64_t{0};
  const TempFolder folder;
  for (const auto& dims : std::vector<std::vector<uint64_t>>{
           {half, 8}, {root, root}, {root, root, 4}, {most, most}, {most}, {half, 0, half}, {1, half}})
    for (const uint32_t type : {kF32, kQ8, kI8, kUnknown})
      for (const uint64_t offset : {uint64_t{0}, most - 31, half}) {
        // Nothing of such a tensor is taken for read, and nothing is read outside of the file.
        const std::string error = error_of([&] {
          const auto source = open_source(folder.write("m.gguf", gguf({}, {tensor("a", dims, type, offset)})));
          for (size_t i = 0; i < source->manifest().size(); ++i)
            if (source->manifest()[i].unread == nullptr && element_count(source->manifest()[i].shape) > 0)
              throw std::runtime_error("it is read");
        });
        CAPTURE(dims, type, offset, error);
        CHECK(!contains(error, "it is read"));
        if (type != kUnknown && offset != 0)
          CHECK((contains(error, "gguf-bad-file: ") || contains(error, "tensor-shape-overflow: ")));
      }
}

TEST_CASE("types of GGUF that are not read are listed as what they are") {
  const TempFolder folder;
  const auto source = open_source(
      folder.write("m.gguf", gguf({}, {tensor("a", {32, 2}, kQ8, 0), tensor("b", {3}, kUnknown, 96)}, 128)));
  CHECK(describe(source->manifest()[0]) == "Q8_0 [2,32], not read: a quantized tensor of GGUF");
  CHECK(describe(source->manifest()[1]) == "type99 [3], not read: of GGUF's type 99, which is not known");
}

TEST_CASE("what a GGUF file says of itself is read once, in its order") {
  const TempFolder folder;
  const auto open = [&](const std::string& file) { return open_source(folder.write("m.gguf", file)); };
  CHECK(open(gguf({number("b", 1), number("a", 2)}, {}))->metadata().dump() == R"({"b":1,"a":2})");
  CHECK(contains(error_of([&] {
                   open(gguf({number("a", 1), number("b", 2), number("a", 1)}, {}));
                 }),
                 "gguf-bad-file: the metadata key 'a' is there twice"));
  CHECK(contains(error_of([&] { open(gguf({number("general.alignment", 1 << 21)}, {})); }),
                 "gguf-bad-file: general.alignment is 2097152; a multiple of 8 up to 1048576 was expected"));
  CHECK(contains(error_of([&] { open("GGUF" + "\0\0\0\3"s + std::string(16, '\0')); }),
                 "gguf-bad-file: the file is big-endian; little-endian GGUF is read"));
  CHECK(contains(error_of([&] { open("GGUF" + little<uint32_t>(1) + std::string(16, '\0')); }),
                 "gguf-bad-file: version 1 of GGUF; 2 and 3 are read"));
}

TEST_CASE("a part of a split GGUF model is read, and is said to be one") {
  const TempFolder folder;
  const auto part = [&](uint32_t number_of_part, const std::string& key) {
    return gguf({number("split.no", number_of_part), number("split.count", 2)}, {tensor(key, {4}, kF32, 0)});
  };
  const auto source = open_source(folder.write("m.gguf", part(1, "b")));
  REQUIRE(source->notices().size() == 1);
  CHECK(source->notices()[0].id == "source-left-aside");
  CHECK(source->notices()[0].message ==
        "by its 'split.count' and 'split.no', the file is part 2 of 2 of a model; the others were left aside");
  CHECK(open_source(folder.write("whole.gguf", gguf({number("split.count", 1)}, {})))->notices().empty());

  // Named as its writer names it, its name says so too; that is said once.
  const TempFolder both;
  both.write("m-00001-of-00002.gguf", part(0, "a"));
  const auto second = both.write("m-00002-of-00002.gguf", part(1, "b"));
  CHECK(open_source(second)->notices().size() == 1);
  const auto joined = open_source(both.path());
  CHECK(joined->manifest().size() == 2);
  for (const auto& notice : joined->notices()) CHECK_FALSE(contains(notice.message, "split.count"));
}
