#include "formats/tensorflow_source.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <filesystem>
#include <mutex>

#include <fmt/format.h>

#include "base/checked.h"
#include "base/crc32c.h"
#include "base/json_members.h"
#include "formats/folder_files.h"
#include "formats/json_text.h"
#include "formats/limit.h"
#include "formats/masked_crc.h"
#include "formats/sorted_table.h"
#include "formats/tensorflow_entries.h"
#include "formats/tensorflow_old.h"
#include "formats/tensorflow_strings.h"
#include "tensor/box.h"
#include "tensor/tiling.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFetchBundle = "the file is damaged or was not copied completely; fetch it again";
constexpr std::string_view kObjectGraph = "_CHECKPOINTABLE_OBJECT_GRAPH";
constexpr const char* kSteps[] = {"global_step", "save_counter/.ATTRIBUTES/VARIABLE_VALUE"};

// A box of a tensor, in one run of a data file.
struct Piece {
  Box box;
  size_t file = 0;
  uint64_t offset = 0, size = 0;
  uint32_t crc = 0;
  size_t number = 0;  // among all pieces
};

class BundleSource final : public Source {
 public:
  BundleSource(std::string path, const SortedTable& table, const OpenOptions& options)
      : path_(std::move(path)), index_(table.file()), limits_(options.limits) {
    const std::string& file = index_.path();
    prefix_ = file.substr(0, file.size() - std::string_view(".index").size());
    read_table(table);
    finish();
    const fs::path config = fs::path(file).parent_path() / "config.json";
    if (is_file(config)) read_config(config.string());
  }

  std::string_view format() const override { return "tensorflow"; }
  const std::string& path() const override { return path_; }
  const Manifest& manifest() const override { return manifest_; }
  const Json& metadata() const override { return metadata_; }
  std::vector<Box> tile_boxes(size_t index) const override {
    std::vector<Box> boxes;
    for (const Piece& piece : tensors_[index].pieces) boxes.push_back(piece.box);
    return boxes;
  }
  bool in_place(size_t) const override { return true; }
  const std::string* file_of(size_t index, size_t tile) const override {
    return &files_[tensors_[index].pieces[tile].file].path();
  }
  TileView load(size_t index, size_t tile, TileBuffer&) const override {
    require_read(manifest_[index], path_);
    const Piece& piece = tensors_[index].pieces[tile];
    const MappedFile& file = files_[piece.file];
    std::call_once(verified_[piece.number], [&] { verify(piece, manifest_[index].key); });
    return {file.data() + piece.offset, row_major_strides(piece.box.extent), file.fd(), piece.offset, &file.path()};
  }
  void check_bytes() const override {
    for (const MappedFile& file : files_) file.require_readable();
  }
  std::vector<std::string> remarks() const override { return remarks_; }

 private:
  struct Tensor {
    TensorInfo info;
    std::vector<Piece> pieces;
  };
  using Slices = std::map<std::string, BundleEntry, std::less<>>;  // by their keys in the table

  void read_table(const SortedTable& table) {
    std::optional<BundleHeader> header;
    Slices slices;
    std::vector<std::pair<std::string, BundleEntry>> entries;
    BytePlace last;
    table.walk_all([&](std::string_view key, std::string_view value, const BytePlace& place) {
      last = place;
      if (key.empty()) {
        header = parse_bundle_header(value, place);
        return true;
      }
      if (!header)
        throw Error(kTensorflowEntry, place, "the table does not begin with a header (an entry of the empty key)",
                    "if this is the index of a TensorFlow checkpoint, it is damaged; fetch it again");
      check_limit(entries.size() + slices.size() + 1, limits_.max_tensors, "max_tensors", place, "entries");
      if (key.front() == '\0') {
        slices.emplace(key, parse_bundle_entry(value, "a slice", place, limits_));
      } else {
        std::string name = tensor_name(key, place, limits_);
        BundleEntry entry = parse_bundle_entry(value, name, place, limits_);
        entries.emplace_back(std::move(name), std::move(entry));
      }
      return true;
    });
    if (!header)
      throw Error(kTensorflowEntry, BytePlace{index_.path(), {}, {}},
                  "the table does not begin with a header (an entry of the empty key)",
                  "if this is the index of a TensorFlow checkpoint, it is damaged; fetch it again");
    num_shards_ = header->num_shards;
    for (auto& [name, entry] : entries) add(std::move(name), entry, slices);
  }

  BytePlace place() const { return {index_.path(), {}, {}}; }
  [[noreturn]] void fail(const std::string& message) const {
    throw Error(kTensorflowEntry, place(), message, kFetchBundle);
  }

  void add(std::string name, const BundleEntry& entry, const Slices& slices) {
    if (entry.type->number == kTensorflowString) return add_strings(name, entry);
    Tensor tensor{{name, entry.type->dtype.value_or(DType::u8), entry.shape}, {}};
    if (!entry.type->dtype)
      tensor.info = unread_tensor(name, std::string(entry.type->why), std::string(entry.type->name), entry.shape);
    if (!entry.slices.empty())
      add_slices(tensor, name, entry, slices);
    else if (entry.type->size_bytes > 0)
      add_piece(tensor, name, entry, {Shape(entry.shape.size(), 0), entry.shape});
    tensors_.push_back(std::move(tensor));
  }

  void add_slices(Tensor& tensor, const std::string& name, const BundleEntry& entry, const Slices& slices) {
    check_limit(entry.slices.size(), limits_.max_chunks, "max_chunks", place(), "slices of one tensor");
    if (entry.type->size_bytes == 0) fail(fmt::format("'{}' is of type {} and sliced", name, entry.type->name));
    std::vector<Box> boxes;
    for (const TensorSlice& slice : entry.slices) {
      const Box box = slice_box(slice, entry.shape, name, place());
      boxes.push_back(box);
      const auto found = slices.find(slice_key(name, slice));
      if (found == slices.end())
        fail(fmt::format("'{}' has no entry for its slice of {} at {}", name, to_string(box.extent),
                         to_string(box.origin)));
      const BundleEntry& part = found->second;
      if (part.shape != box.extent || part.type != entry.type || !part.slices.empty())
        fail(fmt::format("the slice of '{}' at {} is {} {}, and its entry {} {}", name, to_string(box.origin),
                         entry.type->name, to_string(box.extent), part.type->name, to_string(part.shape)));
      if (element_count(box.extent) > 0) add_piece(tensor, name, part, box);
    }
    if (const std::string fault = tiling_fault(boxes, entry.shape); !fault.empty())
      fail(fmt::format("the slices of '{}' {} do not make it up: {}", name, to_string(entry.shape), fault));
    std::sort(tensor.pieces.begin(), tensor.pieces.end(),
              [](const Piece& a, const Piece& b) { return a.box.origin < b.box.origin; });
  }

  // Bytes of an entry, proved to be inside of its file.
  Piece locate(const std::string& name, const BundleEntry& entry) {
    if (entry.shard < 0 || entry.shard >= num_shards_)
      fail(fmt::format("'{}' is in data file {} of {}", name, entry.shard, num_shards_));
    Piece piece{{}, file_of(name, entry.shard), 0, 0, entry.crc, n_pieces_};
    const MappedFile& file = files_[piece.file];
    if (entry.offset < 0 || entry.size < 0 ||
        !range_inside(static_cast<uint64_t>(entry.offset), static_cast<uint64_t>(entry.size), file.size()))
      throw Error(
          "tensorflow-data", BytePlace{file.path(), {}, {}},
          fmt::format("'{}' has {} bytes from byte {}, and the file {}", name, entry.size, entry.offset, file.size()),
          kFetchBundle);
    piece.offset = static_cast<uint64_t>(entry.offset);
    piece.size = static_cast<uint64_t>(entry.size);
    return piece;
  }

  void add_piece(Tensor& tensor, const std::string& name, const BundleEntry& entry, Box box) {
    const int64_t expected = element_count(entry.shape) * entry.type->size_bytes;
    if (entry.size != expected)
      fail(fmt::format("'{}' is {} {}, which takes {} bytes, and its entry says {}", name, entry.type->name,
                       to_string(entry.shape), expected, entry.size));
    if (expected == 0) return;
    Piece piece = locate(name, entry);
    piece.box = std::move(box);
    ++n_pieces_;
    if (tensor.info.unread == nullptr) tensor.pieces.push_back(std::move(piece));
  }

  size_t file_of(const std::string& name, int64_t shard) {
    const auto known = file_of_shard_.find(shard);
    if (known != file_of_shard_.end()) return known->second;
    const std::string file = fmt::format("{}.data-{:05}-of-{:05}", prefix_, shard, num_shards_);
    if (!is_file(file))
      throw Error("source-parts", BytePlace{file, {}, {}},
                  fmt::format("the data file is not there; the index says that it holds '{}'", name),
                  "the checkpoint was not copied completely; fetch its data files again");
    files_.emplace_back(file);
    add_file_read({file, files_.back().stamp()});
    return file_of_shard_[shard] = files_.size() - 1;
  }

  void add_strings(const std::string& name, const BundleEntry& entry) {
    if (!entry.slices.empty()) fail(fmt::format("'{}' is of type string and sliced", name));
    const int64_t count = element_count(entry.shape);
    std::string_view bytes;
    BytePlace at = place();
    std::optional<MappedFile> file;
    if (entry.size != 0 || count != 0) {
      const Piece piece = locate(name, entry);
      file = files_[piece.file];
      at = {file->path(), {}, piece.offset};
      bytes = {reinterpret_cast<const char*>(file->data()) + piece.offset, piece.size};
    }
    check_limit(bytes.size(), limits_.max_index_bytes, "max_index_bytes", at, "bytes of strings");
    const auto read = [&] {
      const auto strings = parse_strings(bytes, count, entry.crc, name, at);
      if (name == kObjectGraph && strings.size() == 1) {
        metadata_["object_graph"] = parse_object_graph(strings.front(), at);
        return true;
      }
      Json& all = metadata_["strings"];
      if (all.is_null()) all = Json::object();
      append_member(all, name, strings_as_metadata(strings, entry.shape));
      remarks_.push_back(
          fmt::format("{}: strings {}, listed as metadata, not as a tensor", name, to_string(entry.shape)));
      return true;
    };
    if (file)
      file->read(read);
    else
      read();
  }

  void finish() {
    std::sort(tensors_.begin(), tensors_.end(),
              [](const Tensor& a, const Tensor& b) { return a.info.key < b.info.key; });
    std::vector<TensorInfo> infos;
    infos.reserve(tensors_.size());
    for (const Tensor& tensor : tensors_) infos.push_back(tensor.info);
    manifest_ = Manifest(std::move(infos), path_);
    verified_ = std::make_unique<std::once_flag[]>(n_pieces_);
    for (const char* name : kSteps)
      if (const size_t at = manifest_.find(name); at != Manifest::npos && !metadata_.contains("step")) read_step(at);
  }

  void read_step(size_t at) {
    if (manifest_[at].dtype != DType::i64 || !manifest_[at].shape.empty()) return;
    TileBuffer unused;
    int64_t step = 0;
    std::memcpy(&step, load(at, 0, unused).data, sizeof step);
    check_bytes();
    metadata_["step"] = step;
  }

  void read_config(const std::string& file) {
    std::vector<FileRead> read;
    metadata_["config"] = parse_python_json(read_text_file(file, limits_.max_index_bytes, &read), {file});
    add_files_read(read);
  }

  void verify(const Piece& piece, const std::string& key) const {
    const MappedFile& file = files_[piece.file];
    const uint32_t computed = file.read([&] { return masked(crc32c(file.bytes().subspan(piece.offset, piece.size))); });
    if (computed != piece.crc)
      throw Error("tensorflow-data", BytePlace{file.path(), {}, piece.offset},
                  fmt::format("the checksum of '{}' is {:08x} in the index, and that of its {} bytes {:08x}", key,
                              piece.crc, piece.size, computed),
                  kFetchBundle);
  }

  std::string path_, prefix_;
  MappedFile index_;
  Limits limits_;
  int64_t num_shards_ = 0;
  std::vector<MappedFile> files_;
  std::map<int64_t, size_t> file_of_shard_;
  std::vector<Tensor> tensors_;  // in the manifest's order
  size_t n_pieces_ = 0;
  std::unique_ptr<std::once_flag[]> verified_;  // whether a piece's checksum was
  Manifest manifest_;
  Json metadata_ = Json::object();
  std::vector<std::string> remarks_;
};

}  // namespace

std::unique_ptr<Source> open_tensorflow(const std::string& path, MappedFile index, const OpenOptions& options) {
  const SortedTable table(std::move(index), options.limits);
  if (!table.file().path().ends_with(".index")) return open_tensorflow_old(path, table, options);
  return std::make_unique<BundleSource>(path, table, options);
}

}  // namespace remap::formats
