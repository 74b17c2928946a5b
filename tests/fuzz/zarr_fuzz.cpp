// A zarr array of either version: its text is the input's, and so is the one chunk, to which the target adds the
// checksums that the input asks for, of the chunk and of the index of a shard.
#include <cstring>
#include <span>

#include "base/crc32c.h"
#include "fuzz/fuzz_input.h"

using namespace remap;

namespace {

std::string with_sum(std::string bytes) {
  const uint32_t sum = crc32c(std::as_bytes(std::span(bytes)));
  return bytes + std::string(reinterpret_cast<const char*>(&sum), sizeof sum);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  static const OpenOptions options = fuzz::small_limits();
  fuzz::Input input(data, size);
  const uint8_t form = input.byte();
  const std::string_view text = input.long_text();
  std::string chunk(input.long_text());
  if (form & 2) chunk = with_sum(std::move(chunk));
  if (form & 4) {  // an index of one chunk behind it: all that there is
    const uint64_t entry[] = {0, chunk.size()};
    std::string index(reinterpret_cast<const char*>(entry), sizeof entry);
    chunk += with_sum(std::move(index));
  }
  folder.clear();
  folder.write(form & 1 ? ".zarray" : "zarr.json", text);
  std::filesystem::create_directories(folder.path("c/0"));
  for (const char* name : {"0", "0.0", "c.0", "c/0/0"}) folder.write(name, chunk);
  try {
    fuzz::read_everything(*open_source(folder.path(), options));
  } catch (const Error&) {
  }
  return 0;
}
