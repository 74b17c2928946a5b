#include "formats/t5x_source.h"

#include <algorithm>
#include <filesystem>
#include <variant>

#include <fmt/format.h>

#include "base/json_members.h"
#include "formats/array_tree.h"
#include "formats/flax_leaves.h"
#include "formats/folder_files.h"
#include "formats/gin.h"
#include "formats/limit.h"
#include "formats/t5x_folder.h"
#include "formats/unread_kinds.h"
#include "formats/zarr.h"
#include "tensor/box.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

// An array inside the msgpack file: boxes in row-major order, and where each one's elements start in the mapping.
struct InlineTiles {
  std::vector<Box> boxes;
  std::vector<const std::byte*> data;
};

struct Entry {
  TensorInfo info;
  std::variant<InlineTiles, ZarrArray> home;
};

// Cuts elements [begin, end) of a row-major tensor into the fewest boxes that cover them in order: single rows until a
// multiple of a larger slab is reached, slabs, then rows again. `slab[d]` is the number of elements below dimension d.
void append_boxes(const Shape& shape, const std::vector<int64_t>& slab, int64_t begin, int64_t end,
                  const std::byte* data, int64_t element_bytes, InlineTiles& tiles) {
  const int64_t first = begin;
  while (begin < end) {
    size_t d = 0;
    while (d < shape.size() && (begin % slab[d] != 0 || begin + slab[d] > end)) ++d;
    Box box{Shape(shape.size(), 0), Shape(shape.size(), 1)};
    int64_t rest = begin;
    for (size_t k = 0; k < shape.size(); ++k) {
      box.origin[k] = rest / slab[k];
      rest %= slab[k];
      if (k > d) box.extent[k] = shape[k];
    }
    int64_t count = 1;
    if (d < shape.size()) {
      box.extent[d] = std::min(shape[d] - box.origin[d], (end - begin) / slab[d]);
      count = box.extent[d] * slab[d];
    }
    tiles.boxes.push_back(std::move(box));
    tiles.data.push_back(data + (begin - first) * element_bytes);
    begin += count;
  }
}

InlineTiles inline_tiles(const InlineArray& array) {
  InlineTiles tiles;
  if (element_count(array.shape) == 0) return tiles;
  const auto slab = row_major_strides(array.shape);
  const int64_t element_bytes = size_bytes(array.dtype);
  int64_t begin = 0;
  for (const std::string_view run : array.runs) {
    const int64_t end = begin + static_cast<int64_t>(run.size()) / element_bytes;
    append_boxes(array.shape, slab, begin, end, reinterpret_cast<const std::byte*>(run.data()), element_bytes, tiles);
    begin = end;
  }
  return tiles;
}

class T5xSource final : public Source {
 public:
  T5xSource(std::string path, MappedFile file, const OpenOptions& options)
      : path_(std::move(path)), file_(std::move(file)), folder_(fs::path(file_.path()).parent_path().string()) {
    const MsgpackNode root = parse_msgpack(file_.text(), file_.path(), 0, options.limits);
    read_leaves(root, options);
    finish_entries(options.limits);
    read_gin(options);
  }

  std::string folder() const override { return folder_.empty() ? "." : folder_; }
  std::string_view format() const override { return format_; }
  const std::string& path() const override { return path_; }
  const Manifest& manifest() const override { return manifest_; }
  const Json& metadata() const override { return metadata_; }
  std::vector<Box> tile_boxes(size_t index) const override {
    require_read(manifest_[index], path());
    if (const auto* tiles = std::get_if<InlineTiles>(&entries_[index].home)) return tiles->boxes;
    return zarr_tiles(std::get<ZarrArray>(entries_[index].home));
  }
  bool in_place(size_t index) const override {
    return entries_[index].info.unread == nullptr && std::holds_alternative<InlineTiles>(entries_[index].home);
  }
  TileView load(size_t index, size_t tile, TileBuffer& buffer) const override {
    require_read(manifest_[index], path());
    if (const auto* array = std::get_if<ZarrArray>(&entries_[index].home)) return load_zarr_tile(*array, tile, buffer);
    const auto& tiles = std::get<InlineTiles>(entries_[index].home);
    const std::byte* data = tiles.data[tile];
    return {data, row_major_strides(tiles.boxes[tile].extent), file_.fd(), static_cast<uint64_t>(data - file_.data()),
            &file_.path()};
  }
  void check_bytes() const override { file_.require_readable(); }
  void visit_files(const FileVisitor& body) const override {
    Source::visit_files(body);
    for (const Entry& entry : entries_)
      if (const auto* array = std::get_if<ZarrArray>(&entry.home))
        visit_chunk_files(*array, [&](const std::string& path) { body(path, nullptr); });
  }
  std::vector<std::string> remarks() const override {
    std::vector<std::string> lines = remarks_;
    for (auto& warning : warnings()) lines.push_back(std::move(warning));
    return lines;
  }
  std::vector<std::string> warnings() const override {
    std::vector<std::string> lines;
    for (const Entry& entry : entries_)
      if (const auto* array = std::get_if<ZarrArray>(&entry.home))
        if (auto missing = missing_chunks(*array)) lines.push_back(std::move(*missing));
    return lines;
  }

 private:
  // {"version": 3, "optimizer": {"state": …, "target": …}}, or Orbax's {"state": …, "target": …}.
  void read_leaves(const MsgpackNode& root, const OpenOptions& options) {
    if (!root.is(MsgpackNode::Kind::map))
      throw Error("t5x-msgpack", BytePlace{file_.path(), {}, 0},
                  fmt::format("the file is {}; a map was expected", kind_name(root.kind)));
    if (root.find("version") == nullptr && root.find("target") == nullptr) {
      if (is_file(fs::path(folder_) / kOrbaxTree))
        format_ = "orbax";
      else
        format_ = "flax";
    }
    const MsgpackNode* optimizer = format_ == "t5x" ? root.find("optimizer") : nullptr;
    if (format_ == "t5x") check_version(root, optimizer, options.limits);
    const MsgpackNode& tree = optimizer != nullptr ? *optimizer : root;
    if (const MsgpackNode* state = tree.find("state"))
      if (const MsgpackNode* step = state->find("step"))
        if (const auto value = flax_integer(*step, file_.path(), options.limits)) metadata_["step"] = *value;
    const auto wanted = [&](const std::string& key) {
      const std::string& subtree = options.subtree;
      if (subtree.empty() || format_ == "flax") return true;
      return key.starts_with(subtree) &&
             (key.size() == subtree.size() || subtree.ends_with(separator()) || key[subtree.size()] == separator());
    };
    std::vector<FlaxLeaf> leaves;
    for (size_t i = 0; i < root.keys.size(); ++i) {
      if (format_ == "t5x" && root.keys[i] == "version") continue;
      const bool wrapper = &root.items[i] == optimizer;
      collect_flax_leaves(root.items[i], wrapper ? std::string() : std::string(root.keys[i]), separator(), file_.path(),
                          options.limits, wanted, leaves);
    }
    for (FlaxLeaf& leaf : leaves) add_leaf(leaf, options.limits);
  }

  char separator() const { return format_ == "flax" ? '.' : '/'; }  // of a key's parts

  void check_version(const MsgpackNode& root, const MsgpackNode* optimizer, const Limits& limits) {
    const MsgpackNode* node = root.find("version");
    const auto refuse = [&](const std::string& message, const std::string& hint) {
      throw Error("t5x-version", BytePlace{file_.path(), {}, 0}, message, hint);
    };
    if (node == nullptr && optimizer == nullptr) return;  // Orbax's form
    if (node == nullptr) refuse("there is 'optimizer', and no 'version' beside it", {});
    const auto version = flax_integer(*node, file_.path(), limits);
    if (!version) refuse("'version' is not an integer", {});
    if (*version == 2)
      refuse("version 2 of the format stored bfloat16 arrays as uint16, so their type is unknown",
             "restore it in T5X of 2021 and save it again");
    if (*version != 3) refuse(fmt::format("version {} of the format; version 3 is read", *version), {});
    if (optimizer == nullptr || !optimizer->is(MsgpackNode::Kind::map))
      refuse("there is no map 'optimizer' beside 'version'", {});
    metadata_["version"] = *version;
  }

  void add_leaf(FlaxLeaf& leaf, const Limits& limits) {
    if (const auto* value = std::get_if<Json>(&leaf.value)) {
      Json& values = metadata_["values"];
      if (values.is_null()) values = Json::object();
      append_member(values, leaf.key, *value);  // paths in one tree are distinct
    } else if (const auto* array = std::get_if<InlineArray>(&leaf.value); array != nullptr && array->other_type) {
      entries_.push_back(
          {unread_tensor(leaf.key, fmt::format("an array of '{}', a type that is not read", *array->other_type),
                         *array->other_type, array->shape),
           InlineTiles{}});
    } else if (array != nullptr) {
      entries_.push_back({{leaf.key, array->dtype, array->shape}, inline_tiles(*array)});
    } else {
      entries_.push_back(open_zarr(leaf, std::get<ArrayFolder>(leaf.value), limits));
    }
  }

  Entry open_zarr(const FlaxLeaf& leaf, const ArrayFolder& spec, const Limits& limits) {
    const std::string folder = (fs::path(folder_) / spec.folder).string();
    const bool is_new = !is_file(folder + "/.zarray") && is_file(folder + "/zarr.json");
    const std::string file = folder + (is_new ? "/zarr.json" : "/.zarray");
    std::error_code ignored;
    if (!fs::is_regular_file(file, ignored))
      throw Error(
          "t5x-array-missing", BytePlace{file, {}, {}},
          fmt::format("the array '{}' is not there; {}", leaf.key,
                      fs::is_directory(folder, ignored) ? "its folder has no .zarray" : "there is no such folder"),
          "the checkpoint was not copied completely; fetch the folder again");
    const std::string text = read_text(file, limits);
    auto parsed = is_new ? parse_zarr_json(text, file, limits) : std::optional(parse_zarray(text, file, limits));
    if (!parsed) throw Error("zarr-metadata", BytePlace{file, {}, {}}, "a group of zarr arrays where an array belongs");
    ZarrArray array = std::move(*parsed);
    array.store = std::make_shared<FolderStore>(folder);
    array.name = leaf.key;
    const auto disagree = [&](std::string_view what, std::string_view here, std::string_view there) {
      throw Error("t5x-array-mismatch", BytePlace{file_.path(), {}, leaf.offset},
                  fmt::format("the array '{}' has the {} {} here and {} in {}", leaf.key, what, here, there, file));
    };
    if (spec.shape && *spec.shape != array.shape) disagree("shape", to_string(*spec.shape), to_string(array.shape));
    if (spec.dtype && *spec.dtype != array.dtype) disagree("dtype", long_name(*spec.dtype), long_name(array.dtype));
    check_chunks(array);
    TensorInfo info{leaf.key, array.dtype, array.shape};
    return {std::move(info), std::move(array)};
  }

  std::string read_text(const std::string& file, const Limits& limits) {
    std::vector<FileRead> read;
    std::string text = read_text_file(file, limits.max_index_bytes, &read);
    add_files_read(read);
    return text;
  }

  void finish_entries(const Limits& limits) {
    check_limit(entries_.size(), limits.max_tensors, "max_tensors", BytePlace{file_.path(), {}, {}}, "arrays");
    std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.info.key < b.info.key; });
    std::vector<TensorInfo> infos;
    infos.reserve(entries_.size());
    for (const Entry& entry : entries_) infos.push_back(entry.info);
    manifest_ = Manifest(std::move(infos), file_.path());
  }

  void read_gin(const OpenOptions& options) {
    const auto given = options.companions.find("gin");
    const auto file = given != options.companions.end() ? std::optional(given->second) : find_gin_file(folder_);
    if (!file) return;
    GinConfig gin = parse_gin(read_text(*file, options.limits), *file, options.limits);
    metadata_["gin"] = std::move(gin.values);
    remarks_.insert(remarks_.end(), gin.remarks.begin(), gin.remarks.end());
  }

  std::string path_;
  MappedFile file_;
  std::string folder_;
  std::string_view format_ = "t5x";
  std::vector<Entry> entries_;  // in the manifest's order
  Manifest manifest_;
  Json metadata_ = Json::object();
  std::vector<std::string> remarks_;
};

}  // namespace

bool looks_like_msgpack_map(std::span<const std::byte> bytes) {
  // A map that is not empty, whose first key is a text: fixmap, map16, map32; fixstr, str8, str16, str32.
  const auto at = [&](size_t i) { return i < bytes.size() ? std::to_integer<unsigned>(bytes[i]) : 0u; };
  const size_t header = at(0) == 0xde ? 3 : at(0) == 0xdf ? 5 : 1;
  const bool map = (at(0) > 0x80 && at(0) <= 0x8f) || header > 1;
  const unsigned key = at(header);
  return map && ((key > 0xa0 && key <= 0xbf) || (key >= 0xd9 && key <= 0xdb));
}

std::unique_ptr<Source> open_t5x(const std::string& path, MappedFile checkpoint, const OpenOptions& options) {
  return std::make_unique<T5xSource>(path, std::move(checkpoint), options);
}

}  // namespace remap::formats
