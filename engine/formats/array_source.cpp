#include "formats/array_source.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "base/links_outside.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "formats/array_tree.h"
#include "formats/folder_files.h"
#include "formats/gin.h"
#include "formats/json_text.h"
#include "formats/limit.h"
#include "formats/ocdbt.h"
#include "formats/t5x_folder.h"
#include "formats/zarr.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kText2 = ".zarray", kText3 = "zarr.json";
constexpr const char* kStepArrays[] = {"step", "state/step"};

// An array's keys begin with `prefix`: "name/", or nothing for one that is the whole store.
struct NamedArray {
  std::string prefix, text_name;
};

std::vector<NamedArray> arrays_in(const OcdbtDatabase& database) {
  std::vector<NamedArray> arrays;
  for (size_t i = 0; i < database.size(); ++i) {
    const std::string_view key = database.key(i);
    for (const std::string_view text : {kText2, kText3})
      if (key == text || (key.ends_with(text) && key[key.size() - text.size() - 1] == '/'))
        arrays.push_back({std::string(key.substr(0, key.size() - text.size())), std::string(text)});
  }
  return arrays;
}

// The folders of arrays below a folder; nothing below an array is looked at. Links to folders are not followed: what
// they lead to in the folder is found where it lies, what lies outside is not the checkpoint's. Those that the tree
// names are arrays all the same.
class ArraySearch {
 public:
  ArraySearch(const std::string& folder, const ArrayTree& tree, const Limits& limits)
      : outside(folder), folder_(folder), tree_(tree), limits_(limits) {}

  void look_in(const std::string& prefix, int depth) {
    const std::string_view text = take(prefix);
    if (text == kText2) return;
    if (depth > limits_.max_metadata_depth)
      throw Error(
          "limit-exceeded", BytePlace{folder_, {}, {}},
          fmt::format("folders within folders, more than {} levels (max_metadata_depth)", limits_.max_metadata_depth));
    const fs::path here = fs::path(folder_) / prefix;
    std::error_code ignored;
    for (const auto& name : list_folders(here.string())) {
      if (text == kText3 && name == "c") continue;  // its chunks
      if (!fs::is_symlink(here / name, ignored))
        look_in(prefix + name + "/", depth + 1);
      else if (tree_.keys.contains(prefix + name))
        take(prefix + name + "/");
      else if (!outside.leads_outside((here / name).string()))
        inside.push_back(prefix + name);
    }
  }

  std::vector<NamedArray> arrays;
  LinksOutside outside;             // links that were not followed
  std::vector<std::string> inside;  // the same, to what lies in the folder

 private:
  // Which text the folder has, if it has one.
  std::string_view take(const std::string& prefix) {
    std::string_view found;
    for (const std::string_view text : {kText2, kText3}) {
      if (found == kText2 || !is_file(fs::path(folder_) / prefix / text)) continue;
      check_limit(arrays.size() + 1, limits_.max_tensors, "max_tensors", BytePlace{folder_, {}, {}}, "arrays");
      arrays.push_back({prefix, std::string(text)});
      found = text;
    }
    return found;
  }

  const std::string& folder_;
  const ArrayTree& tree_;
  const Limits& limits_;
};

class ArraySource : public Source {
 public:
  ArraySource(std::string path, std::string folder) : path_(std::move(path)), folder_(std::move(folder)) {}

  void read(ArrayTree tree, const std::vector<FileRead>& tree_files, const OpenOptions& options) {
    add_files_read(tree_files);
    if (is_file(fs::path(folder_) / kOcdbtManifest)) {
      auto database = std::make_shared<const OcdbtDatabase>(folder_, options.limits);
      add_files_read(database->files_read());
      in_database_ = true;
      remarks_.push_back(database->generation() == 0
                             ? "the database was made, and never written to"
                             : fmt::format("generation {} of the database", database->generation()));
      store_ = database;
      arrays_ = arrays_in(*database);
    } else {
      store_ = std::make_shared<const FolderStore>(folder_);
      search(tree, options.limits);
    }
    require_all(tree, options.subtree);
    for (const NamedArray& array : arrays_) add(array, tree, options);
    finish();
    read_others(options);
  }
  // Whether one of the keys is of T5X's train state.
  static bool has_target(const ArrayTree& tree) {
    return std::any_of(tree.keys.begin(), tree.keys.end(),
                       [](const auto& entry) { return entry.second.starts_with("target/"); });
  }

  std::string_view format() const override { return "orbax"; }
  std::string folder() const override { return folder_.empty() ? "." : folder_; }
  const std::string& path() const override { return path_; }
  const Manifest& manifest() const override { return manifest_; }
  const Json& metadata() const override { return metadata_; }
  std::vector<Box> tile_boxes(size_t index) const override { return zarr_tiles(entries_[index].array); }
  TileView load(size_t index, size_t tile, TileBuffer& buffer) const override {
    return load_zarr_tile(entries_[index].array, tile, buffer);
  }
  void visit_files(const FileVisitor& body) const override {
    Source::visit_files(body);
    for (const Entry& entry : entries_)
      visit_chunk_files(entry.array, [&](const std::string& path) { body(path, nullptr); });
  }
  std::vector<std::string> remarks() const override {
    std::vector<std::string> lines = remarks_;
    for (auto& warning : warnings()) lines.push_back(std::move(warning));
    return lines;
  }
  std::vector<std::string> warnings() const override {
    std::vector<std::string> lines;
    if (leaves_out_fill_) return lines;
    for (const Entry& entry : entries_)
      if (auto missing = missing_chunks(entry.array)) lines.push_back(std::move(*missing));
    return lines;
  }

 private:
  struct Entry {
    TensorInfo info;
    ZarrArray array;
  };

  void search(const ArrayTree& tree, const Limits& limits) {
    ArraySearch found(folder_, tree, limits);
    found.look_in("", 0);
    arrays_ = std::move(found.arrays);
    if (!found.inside.empty())
      remarks_.push_back(fmt::format("not followed, since what they lead to is in the folder itself: the links {}",
                                     quoted_list(found.inside)));
    if (!found.outside.empty())
      add_notice({Severity::note,
                  "source-link",
                  BytePlace{path_, {}, {}},
                  "not followed: " + found.outside.text(),
                  {},
                  kCopyHint});
  }

  void require_all(const ArrayTree& tree, const std::string& subtree) const {
    for (const std::string& name : tree.required)
      if (is_wanted(tree.keys.at(name), subtree) && !store_->contains(name + "/.zarray") &&
          !store_->contains(name + "/zarr.json"))
        throw Error("source-parts", BytePlace{tree.file, {}, {}},
                    fmt::format("the array '{}' of the tree is not there", printable(name)),
                    "the checkpoint was not copied completely; fetch the folder again");
  }

  void add(const NamedArray& named, const ArrayTree& tree, const OpenOptions& options) {
    std::string name = named.prefix.empty() ? "" : named.prefix.substr(0, named.prefix.size() - 1);
    const BytePlace place = store_->place_of(named.prefix + named.text_name);
    if (!is_utf8(name))
      throw Error("orbax-tree", place, fmt::format("the name of an array is not UTF-8: '{}'", printable(name)));
    const auto known = tree.keys.find(name);
    std::string key = known != tree.keys.end() ? known->second : name;
    if (key.empty()) key = fs::path(folder_).lexically_normal().filename().string();
    if (key.empty()) key = "array";
    check_limit(key.size(), options.limits.max_key_bytes, "max_key_bytes", place, "bytes of an array's name");
    if (!is_wanted(key, options.subtree)) return;
    const auto text = store_->find(named.prefix + named.text_name);
    if (!text) throw Error("io-read", place, "the array's text disappeared while it was opened");
    check_limit(text->bytes.size(), options.limits.max_index_bytes, "max_index_bytes", place, "bytes of a zarr text");
    const std::string file = in_database_ ? fmt::format("{}!{}", place.file, place.member) : place.file;
    auto array = text->file.read([&] {
      const std::string_view bytes(reinterpret_cast<const char*>(text->bytes.data()), text->bytes.size());
      return named.text_name == kText3 ? parse_zarr_json(bytes, file, options.limits)
                                       : std::optional(parse_zarray(bytes, file, options.limits));
    });
    if (!in_database_) add_file_read({text->file.path(), text->file.stamp()});
    if (!array) return;  // a group
    array->store = store_;
    array->prefix = named.prefix;
    array->name = key;
    // A database is whole or damaged: what it does not have was never written, and is zero where no fill value says
    // otherwise. Of a folder, files may have been lost.
    if (!array->fill && (in_database_ || tree.leaves_out_fill)) array->fill.emplace();
    check_chunks(*array);
    leaves_out_fill_ = in_database_ || tree.leaves_out_fill;
    TensorInfo info{key, array->dtype, array->shape};
    entries_.push_back({std::move(info), std::move(*array)});
  }

  static bool is_wanted(const std::string& key, const std::string& subtree) {
    if (subtree.empty()) return true;
    return key.starts_with(subtree) &&
           (key.size() == subtree.size() || subtree.ends_with('/') || key[subtree.size()] == '/');
  }

  void finish() {
    std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.info.key < b.info.key; });
    std::vector<TensorInfo> infos;
    infos.reserve(entries_.size());
    for (const Entry& entry : entries_) infos.push_back(entry.info);
    manifest_ = Manifest(std::move(infos), folder_);
  }

  void read_others(const OpenOptions& options) {
    for (const char* name : kStepArrays)
      if (const size_t at = manifest_.find(name); at != Manifest::npos && !metadata_.contains("step")) read_step(at);
    const fs::path strings = fs::path(folder_) / "_strings.json";
    if (is_file(strings))
      metadata_["strings"] = parse_json(read_text(strings.string(), options.limits), {strings.string()});
    if (format() != "t5x") return;
    const auto given = options.companions.find("gin");
    const auto file = given != options.companions.end() ? std::optional(given->second) : find_gin_file(folder_);
    if (!file) return;
    GinConfig gin = parse_gin(read_text(*file, options.limits), *file, options.limits);
    metadata_["gin"] = std::move(gin.values);
    remarks_.insert(remarks_.end(), gin.remarks.begin(), gin.remarks.end());
  }

  void read_step(size_t at) {
    const DType dtype = manifest_[at].dtype;
    if (!manifest_[at].shape.empty() || (dtype != DType::i32 && dtype != DType::i64)) return;
    TileBuffer buffer;
    const TileView view = load(at, 0, buffer);
    int64_t step = 0;
    int32_t narrow = 0;
    if (dtype == DType::i64)
      std::memcpy(&step, view.data, sizeof step);
    else
      std::memcpy(&narrow, view.data, sizeof narrow);
    metadata_["step"] = dtype == DType::i64 ? step : narrow;
  }

  std::string read_text(const std::string& file, const Limits& limits) {
    std::vector<FileRead> read;
    std::string text = read_text_file(file, limits.max_index_bytes, &read);
    add_files_read(read);
    return text;
  }

  std::string path_, folder_;
  std::shared_ptr<const KeyStore> store_;
  std::vector<NamedArray> arrays_;
  std::vector<Entry> entries_;  // in the manifest's order
  bool in_database_ = false, leaves_out_fill_ = false;
  Manifest manifest_;
  Json metadata_ = Json::object();
  std::vector<std::string> remarks_;
};

class TrainStateSource final : public ArraySource {
 public:
  using ArraySource::ArraySource;
  std::string_view format() const override { return "t5x"; }
};
class PlainArraySource final : public ArraySource {
 public:
  using ArraySource::ArraySource;
  std::string_view format() const override { return "zarr"; }
};

}  // namespace

std::unique_ptr<Source> open_arrays(const std::string& path, const std::string& folder, const OpenOptions& options) {
  std::vector<FileRead> read;
  ArrayTree tree = read_array_tree(folder, options.limits, read);
  std::unique_ptr<ArraySource> source;
  if (!tree.found)
    source = std::make_unique<PlainArraySource>(path, folder);
  else if (ArraySource::has_target(tree))
    source = std::make_unique<TrainStateSource>(path, folder);
  else
    source = std::make_unique<ArraySource>(path, folder);
  source->read(std::move(tree), read, options);
  return source;
}

}  // namespace remap::formats
