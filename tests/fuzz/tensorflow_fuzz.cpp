// A TensorFlow checkpoint: the target builds the table, so that checksums, lengths and the order of keys are right, and
// damages what the input says. Entries are messages of the input's own, or made of its numbers with right checksums.
#include "support/tensorflow_files.h"

#include <algorithm>

#include "fuzz/fuzz_input.h"

using namespace remap;

namespace {

namespace tf = test::tensorflow;

constexpr size_t kMaxEntries = 32;
constexpr std::string_view kNames[] = {"a", "layer/kernel", "_CHECKPOINTABLE_OBJECT_GRAPH", "global_step"};

enum Form : uint8_t { kOld = 1, kSnappy = 2, kUnsorted = 4, kOwnHeader = 8, kOwnTable = 16, kBlocks = 32 };

tf::Entry entry_of(fuzz::Input& input, std::string_view data) {
  tf::Entry entry;
  entry.dtype = input.byte() % 32;
  entry.shape.clear();
  const size_t rank = input.byte() % 4;
  int64_t count = 1;
  for (size_t d = 0; d < rank; ++d) {
    entry.shape.push_back(input.byte() % 8);
    count *= entry.shape.back();
  }
  entry.offset = input.byte();
  const auto* type = formats::find_tensorflow_type(entry.dtype);
  entry.size = type != nullptr && type->size_bytes > 0 ? count * type->size_bytes : input.byte();
  if (const uint8_t off = input.byte(); off > 200) entry.size += off - 228;
  if (entry.offset <= static_cast<int64_t>(data.size()) && entry.size >= 0)
    entry.crc = tf::sum_of(data.substr(static_cast<size_t>(entry.offset), static_cast<size_t>(entry.size)));
  return entry;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  static const OpenOptions options = fuzz::small_limits();
  fuzz::Input input(data, size);
  const uint8_t form = input.byte(), n_shards = input.byte();
  const std::string_view values = input.long_text();
  tf::Entries entries;
  entries.emplace_back(
      "", form & kOwnHeader ? std::string(input.long_text()) : tf::header_message(n_shards < 200 ? 1 : n_shards));
  std::string table;
  if (form & kOwnTable) {
    table = std::string(input.rest());
  } else {
    while (!input.empty() && entries.size() < kMaxEntries) {
      const uint8_t kind = input.byte();
      std::string key(kind & 1 ? input.text() : kNames[(kind >> 4) % std::size(kNames)]);
      formats::TensorSlice slice;
      for (size_t d = 0; d < size_t{(kind >> 1) & 3u}; ++d) slice.push_back({input.byte() % 8, input.byte() % 8});
      if (!slice.empty() && kind & 8) {  // a tensor in two slices of its own
        tf::Entry whole = entry_of(input, values);
        whole.slices = {slice};
        entries.emplace_back(key, whole.message());
      }
      if (!slice.empty()) key = formats::slice_key(key, slice);
      entries.emplace_back(key, kind & 0x80 ? std::string(input.long_text()) : entry_of(input, values).message());
    }
    if ((form & kUnsorted) == 0) {
      std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      entries.erase(
          std::unique(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first == b.first; }),
          entries.end());
    }
    if (form & kSnappy)  // entries' bytes are taken as what snappy wrote
      table = tf::table_of({{"\xff", tf::with_trailer(entries.back().second, 1)}});
    else
      table = tf::table(entries, form & kBlocks ? 2 : 1000);
  }
  folder.clear();
  const char* name = form & kOld ? "old" : "m.index";
  folder.write(name, table);
  folder.write("m.data-00000-of-00001", values);
  try {
    fuzz::read_everything(*open_source(folder.path(name).string(), options));
  } catch (const Error&) {
  }
  return 0;
}
