// The zip directory: what torch, zip64 and streaming writers make is read; what contradicts itself is refused by name.
#include "formats/zip.h"
#include "support/catch.h"
#include "support/source_values.h"
#include "support/torch_files.h"

using namespace remap;
using namespace remap::formats;
using remap::test::build_zip;
using remap::test::ZipDamage;
using remap::test::ZipEntry;
using namespace std::string_literals;

namespace {

std::span<const std::byte> bytes_of(const std::string& file) { return std::as_bytes(std::span(file)); }

std::string unpack(const ZipArchive& zip, std::string_view name) {
  std::string out;
  zip.unpack(*zip.find(name), [&](std::span<const std::byte> piece) {
    out.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  return out;
}

// Opens an archive and unpacks all of it.
void read_all(const std::string& file) {
  const ZipArchive zip(bytes_of(file), "a.zip", {});
  for (const ZipMember& member : zip.members()) unpack(zip, member.name);
}

std::string id_of(const std::string& error) { return error.substr(0, error.find(':')); }

const std::string kLong(300'000, 'x');

}  // namespace

TEST_CASE("members are found and unpacked") {
  for (const ZipDamage form : {ZipDamage::none, ZipDamage::zip64}) {
    const std::string file = build_zip({{"a/data.pkl", "hello"},
                                        {"a/packed", kLong, true},
                                        {"a/streamed", "later", false, true},
                                        {"a/both", kLong, true, true},
                                        {"a/empty", ""}},
                                       form);
    const ZipArchive zip(bytes_of(file), "a.zip", {});
    REQUIRE(zip.members().size() == 5);
    CHECK(unpack(zip, "a/data.pkl") == "hello");
    CHECK(unpack(zip, "a/packed") == kLong);
    CHECK(unpack(zip, "a/streamed") == "later");
    CHECK(unpack(zip, "a/both") == kLong);
    CHECK(unpack(zip, "a/empty").empty());
    CHECK(zip.find("a/data") == nullptr);
    const auto stored = zip.stored(*zip.find("a/data.pkl"));
    CHECK(stored.data() == bytes_of(file).data() + zip.find("a/data.pkl")->data_offset);  // in place
  }
}

TEST_CASE("an archive may end in a comment, and its comment may hold an end record") {
  std::string file = build_zip({{"a", "b"}});
  const std::string comment = "PK\x05\x06" + std::string(30, ' ');
  file[file.size() - 2] = static_cast<char>(comment.size());
  read_all(file + comment);
}

TEST_CASE("an empty archive is one") { CHECK(ZipArchive(bytes_of(build_zip({})), "a.zip", {}).members().empty()); }

TEST_CASE("damaged archives are refused by name") {
  struct Row {
    ZipDamage damage;
    const char* id;
    bool deflate = false;
  };
  using enum ZipDamage;
  const std::vector<Row> rows = {
      {encrypted, "zip-encrypted"},
      {strongly_encrypted, "zip-encrypted"},
      {unknown_method, "zip-method"},
      {local_name, "zip-bad-header"},
      {local_method, "zip-bad-header"},
      {local_size, "zip-bad-header"},
      {local_crc, "zip-bad-header"},
      {local_signature, "zip-bad-header"},
      {local_flags, "zip-bad-header"},
      {stored_sizes_differ, "zip-bad-size"},
      {header_past_end, "zip-bad-header"},
      {data_past_end, "zip-bad-header"},
      {same_header_twice, "zip-overlap"},
      {overlap, "zip-overlap"},
      {directory_signature, "zip-bad-directory"},
      {directory_count, "zip-bad-directory"},
      {directory_size, "zip-bad-directory"},
      {directory_offset, "zip-bad-directory"},
      {bytes_before_end, "zip-bad-directory"},
      {no_end, "zip-truncated"},
      {several_disks, "zip-bad-directory"},
      {member_on_other_disk, "zip-bad-directory"},
      {zip64_extra_absent, "zip-bad-directory"},
      {zip64_disagrees, "zip-bad-directory"},
      {bad_crc, "zip-bad-crc"},
      {bad_crc, "zip-bad-crc", true},
      {bad_deflate, "zip-bad-deflate", true},
      {deflate_too_long, "zip-bad-size", true},
      {deflate_too_short, "zip-bad-size", true},
      {deflate_bomb, "zip-bad-size", true},
  };
  for (const Row& row : rows) {
    INFO("damage " << static_cast<int>(row.damage));
    const std::string file = build_zip({{"a/data.pkl", "hello hello hello hello", row.deflate},
                                        {"a/data/0", "0123456789012345678901234567890123456789"}},
                                       row.damage);
    CHECK(id_of(test::error_of([&] { read_all(file); })) == row.id);
  }
  CHECK(id_of(test::error_of([] { read_all(build_zip({{"a", "hello"}}, into_directory)); })) == "zip-overlap");
}

TEST_CASE("names that lead out of a folder are refused, wherever a reader would put them") {
  for (const auto& name : {"../a"s, "a/../b"s, "a/.."s, "./a"s, "/etc/passwd"s, "a\\b"s, "..\\a"s, "C:/a"s, "a\0b"s,
                           ""s, "\xff"s, "\xed\xa0\x80"s})
    CHECK(id_of(test::error_of([&] { read_all(build_zip({{name, "x"}})); })) == "zip-bad-name");
  read_all(build_zip({{"a/..b/.data/...", "x"}, {"folder/", ""}}));
}

TEST_CASE("two members of one name are refused") {
  CHECK(id_of(test::error_of([] {
          read_all(build_zip({{"a/data.pkl", "x"}, {"a/data.pkl", "y"}}));
        })) == "zip-duplicate-name");
}

TEST_CASE("a bomb of a thousand to one unpacks to what it declares and no more") {
  const std::string file = build_zip({{"a", std::string(20 << 20, '\0'), true}});
  CHECK(file.size() < 40'000);
  const ZipArchive zip(bytes_of(file), "a.zip", {});
  uint64_t total = 0, largest = 0;
  zip.unpack(zip.members()[0], [&](std::span<const std::byte> piece) {
    total += piece.size();
    largest = std::max<uint64_t>(largest, piece.size());
  });
  CHECK(total == 20u << 20);
  CHECK(largest <= 1u << 20);  // a piece at a time, which a smaller member is in one
}

TEST_CASE("a deflated member is unpacked the same at once and in pieces, or refused for the same reason") {
  for (const size_t size : {size_t{16} << 20, (size_t{16} << 20) + 1}) {
    std::string data(size, '\0');
    for (size_t i = 0; i < size; ++i) data[i] = static_cast<char>(i * i >> 12);
    std::string file = build_zip({{"a", data, true}});
    CHECK(unpack(ZipArchive(bytes_of(file), "a.zip", {}), "a") == data);
    file[file.size() / 2] = static_cast<char>(file[file.size() / 2] ^ 1);
    const std::string id = id_of(test::error_of([&] { read_all(file); }));
    CHECK((id == "zip-bad-crc" || id == "zip-bad-deflate" || id == "zip-bad-size"));
  }
}

TEST_CASE("limits on the number of members are kept") {
  Limits one;
  one.max_zip_members = 1;
  const std::string file = build_zip({{"a", "x"}, {"b", "y"}});
  CHECK(test::contains(test::error_of([&] { ZipArchive(bytes_of(file), "a.zip", one); }), "max_zip_members (1)"));
}

TEST_CASE("a truncated archive throws, whatever its length") {
  for (const ZipDamage form : {ZipDamage::none, ZipDamage::zip64}) {
    const std::string whole = build_zip({{"a/data.pkl", "hello", true}, {"a/data/0", "01234567"}}, form);
    read_all(whole);
    for (size_t length = 0; length < whole.size(); ++length) CHECK_THROWS_AS(read_all(whole.substr(0, length)), Error);
  }
}

TEST_CASE("any one byte changed gives an Error or a good archive") {
  const std::string whole = build_zip({{"a/data.pkl", "hello", true}, {"a/data/0", "01234567"}}, ZipDamage::zip64);
  size_t refused = 0;
  for (size_t at = 0; at < whole.size(); ++at)
    for (const int bit : {0, 3, 7}) {
      std::string file = whole;
      file[at] = static_cast<char>(file[at] ^ (1 << bit));
      try {
        read_all(file);
      } catch (const Error&) {
        ++refused;
      }
    }
  CHECK(refused > whole.size());
}
