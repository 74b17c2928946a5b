// An archive that is built from the input, with its checksums, sizes and offsets right, then damaged as the input says:
// what is refused is refused with an Error, and what is read is what was put in unless bytes were changed.
#include "formats/zip.h"

#include <cstdlib>

#include "formats/torch_source.h"
#include "fuzz/fuzz_input.h"
#include "support/torch_files.h"

using namespace remap;

namespace {

constexpr size_t kMaxMembers = 16, kMaxChanges = 16;
constexpr std::string_view kNames[] = {"archive/data.pkl", "archive/data/0", "archive/version", "archive/byteorder"};

std::string unpacked(const formats::ZipArchive& zip, const formats::ZipMember& member) {
  std::string out;
  zip.unpack(member, [&](std::span<const std::byte> piece) {
    out.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const OpenOptions options = fuzz::small_limits();
  fuzz::Input input(data, size);
  const auto damage =
      static_cast<test::ZipDamage>(input.byte() % (static_cast<int>(test::ZipDamage::stored_but_deflated) + 1));
  const size_t n_changes = input.byte() % kMaxChanges;
  std::vector<std::pair<uint32_t, uint8_t>> changes;
  for (size_t i = 0; i < n_changes; ++i) {
    const uint32_t at = input.word();
    changes.emplace_back(at, input.byte());
  }
  std::vector<test::ZipEntry> entries;
  while (!input.empty() && entries.size() < kMaxMembers) {
    const uint8_t form = input.byte();
    test::ZipEntry entry;
    entry.deflate = form & 1;
    entry.descriptor = form & 2;
    entry.name = form & 4 ? std::string(input.text()) : std::string(kNames[(form >> 3) % std::size(kNames)]);
    if (entry.name.empty()) entry.name = "a";
    entry.data = input.long_text();
    entries.push_back(std::move(entry));
  }
  if (entries.empty()) entries.push_back({"a", "b"});
  std::string file = test::build_zip(entries, damage);
  for (const auto& [at, value] : changes) file[at % file.size()] = static_cast<char>(value);

  try {
    const formats::ZipArchive zip(std::as_bytes(std::span(file)), "fuzz", options.limits);
    for (const auto& member : zip.members()) {
      const std::string found = unpacked(zip, member);
      if (!changes.empty()) continue;
      const bool was_put_in = std::any_of(entries.begin(), entries.end(), [&](const test::ZipEntry& entry) {
        return entry.name == member.name && entry.data == found;
      });
      if (!was_put_in) std::abort();
    }
  } catch (const Error&) {
  }
  try {
    const fuzz::MemoryFile memory(file);
    fuzz::read_everything(*open_torch(MappedFile(memory.path()), options));
  } catch (const Error&) {
  }
  return 0;
}
