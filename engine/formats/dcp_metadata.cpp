#include "formats/dcp_metadata.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/limit.h"
#include "formats/pickle_known.h"
#include "formats/pickle_scalars.h"
#include "formats/pickle_text.h"

namespace remap::formats {
namespace {

constexpr std::string_view kModule = "torch.distributed.";

class MetadataReader {
 public:
  MetadataReader(const MappedFile& file, const Limits& limits, DcpMetadata& into)
      : file_(file),
        limits_(limits),
        into_(into),
        graph_(read_pickle(file.bytes(), {file.path(), {}, 0}, limits)),
        meanings_(graph_) {}

  void read() {
    const PickleObject& root = object(graph_.root(), "Metadata", "the file");
    const PickleRef entries = field(root, "state_dict_metadata", "Metadata");
    for (const auto& [key, value] : pairs(entries, "state_dict_metadata")) read_entry(key_of(key), value);
    for (const auto& [index, place] : pairs(field(root, "storage_data", "Metadata"), "storage_data"))
      read_place(index, place);
    if (const PickleRef paths = meanings_.state_field(root, "planner_data"); graph_.is(paths, PickleKind::dict))
      for (const auto& [key, path] : meanings_.entries(meanings_.view(paths))) read_path(key, path);
    if (const PickleRef version = meanings_.state_field(root, "version"); version != kNoValue)
      into_.version = one_word(meanings_.text(version));
  }

 private:
  [[noreturn]] void fail(const std::string& message, std::optional<uint64_t> offset = {}) const {
    throw Error("dcp-metadata", BytePlace{file_.path(), {}, offset}, message,
                "save the checkpoint again, or fetch the file again");
  }

  // An instance of torch's class `name`.
  const PickleObject& object(PickleRef ref, std::string_view name, const std::string& what) const {
    if (graph_.is(ref, PickleKind::object)) {
      const std::string found = meanings_.class_name(ref);
      if (found.starts_with(kModule) && found.ends_with(fmt::format(".{}", name))) return graph_.object(ref);
    }
    fail(fmt::format("{} should be a {} of torch.distributed.checkpoint; it is {}", what, name, describe_value(ref)));
  }
  std::string describe_value(PickleRef ref) const {
    if (ref == kNoValue) return "not there";
    return graph_.is(ref, PickleKind::object) ? "of the class " + one_word(meanings_.class_name(ref))
                                              : std::string(describe(graph_.kind(ref)));
  }
  PickleRef field(const PickleObject& object, std::string_view name, const std::string& what) const {
    const PickleRef found = meanings_.state_field(object, name);
    if (found == kNoValue) fail(fmt::format("{} has no field '{}'", what, name), object.offset);
    return found;
  }
  std::vector<PickleEntry> pairs(PickleRef ref, std::string_view what) const {
    const PickleView view = meanings_.view(ref);
    if (view.meaning != Meaning::mapping) fail(fmt::format("{} should be a dict; it is {}", what, describe_value(ref)));
    auto all = meanings_.entries(view);
    check_limit(all.size(), limits_.max_tensors, "max_tensors", BytePlace{file_.path(), {}, {}}, "entries");
    return all;
  }
  std::string key_of(PickleRef ref) const {
    if (!graph_.is(ref, PickleKind::text)) fail(fmt::format("a tensor's key is {}", describe_value(ref)));
    const std::string_view key = graph_.text(ref);
    check_limit(key.size(), limits_.max_key_bytes, "max_key_bytes", BytePlace{file_.path(), {}, {}},
                "bytes of a tensor's key");
    if (has_surrogates(key)) fail(fmt::format("a tensor's key is not UTF-8: '{}'", json_text(key)));
    return std::string(key);
  }
  int64_t integer(PickleRef ref, const std::string& what) const {
    const auto value = meanings_.integer(ref);
    if (!value) fail(fmt::format("{} should be an integer; it is {}", what, describe_value(ref)));
    return *value;
  }
  uint64_t count(PickleRef ref, const std::string& what) const {
    const int64_t value = integer(ref, what);
    if (value < 0) fail(fmt::format("{} is {}", what, value));
    return static_cast<uint64_t>(value);
  }
  Shape shape(PickleRef ref, const std::string& what) const {
    const PickleView view = meanings_.view(ref);
    if (view.meaning != Meaning::sequence) fail(fmt::format("{} should be sizes; it is {}", what, describe_value(ref)));
    const auto items = meanings_.items(view);
    check_limit(items.size(), static_cast<uint64_t>(limits_.max_rank), "max_rank", BytePlace{file_.path(), {}, {}},
                "dimensions");
    Shape out;
    for (const PickleRef item : items) out.push_back(static_cast<int64_t>(count(item, what)));
    return out;
  }

  void read_entry(const std::string& key, PickleRef ref) {
    const std::string what = fmt::format("the entry of '{}'", key);
    DcpEntry read;
    if (graph_.is(ref, PickleKind::object) && meanings_.class_name(ref).ends_with(".BytesStorageMetadata"))
      object(ref, "BytesStorageMetadata", what);
    else
      read = tensor_entry(object(ref, "TensorStorageMetadata", what), key);
    const auto [it, fresh] = into_.entries.try_emplace(key, std::move(read));
    if (fresh) return;
    // Another rank says what it has of the same tensor.
    DcpEntry& known = it->second;
    if (known.is_tensor != read.is_tensor || known.size != read.size || known.dtype != read.dtype)
      fail(fmt::format("'{}' is {} here, {} in the metadata of another rank", key, describe_entry(read),
                       describe_entry(known)));
    for (DcpChunk& chunk : read.chunks) add_chunk(known, std::move(chunk), key);
  }
  static std::string describe_entry(const DcpEntry& entry) {
    return entry.is_tensor ? fmt::format("{} {}", entry.dtype, to_string(entry.size)) : "not a tensor";
  }

  DcpEntry tensor_entry(const PickleObject& tensor, const std::string& key) const {
    DcpEntry entry;
    entry.is_tensor = true;
    entry.size = shape(field(tensor, "size", quoted(key)), fmt::format("the size of '{}'", key));
    read_properties(field(tensor, "properties", quoted(key)), key, entry);
    const PickleView chunks = meanings_.view(field(tensor, "chunks", quoted(key)));
    if (chunks.meaning != Meaning::sequence)
      fail(fmt::format("the chunks of '{}' should be a list; they are {}", key, describe_value(chunks.ref)));
    for (const PickleRef ref : meanings_.items(chunks)) {
      const PickleObject& chunk = object(ref, "ChunkStorageMetadata", fmt::format("a chunk of '{}'", key));
      DcpChunk out;
      out.offsets = shape(field(chunk, "offsets", "a chunk"), fmt::format("the offsets of a chunk of '{}'", key));
      out.sizes = shape(field(chunk, "sizes", "a chunk"), fmt::format("the sizes of a chunk of '{}'", key));
      if (out.offsets.size() != entry.size.size() || out.sizes.size() != entry.size.size())
        fail(fmt::format("a chunk of '{}' is {} at {}, of a tensor that is {}", key, to_string(out.sizes),
                         to_string(out.offsets), to_string(entry.size)));
      entry.chunks.push_back(std::move(out));
    }
    std::sort(entry.chunks.begin(), entry.chunks.end(), by_offsets);
    return entry;
  }
  static std::string quoted(const std::string& key) { return fmt::format("the entry of '{}'", key); }
  static bool by_offsets(const DcpChunk& a, const DcpChunk& b) {
    return std::tie(a.offsets, a.sizes) < std::tie(b.offsets, b.sizes);
  }
  // The same box again is the copy that another rank has.
  void add_chunk(DcpEntry& entry, DcpChunk chunk, const std::string&) const {
    const auto at = std::lower_bound(entry.chunks.begin(), entry.chunks.end(), chunk, by_offsets);
    if (at == entry.chunks.end() || by_offsets(chunk, *at)) entry.chunks.insert(at, std::move(chunk));
  }

  // (dtype, layout, requires_grad, memory format, pin_memory), or fields of these names.
  void read_properties(PickleRef ref, const std::string& key, DcpEntry& entry) const {
    const PickleObject& properties = object(ref, "TensorProperties", fmt::format("the properties of '{}'", key));
    PickleRef dtype = meanings_.state_field(properties, "dtype"), layout = meanings_.state_field(properties, "layout");
    for (const PickleRef state : properties.states)
      if (graph_.is(state, PickleKind::tuple) && graph_.items(state).size() >= 2 && dtype == kNoValue) {
        dtype = graph_.items(state)[0];
        layout = graph_.items(state)[1];
      }
    if (!graph_.is(dtype, PickleKind::global) || graph_.global(dtype).module != "torch")
      fail(fmt::format("the dtype of '{}' should be one of torch's; it is {}", key, describe_value(dtype)));
    entry.dtype = one_word(graph_.global(dtype).name);
    const PickleRef name = layout == kNoValue ? kNoValue : meanings_.view(layout).ref;
    const std::string_view text = graph_.is(name, PickleKind::global) ? graph_.global(name).name : meanings_.text(name);
    entry.layout = one_word(text.substr(text.rfind('.') + 1));
  }

  void read_place(PickleRef index_ref, PickleRef place_ref) {
    const PickleObject& index = object(index_ref, "MetadataIndex", "a key of storage_data");
    const std::string key = key_of(field(index, "fqn", "a MetadataIndex"));
    const PickleObject& info = object(place_ref, "_StorageInfo", fmt::format("the place of '{}'", key));
    const auto entry = into_.entries.find(key);
    if (entry == into_.entries.end())
      fail(fmt::format("storage_data has an item of '{}', which state_dict_metadata does not list", key), info.offset);
    DcpPlace place;
    const PickleRef path = field(info, "relative_path", "a _StorageInfo");
    place.file = file_name(meanings_.text(path), key);
    place.offset = count(field(info, "offset", "a _StorageInfo"), fmt::format("the offset of an item of '{}'", key));
    place.length = count(field(info, "length", "a _StorageInfo"), fmt::format("the length of an item of '{}'", key));
    if (const PickleRef done = meanings_.state_field(info, "transform_descriptors");
        done != kNoValue && !graph_.is(done, PickleKind::none)) {
      const PickleView view = meanings_.view(done);
      if (view.meaning != Meaning::sequence) fail(fmt::format("the transforms of '{}' are not a list", key));
      for (const PickleRef item : meanings_.items(view)) place.transforms.push_back(one_word(meanings_.text(item)));
    }
    const PickleRef offset = meanings_.state_field(index, "offset");
    const bool of_tensor = offset != kNoValue && !graph_.is(offset, PickleKind::none);
    if (of_tensor != entry->second.is_tensor)
      fail(fmt::format("an item of '{}' is {} and its entry is {}", key, of_tensor ? "a chunk" : "not a chunk",
                       describe_entry(entry->second)),
           info.offset);
    if (of_tensor)
      place_chunk(entry->second, shape(offset, fmt::format("the offset of '{}'", key)), std::move(place), key);
    else if (!entry->second.object)
      entry->second.object = std::move(place);
  }
  // Of several ranks that have a chunk, the first is taken.
  void place_chunk(DcpEntry& entry, const Shape& offset, DcpPlace place, const std::string& key) const {
    auto at = std::lower_bound(entry.chunks.begin(), entry.chunks.end(), offset,
                               [](const DcpChunk& chunk, const Shape& wanted) { return chunk.offsets < wanted; });
    if (at == entry.chunks.end() || at->offsets != offset)
      fail(fmt::format("storage_data has an item of '{}' at {}, where it has no chunk", key, to_string(offset)));
    for (; at != entry.chunks.end() && at->offsets == offset; ++at)
      if (!at->place) at->place = place;
  }

  // A file of the folder, and nothing else: the metadata must not lead out of it.
  std::string file_name(std::string_view path, const std::string& key) const {
    const bool plain = !path.empty() && path.size() <= 255 && path != "." && path != ".." &&
                       path.find_first_of(std::string_view("/\\\0", 3)) == path.npos && !has_surrogates(path) &&
                       std::all_of(path.begin(), path.end(), [](unsigned char c) { return c >= ' ' && c != 0x7f; });
    if (!plain)
      fail(fmt::format("storage_data places '{}' in '{}', which is not the name of a file of this folder", key,
                       one_word(path)));
    return std::string(path);
  }

  // ('optimizer', 'state', 0, 'step')
  void read_path(PickleRef key, PickleRef path) {
    if (!graph_.is(key, PickleKind::text)) return;
    const auto entry = into_.entries.find(std::string(graph_.text(key)));
    const PickleView view = meanings_.view(path);
    if (entry == into_.entries.end() || view.meaning != Meaning::sequence || !entry->second.path.empty()) return;
    const auto items = meanings_.items(view);
    if (items.size() > 32) return;
    for (const PickleRef item : items) entry->second.path.push_back(json_text(meanings_.key_text(item)));
  }

  const MappedFile& file_;
  const Limits& limits_;
  DcpMetadata& into_;
  const PickleGraph graph_;
  const PickleMeanings meanings_;
};

}  // namespace

void read_dcp_metadata(const MappedFile& file, const Limits& limits, DcpMetadata& into) {
  file.read([&] {
    if (file.size() == 0)
      throw Error("dcp-metadata", BytePlace{file.path(), {}, {}}, "the file is empty",
                  "save the checkpoint again, or fetch the file again");
    MetadataReader(file, limits, into).read();
    return true;
  });
}

bool looks_like_dcp_metadata(std::span<const std::byte> bytes) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 4096));
  return head.starts_with('\x80') && head.find("torch.distributed.checkpoint.metadata") != head.npos &&
         head.find("Metadata") != head.npos;
}

}  // namespace remap::formats
