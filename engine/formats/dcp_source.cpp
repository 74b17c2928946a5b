#include "formats/dcp_source.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include <fmt/format.h>
#include <zstd.h>

#include "base/json_members.h"
#include "base/text.h"
#include "formats/dcp_metadata.h"
#include "formats/folder_files.h"
#include "formats/limit.h"
#include "formats/tiled_source.h"
#include "formats/torch_item.h"
#include "formats/torch_source.h"
#include "tensor/box.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMetadata = ".metadata", kRankFile = ".distcp", kZstd = "stream.zstd/1";

// Whose metadata this is: "__3.metadata" is that of rank 3.
bool is_rank_metadata(const std::string& name) {
  if (name.size() <= kMetadata.size() + 2 || !name.starts_with("__") || !name.ends_with(kMetadata)) return false;
  const std::string_view rank = std::string_view(name).substr(2, name.size() - 2 - kMetadata.size());
  return rank.find_first_not_of("0123456789") == rank.npos;
}

// An item that was compressed as a whole. It says nowhere how large it becomes: `max_bytes` is what it can need.
std::vector<std::byte> unpack_zstd(std::span<const std::byte> packed, uint64_t max_bytes, const MappedFile& file,
                                   const std::string& key) {
  const auto fail = [&](const std::string& why) {
    throw Error("dcp-item", BytePlace{file.path(), {}, {}}, fmt::format("the item of '{}' {}", key, why),
                "the file is damaged: save the checkpoint again, or fetch the file again");
  };
  const std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream(ZSTD_createDStream(), &ZSTD_freeDStream);
  if (!stream) fail("cannot be unpacked: zstd cannot start");
  std::vector<std::byte> out;
  ZSTD_inBuffer input{packed.data(), packed.size(), 0};
  for (size_t status = 1, used = 0; status != 0 || input.pos < input.size;) {
    const size_t before = input.pos;
    out.resize(used + std::min<size_t>(std::max<size_t>(packed.size(), size_t{1} << 16), size_t{4} << 20));
    ZSTD_outBuffer target{out.data() + used, out.size() - used, 0};
    status = ZSTD_decompressStream(stream.get(), &target, &input);
    if (ZSTD_isError(status)) fail(fmt::format("is not what zstd writes: {}", ZSTD_getErrorName(status)));
    used += target.pos;
    out.resize(used);
    if (used > max_bytes) fail(fmt::format("unpacks to more than the {} bytes that it can have", max_bytes));
    if (status != 0 && input.pos == before && target.pos == 0) fail("ends early");
  }
  return out;
}

class DcpOpener {
 public:
  DcpOpener(const std::string& folder, const OpenOptions& options) : limits_(options.limits), all_(list_files(folder)) {
    contents_.path = folder;
  }

  std::unique_ptr<Source> open() {
    read_metadata();
    open_files();
    uint64_t n_chunks = 0;
    for (const auto& [key, entry] : metadata_.entries) {
      n_chunks += entry.chunks.size();
      check_limit(n_chunks, limits_.max_tensors, "max_tensors", BytePlace{contents_.path, {}, {}}, "chunks");
      if (entry.is_tensor)
        add_tensor(key, entry);
      else
        add_object(key, entry);
    }
    add_common();
    contents_.metadata = values_.take();
    add_document(contents_, contents_.path, "config.json", "config", limits_);
    contents_.remarks.insert(contents_.remarks.begin(), summary());
    return make_tiled_source(std::move(contents_));
  }

 private:
  std::string in(const std::string& name) const { return (fs::path(contents_.path) / name).string(); }

  [[noreturn]] void fail_item(const MappedFile& file, const std::string& key, const std::string& message) const {
    throw Error("dcp-item", BytePlace{file.path(), {}, {}}, fmt::format("the item of '{}' {}", key, message),
                "the file is damaged, or of another checkpoint than '.metadata': fetch both again");
  }

  void read_metadata() {
    std::vector<std::string> names;
    if (std::find(all_.begin(), all_.end(), kMetadata) != all_.end())
      names.emplace_back(kMetadata);
    else
      std::copy_if(all_.begin(), all_.end(), std::back_inserter(names), is_rank_metadata);
    if (names.empty()) refuse_without_metadata();
    if (names.front() != kMetadata) check_ranks(names);
    for (const std::string& name : names) {
      contents_.files.emplace_back(in(name));
      read_dcp_metadata(contents_.files.back(), limits_, metadata_);
    }
  }
  // Every rank wrote what it has: without one of them nobody would notice what is missing, if it was a whole tensor.
  void check_ranks(const std::vector<std::string>& names) const {
    size_t expected = 0;
    for (const std::string& name : names)
      if (const std::string wanted = fmt::format("__{}{}", expected++, kMetadata); name != wanted)
        throw Error("source-parts", BytePlace{contents_.path, {}, {}},
                    fmt::format("'{}' is not there, though '{}' is", wanted, names.back()), "fetch the missing file");
  }
  [[noreturn]] void refuse_without_metadata() const {
    const bool unfinished = std::find(all_.begin(), all_.end(), ".metadata.tmp") != all_.end();
    throw Error("dcp-metadata", BytePlace{contents_.path, {}, {}},
                unfinished ? "the checkpoint was not saved to its end: there is '.metadata.tmp', and not '.metadata'"
                           : "the folder holds files of a torch.distributed.checkpoint, but not its '.metadata'",
                unfinished ? "use another checkpoint of the same run"
                           : "copy that file too: its name begins with a dot, so that 'cp *' leaves it behind");
  }

  void open_files() {
    std::map<std::string, std::string> first_key;
    const auto need = [&](const std::string& key, const std::optional<DcpPlace>& place) {
      if (place) first_key.try_emplace(place->file, key);
    };
    for (const auto& [key, entry] : metadata_.entries) {
      need(key, entry.object);
      for (const DcpChunk& chunk : entry.chunks) need(key, chunk.place);
    }
    for (const auto& [name, key] : first_key) {
      if (!is_file(in(name)))
        throw Error("source-parts", BytePlace{contents_.path, {}, {}},
                    fmt::format("'{}' is not there, in which '.metadata' places '{}'", name, key),
                    "fetch the missing file: every rank's file belongs to the checkpoint");
      contents_.files.emplace_back(in(name));
      file_at_.emplace(name, contents_.files.size() - 1);
    }
    data_files_ = first_key.size();
  }

  const MappedFile& file_of(const DcpPlace& place, const std::string& key) const {
    const MappedFile& file = contents_.files[file_at_.at(place.file)];
    if (place.offset > file.size() || place.length > file.size() - place.offset)
      fail_item(file, key,
                fmt::format("should have the bytes from {} on, {} of them; the file has {}", place.offset, place.length,
                            file.size()));
    return file;
  }
  // What is wrong inside of an item is said of the key that it is for.
  template <typename Body>
  static auto about(const std::string& key, const DcpPlace& place, const Body& body) {
    try {
      return body();
    } catch (const Error& error) {
      Diagnostic d = error.diagnostic();
      if (d.message.find("'" + key + "'") == std::string::npos) {
        d.message = fmt::format("the item of '{}' ({} bytes at {}): {}", key, place.length, place.offset, d.message);
      }
      throw Error(std::move(d));
    }
  }

  static void require_known(const DcpPlace& place, const MappedFile& file) {
    if (place.transforms.size() == 1 && place.transforms.front() == kZstd) return;
    throw Error("dcp-item", BytePlace{file.path(), {}, {}},
                fmt::format("it was stored with '{}'; only '{}' is undone", join(place.transforms, "', '"), kZstd),
                "save the checkpoint without extensions");
  }

  static TorchItemPtr read_item(const MappedFile& file, const DcpPlace& place, const std::string& key,
                                uint64_t max_bytes, const Limits& limits) {
    return about(key, place, [&] {
      if (place.transforms.empty()) return read_torch_item_at(file, place.offset, place.length, limits);
      require_known(place, file);
      return file.read([&] {
        return read_torch_item_of(
            file, unpack_zstd(file.bytes().subspan(place.offset, place.length), max_bytes, file, key), limits);
      });
    });
  }

  // The one tensor of an item, which has to be the chunk.
  static TileView chunk_view(const TorchItem& item, const std::string& key, const TensorInfo& tensor,
                             const Shape& sizes) {
    const auto fail = [&](const std::string& message) {
      throw Error("dcp-item", BytePlace{item.path(), {}, {}}, fmt::format("the item of '{}' {}", key, message),
                  "the file is damaged, or of another checkpoint than '.metadata': fetch both again");
    };
    const auto& tensors = item.listing.tensors;
    if (tensors.size() != 1 || !tensors.front().key.empty()) fail("does not hold one tensor and nothing else");
    const auto* spec = std::get_if<TensorSpec>(&tensors.front().tensor);
    if (spec == nullptr) fail(fmt::format("holds {}", std::get<UnreadableTensor>(tensors.front().tensor).why));
    if (spec->dtype != tensor.dtype)
      fail(fmt::format("holds {}; its entry says {}", long_name(spec->dtype), long_name(tensor.dtype)));
    const Shape found = stored_form(spec->dtype, spec->shape).shape;
    if (found != sizes)
      fail(fmt::format("holds a tensor that is {}; the chunk is {}", to_string(found), to_string(sizes)));
    return item.view(*spec, key);
  }

  void add_tensor(const std::string& key, const DcpEntry& entry) {
    const auto dtype = parse_dtype(entry.dtype);
    const std::string what = fmt::format("{}: '{}'", in(std::string(kMetadata)), key);
    element_count(entry.size, what);
    if (entry.layout != "strided") return add_unread(key, entry, fmt::format("of the layout torch.{}", entry.layout));
    if (!dtype)
      return add_unread(key, entry,
                        fmt::format("of the type torch.{}, for which safetensors has no name", entry.dtype));
    TiledTensor tensor{{key, *dtype, entry.size, {}, {}}};
    Shape shape = entry.size;
    if (*dtype == DType::f4) {  // torch counts pairs
      if (shape.empty() || shape.back() > std::numeric_limits<int64_t>::max() / 2)
        return add_unread(key, entry, "two numbers in one byte, in a shape that cannot hold two");
      shape.back() *= 2;
      tensor.info.shape = shape;
    }
    data_bytes(*dtype, shape, what);
    std::vector<Box> boxes;
    for (const DcpChunk& chunk : entry.chunks) boxes.push_back({chunk.offsets, chunk.sizes});
    require_tiling(tensor.info, boxes, contents_.path, "chunks");
    for (const DcpChunk& chunk : entry.chunks) {
      const Box box{chunk.offsets, chunk.sizes};
      if (is_empty(box)) continue;
      if (!chunk.place)
        throw Error("dcp-metadata", BytePlace{contents_.path, {}, {}},
                    fmt::format("the chunk of '{}' at {} has no item in storage_data", key, to_string(chunk.offsets)),
                    "save the checkpoint again, or fetch '.metadata' again");
      tensor.tiles.push_back(tile_of(key, tensor.info, box, *chunk.place));
    }
    contents_.tensors.push_back(std::move(tensor));
  }

  FileTile tile_of(const std::string& key, const TensorInfo& info, const Box& box, const DcpPlace& place) {
    const MappedFile& file = file_of(place, key);
    // An archive has its tensor and some headers.
    const uint64_t tensor_bytes = static_cast<uint64_t>(data_bytes(stored_form(info).dtype, box.extent));
    const uint64_t max_bytes = tensor_bytes + std::max<uint64_t>(tensor_bytes / 8, uint64_t{1} << 20);
    if (!place.transforms.empty()) {
      about(key, place, [&] { return require_known(place, file), 0; });
      check_limit(max_bytes, limits_.max_chunk_bytes, "max_chunk_bytes", BytePlace{file.path(), {}, {}},
                  fmt::format("bytes of a compressed item of '{}'", key));
      return {box, {}, [=, limits = limits_](TileBuffer& buffer) {
                const TorchItemPtr item = read_item(file, place, key, max_bytes, limits);
                const TileView view = chunk_view(*item, key, info, box.extent);
                // The bytes go on in the caller's buffer.
                const auto at = view.data - item->unpacked.data();
                buffer.assign(item->unpacked.begin(), item->unpacked.end());
                return TileView{buffer.data() + at, view.strides};
              }};
    }
    const TorchItemPtr item = read_item(file, place, key, max_bytes, limits_);
    FileTile tile{box, chunk_view(*item, key, info, box.extent)};
    if (tile.view.fd < 0)  // torch writes tensors' bytes beside the pickle; these are inside of it
      throw Error("dcp-item", BytePlace{file.path(), {}, {}},
                  fmt::format("the item of '{}' is an array, not a tensor", key),
                  "save the checkpoint with torch's tensors");
    tile.view.file = &file.path();
    return tile;
  }

  void add_unread(const std::string& key, const DcpEntry& entry, const std::string& why) {
    contents_.tensors.push_back({unread_tensor(key, why, entry.dtype, entry.size)});
  }

  // Values that are not tensors; what tensors they hold all the same are listed under their keys.
  void add_object(const std::string& key, const DcpEntry& entry) {
    if (!entry.object)
      throw Error("dcp-metadata", BytePlace{contents_.path, {}, {}},
                  fmt::format("'{}' has no item in storage_data", key),
                  "save the checkpoint again, or fetch '.metadata' again");
    const MappedFile& file = file_of(*entry.object, key);
    const TorchItemPtr item = read_item(file, *entry.object, key, limits_.max_pickle_bytes, limits_);
    add_tensors_of(item, key);
    Json value = item->listing.metadata;
    if (value.is_object() && value.size() == 1 && value.contains("$root")) value = value["$root"];
    values_.place(entry.path.empty() ? std::vector<std::string>{key} : entry.path, std::move(value));
  }
  void add_tensors_of(const TorchItemPtr& item, const std::string& key) {
    for (const ListedTensor& tensor : item->listing.tensors) {
      const std::string full = key.empty() || tensor.key.empty() ? key + tensor.key : key + "." + tensor.key;
      TiledTensor out{info_of(full, tensor.tensor)};
      if (const auto* spec = std::get_if<TensorSpec>(&tensor.tensor)) {
        const Shape shape = stored_form(spec->dtype, spec->shape).shape;
        for (Box& box : whole_tensor_tile(shape)) out.tiles.push_back({std::move(box), item->view(*spec, full)});
        contents_.held.push_back(item);
      }
      contents_.tensors.push_back(std::move(out));
    }
  }
  // Megatron keeps its arguments, and what is not cut, in a file beside.
  void add_common() {
    const std::string path = in("common.pt");
    if (!is_file(path)) return;
    MappedFile file(path);
    if (!file.read([&] { return looks_like_torch(file); })) return;
    contents_.files.push_back(file);
    const TorchItemPtr item = read_torch_item(std::move(file), limits_);
    add_tensors_of(item, "");
    for (const auto& [name, value] : item->listing.metadata.items()) values_.place({name}, value);
  }

  std::string summary() const {
    std::set<std::string> ranks;
    for (const auto& [name, at] : file_at_)
      if (name.starts_with("__") && name.ends_with(kRankFile)) ranks.insert(name.substr(2, name.find('_', 2) - 2));
    return fmt::format("torch.distributed.checkpoint{}: {}{}", metadata_.version.empty() ? "" : " " + metadata_.version,
                       count_text(data_files_, "file"), ranks.empty() ? "" : " of " + count_text(ranks.size(), "rank"));
  }

  const Limits limits_;
  const std::vector<std::string> all_;
  TiledContents contents_;
  JsonTree values_;  // what is not a tensor, where it stood before the planner flattened the dictionary
  DcpMetadata metadata_;
  std::map<std::string, size_t> file_at_;  // in contents_.files
  size_t data_files_ = 0;
};

}  // namespace

bool looks_like_dcp(const std::string& folder, const std::vector<std::string>& files) {
  if (std::any_of(files.begin(), files.end(), [](const std::string& name) { return name.ends_with(kRankFile); }))
    return true;
  if (std::find(files.begin(), files.end(), kMetadata) == files.end()) return false;
  const MappedFile file((fs::path(folder) / kMetadata).string());
  return file.read([&] { return looks_like_dcp_metadata(file.bytes()); });
}

std::unique_ptr<Source> open_dcp(const std::string& folder, const OpenOptions& options) {
  return DcpOpener(folder, options).open();
}

}  // namespace remap::formats
