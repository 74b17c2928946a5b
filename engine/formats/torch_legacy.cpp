// torch's stream from before 1.6: five pickles, one after the other, then the storages:
//   0x1950a86a20f9469cfc6c         magic number
//   1001                           protocol of the stream
//   {"little_endian": True, …}     about the machine that wrote it
//   the object                     tensors name storages by ("storage", type, key, location, size, view or None)
//   ["94…", "95…", …]              keys, in the order of the storages
//   for each: size in elements (int64), elements
#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "formats/torch_contents.h"

namespace remap::formats {
namespace {

constexpr std::string_view kMagicDecimal = "119547037146038801333356";
constexpr std::array<uint8_t, 12> kMagicLong1 = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46,
                                                 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
constexpr int64_t kStreamProtocol = 1001;

// The stream, pickle by pickle.
class LegacyReader {
 public:
  LegacyReader(TorchContents& contents, const Limits& limits) : contents_(contents), limits_(limits) {}

  void read() {
    if (const PickleGraph magic = next("the magic number");
        !magic.is(magic.root(), PickleKind::big_integer) || magic.text(magic.root()) != kMagicDecimal)
      fail("the stream does not begin with torch's magic number");
    if (const PickleGraph protocol = next("the protocol");
        !protocol.is(protocol.root(), PickleKind::integer) || protocol[protocol.root()].integer != kStreamProtocol)
      fail(fmt::format("the stream has another protocol than {}", kStreamProtocol));
    check_machine(next("sys_info"));
    contents_.origin.base = position_;
    contents_.graph = next("the object");
    const PickleGraph keys = next("the storage keys");
    read_storages(keys);
    if (position_ != contents_.file.size())
      contents_.remarks.push_back(
          fmt::format("{} bytes after the last storage are not read", contents_.file.size() - position_));
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw Error("torch-bad-stream", BytePlace{contents_.origin.file, {}, position_}, message);
  }
  PickleGraph next(std::string_view what) {
    if (position_ == contents_.file.size()) fail(fmt::format("the stream ends before {}", what));
    PickleGraph graph =
        read_pickle(contents_.file.bytes().subspan(position_), {contents_.origin.file, {}, position_}, limits_);
    position_ += graph.size_bytes();
    return graph;
  }

  void check_machine(const PickleGraph& info) const {
    if (!info.is(info.root(), PickleKind::dict)) fail("sys_info is not a dict");
    const auto& pairs = info.items(info.root());
    for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
      const bool order = info.is(pairs[i], PickleKind::text) && info.text(pairs[i]) == "little_endian";
      if (order && info.is(pairs[i + 1], PickleKind::boolean) && info[pairs[i + 1]].integer == 0)
        throw Error("torch-big-endian", BytePlace{contents_.origin.file, {}, {}},
                    "the checkpoint was written on a big-endian machine; its bytes are not swapped here",
                    "load it with torch and save it again on a little-endian machine");
    }
  }

  // What the object's tensors say about each storage: the stream itself does not say how wide its elements are.
  std::unordered_map<std::string, StorageId> storage_ids() const {
    std::unordered_map<std::string, StorageId> ids;
    const PickleGraph& graph = contents_.graph;
    for (PickleRef ref = 0; ref < graph.size(); ++ref) {
      if (!graph.is(ref, PickleKind::persistent)) continue;
      auto id = read_storage_id(graph, ref, contents_.origin);
      if (!id) continue;
      const auto [it, fresh] = ids.emplace(id->key, *id);
      if (!fresh && (it->second.type != id->type || it->second.elements != id->elements))
        throw Error("torch-bad-storage", BytePlace{contents_.origin.file, {}, {}},
                    fmt::format("storage '{}' is said to have two types or sizes", id->key));
    }
    return ids;
  }

  void read_storages(const PickleGraph& keys) {
    if (!keys.is(keys.root(), PickleKind::list)) fail("the storage keys are not a list");
    const auto ids = storage_ids();
    for (const PickleRef key : keys.items(keys.root())) {
      if (!keys.is(key, PickleKind::text)) fail("a storage key is not a string");
      read_storage(std::string(keys.text(key)), ids);
    }
  }

  void read_storage(const std::string& key, const std::unordered_map<std::string, StorageId>& ids) {
    const auto it = ids.find(key);
    if (it == ids.end())
      fail(fmt::format("storage '{}' follows, which no tensor uses: the size of its elements is not known", key));
    const StorageId& id = it->second;
    ByteReader in(contents_.file.bytes(), contents_.origin.file, {}, "torch-truncated");
    in.seek(position_, "a storage");
    const uint64_t elements = in.u64("a storage's size");
    if (elements != id.elements)
      fail(fmt::format("storage '{}' has {} elements here, {} in the pickle", key, elements, id.elements));
    const auto size_bytes = checked_mul<uint64_t>(elements, static_cast<uint64_t>(id.type->element_bytes));
    if (!size_bytes || *size_bytes > in.remaining())
      in.fail(fmt::format("storage '{}' has {} elements of {} bytes, {} bytes are left", key, elements,
                          id.type->element_bytes, in.remaining()),
              "the file is cut short: copy or download it again");
    if (!contents_.storage_by_key.emplace(key, static_cast<uint32_t>(contents_.storages.size())).second)
      fail(fmt::format("storage '{}' is listed twice", key));
    contents_.storages.push_back({.size_bytes = *size_bytes, .file_offset = in.position()});
    position_ = in.position() + *size_bytes;
  }

  TorchContents& contents_;
  const Limits& limits_;
  uint64_t position_ = 0;
};

}  // namespace

bool looks_like_torch_legacy(std::span<const std::byte> bytes) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 64));
  const std::string_view binary(reinterpret_cast<const char*>(kMagicLong1.data()), kMagicLong1.size());
  if (const size_t at = head.find(binary); at != head.npos) return at <= 16;  // after PROTO and perhaps FRAME
  return head.starts_with(fmt::format("L{}L\n.", kMagicDecimal));
}

// Before 0.1.10 torch wrote tar archives of pickles.
bool looks_like_torch_tar(std::span<const std::byte> bytes) {
  static constexpr size_t kUstarAt = 257;
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 512));
  if (head.size() < 512 || head.substr(kUstarAt, 5) != "ustar") return false;
  const std::string_view name = head.substr(0, head.find('\0'));
  return name == "sys_info" || name == "pickle" || name == "tensors" || name == "storages";
}

TorchContents read_torch_legacy(MappedFile file, const Limits& limits) {
  TorchContents contents;
  contents.file = std::move(file);
  contents.origin = {contents.file.path(), {}, 0};
  LegacyReader(contents, limits).read();
  return contents;
}

}  // namespace remap::formats
