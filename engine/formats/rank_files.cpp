#include "formats/rank_files.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/folder_files.h"
#include "formats/limit.h"
#include "formats/tiled_source.h"
#include "formats/torch_item.h"
#include "formats/torch_sharded.h"
#include "formats/torch_source.h"
#include "tensor/box.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

const ShardedTensorPart* part_of(const ListedTensor& tensor) {
  const auto* unread = std::get_if<UnreadableTensor>(&tensor.tensor);
  return unread == nullptr ? nullptr : unread->part.get();
}

// The numbers in a name, and where each stands.
struct NameNumber {
  size_t at = 0, length = 0;
  int64_t value = 0;
};
std::vector<NameNumber> numbers_in(const std::string& name) {
  std::vector<NameNumber> out;
  const auto is_digit = [&](size_t i) { return i < name.size() && name[i] >= '0' && name[i] <= '9'; };
  for (size_t i = 0; i < name.size(); ++i) {
    if (!is_digit(i)) continue;
    NameNumber number{i};
    for (; is_digit(i); ++i)
      if (i - number.at < 12) number.value = 10 * number.value + (name[i] - '0');
    number.length = i - number.at;
    out.push_back(number);
  }
  return out;
}

// Which of the numbers in these names is the rank: the one that differs; of several, or of one name, the one after
// "rank".
std::optional<size_t> rank_place(const std::vector<std::string>& names) {
  const auto first = numbers_in(names.front());
  std::vector<size_t> differ, after_rank;
  for (size_t i = 0; i < first.size(); ++i) {
    const std::string_view before = std::string_view(names.front()).substr(0, first[i].at);
    if (before.ends_with("rank_") || before.ends_with("rank-") || before.ends_with("rank")) after_rank.push_back(i);
    for (const std::string& name : names)
      if (const auto other = numbers_in(name); i < other.size() && other[i].value != first[i].value) {
        differ.push_back(i);
        break;
      }
  }
  if (differ.size() == 1) return differ.front();
  if (!after_rank.empty()) return after_rank.back();
  return std::nullopt;
}

// One rank's file, while it is read.
struct RankFile {
  std::string name;
  int64_t named = 0;  // its rank, by its name
  int64_t rank = 0;   // the one that counts
};

class RankOpener {
 public:
  RankOpener(const std::string& folder, const std::vector<std::string>& names, const OpenOptions& options)
      : names_(names), options_(options) {
    contents_.path = folder;
  }

  std::unique_ptr<Source> open() {
    const auto place = rank_place(names_);
    for (size_t f = 0; f < names_.size(); ++f) {
      const auto numbers = numbers_in(names_[f]);
      const bool counted = place && *place < numbers.size();
      files_.push_back({names_[f], counted ? numbers[*place].value : static_cast<int64_t>(f), 0});
      add_file(f);
    }
    for (auto& [key, held] : held_) finish(key, held);
    add_documents();
    contents_.remarks.insert(contents_.remarks.begin(), fmt::format("one file a rank: {}", FileGroup{names_}.text()));
    return make_tiled_source(std::move(contents_));
  }

 private:
  enum class Kind { whole, on_mesh, shards };
  static const char* describe(Kind kind) {
    return kind == Kind::whole ? "a whole tensor" : kind == Kind::on_mesh ? "a DTensor" : "a ShardedTensor";
  }
  // What the files have of a key.
  struct Held {
    Kind kind = Kind::whole;
    TensorInfo info;
    size_t first_file = 0;
    std::vector<size_t> files;    // that have it
    std::vector<FileTile> tiles;  // parts
    std::vector<Box> boxes;       // of parts, empty ones too
    std::set<std::pair<Shape, Shape>> seen;
    std::vector<Replica> replicas;  // whole ones
    std::set<int64_t> mesh, ranks;  // that have to have a part; that have one
  };

  std::string in(const std::string& name) const { return (fs::path(contents_.path) / name).string(); }
  [[noreturn]] void fail(size_t file, const std::string& message, const std::string& hint = {}) const {
    throw Error("rank-files", BytePlace{in(files_[file].name), {}, {}}, message,
                hint.empty() ? "the files are not of one checkpoint, or one is damaged: fetch them again" : hint);
  }

  void add_file(size_t f) {
    MappedFile file(in(names_[f]));
    contents_.files.push_back(file);
    if (!looks_like_torch(file)) fail(f, "the file is not one of torch's, as those of the other ranks are");
    const TorchItemPtr item = read_torch_item(file, options_.limits);
    set_rank(f, *item);
    for (const ListedTensor& tensor : item->listing.tensors) add_tensor(f, item, tensor);
    check_limit(held_.size(), options_.limits.max_tensors, "max_tensors", BytePlace{contents_.path, {}, {}}, "tensors");
    // The ranks say the same beside their tensors, but for states of random generators and the like.
    if (f == 0 && !item->listing.metadata.contains("$tensors")) contents_.metadata = item->listing.metadata;
    if (f == 0) contents_.remarks = item->listing.remarks;
  }

  // The rank that the meshes in the file name, or else the one in its name. No two files may have the same.
  void set_rank(size_t f, const TorchItem& item) {
    files_[f].rank = files_[f].named;
    for (const ListedTensor& tensor : item.listing.tensors)
      if (const auto* part = part_of(tensor); part != nullptr && part->rank) {
        files_[f].rank = *part->rank;
        break;
      }
    for (size_t other = 0; other < f; ++other)
      if (files_[other].rank == files_[f].rank)
        fail(f,
             fmt::format("'{}' and '{}' are both of rank {}, by what is in them", files_[other].name, files_[f].name,
                         files_[f].rank),
             "one of them is a copy of the other: fetch both again");
  }

  void add_tensor(size_t f, const TorchItemPtr& item, const ListedTensor& tensor) {
    const ShardedTensorPart* part = part_of(tensor);
    const Kind kind = part == nullptr ? Kind::whole : part->on_mesh ? Kind::on_mesh : Kind::shards;
    TensorInfo info = part == nullptr ? info_of(tensor.key, tensor.tensor) : whole_of(f, tensor.key, *part);
    const auto [it, fresh] = held_.try_emplace(tensor.key);
    Held& held = it->second;
    if (fresh) {
      held.kind = kind;
      held.first_file = f;
      held.info = info;
    }
    if (held.kind != kind)
      fail(f, fmt::format("'{}' is {} here, {} in '{}'", tensor.key, describe(kind), describe(held.kind),
                          files_[held.first_file].name));
    if (held.info.dtype != info.dtype || held.info.shape != info.shape ||
        (held.info.unread == nullptr) != (info.unread == nullptr))
      fail(f, fmt::format("'{}' is {} {} here, {} {} in '{}'", tensor.key, name(info.dtype), to_string(info.shape),
                          name(held.info.dtype), to_string(held.info.shape), files_[held.first_file].name));
    held.files.push_back(f);
    if (held.info.unread != nullptr) return;
    switch (kind) {
      case Kind::whole: return add_whole(f, item, tensor, held);
      case Kind::on_mesh: return add_on_mesh(f, item, *part, held);
      case Kind::shards: return add_shards(f, item, *part, held);
    }
  }

  TensorInfo whole_of(size_t f, const std::string& key, const ShardedTensorPart& part) const {
    Shape shape = part.shape;
    element_count(shape, in(files_[f].name) + ": '" + key + "'");
    if (!part.unread.empty()) return unread_tensor(key, part.unread, std::string(long_name(part.dtype)), shape);
    if (part.dtype == DType::f4 && !shape.empty()) shape.back() *= 2;  // torch counts pairs
    data_bytes(part.dtype, shape, in(files_[f].name) + ": '" + key + "'");
    return {key, part.dtype, shape, {}, {}};
  }

  void add_whole(size_t f, const TorchItemPtr& item, const ListedTensor& tensor, Held& held) {
    const auto& spec = std::get<TensorSpec>(tensor.tensor);
    held.replicas.push_back({view_of(item, spec, tensor.key), in(files_[f].name)});
  }
  TileView view_of(const TorchItemPtr& item, const TensorSpec& spec, const std::string& key) {
    TileView view = item->view(spec, key);
    if (view.fd < 0 && (contents_.held.empty() || contents_.held.back() != item)) contents_.held.push_back(item);
    return view;
  }

  void add_on_mesh(size_t f, const TorchItemPtr& item, const ShardedTensorPart& part, Held& held) {
    held.mesh.insert(part.ranks.begin(), part.ranks.end());
    const Shape whole = stored_form(held.info).shape;
    LocalBoxes boxes = boxes_of_rank(part, whole, files_[f].rank);
    if (!boxes.in_mesh) return;
    held.ranks.insert(files_[f].rank);
    const TensorSpec& local = part.locals.front().tensor;
    const Shape found = stored_form(local.dtype, local.shape).shape;
    if (local.dtype != held.info.dtype || found != boxes.shape)
      fail(f, fmt::format("the part of '{}' is {} {}; by its placements and mesh, rank {} has {} {} of {}",
                          held.info.key, name(local.dtype), to_string(found), files_[f].rank, name(held.info.dtype),
                          to_string(boxes.shape), to_string(whole)));
    const TileView view = view_of(item, local, held.info.key);
    for (LocalBox& box : boxes.boxes) {
      if (!held.seen.emplace(box.box.origin, box.box.extent).second) continue;  // another rank has it, too
      held.boxes.push_back(box.box);
      if (is_empty(box.box)) continue;
      const Box all{Shape(box.at.size(), 0), boxes.shape}, here{box.at, box.box.extent};
      held.tiles.push_back({std::move(box.box), part_of_view(view, all, here, stored_form(held.info).dtype)});
    }
  }

  void add_shards(size_t f, const TorchItemPtr& item, const ShardedTensorPart& part, Held& held) {
    for (const auto& [local, box] : part.locals) {
      const Shape found = stored_form(local.dtype, local.shape).shape;
      if (found != box->extent)
        fail(f, fmt::format("a shard of '{}' is {}; its metadata says {}", held.info.key, to_string(found),
                            to_string(box->extent)));
      if (!held.seen.emplace(box->origin, box->extent).second) continue;
      held.boxes.push_back(*box);
      if (!is_empty(*box)) held.tiles.push_back({*box, view_of(item, local, held.info.key)});
    }
  }

  void finish(const std::string& key, Held& held) {
    TiledTensor tensor{held.info};
    if (held.kind == Kind::on_mesh) check_ranks(key, held);
    if (held.kind == Kind::whole && held.files.size() != files_.size()) {
      size_t lacking = 0;
      while (lacking < held.files.size() && held.files[lacking] == lacking) ++lacking;
      fail(lacking, fmt::format("the file does not hold '{}', which '{}' does", key, files_[held.first_file].name));
    }
    if (held.info.unread == nullptr && held.kind == Kind::whole) {
      const Shape shape = stored_form(held.info).shape;
      for (const Box& box : whole_tensor_tile(shape))
        tensor.tiles.push_back(tile_of_replicas(held.info, box, std::move(held.replicas)));
    } else if (held.info.unread == nullptr) {
      require_tiling(held.info, held.boxes, contents_.path, "parts");
      tensor.tiles = std::move(held.tiles);
    }
    contents_.tensors.push_back(std::move(tensor));
    held = {};
  }

  // Every rank of the mesh has a part, if only an empty one or a copy.
  void check_ranks(const std::string& key, const Held& held) const {
    if (held.info.unread != nullptr) return;
    for (const int64_t rank : held.mesh) {
      if (held.ranks.contains(rank)) continue;
      for (size_t f = 0; f < files_.size(); ++f)
        if (files_[f].rank == rank)
          fail(f, fmt::format("the file does not hold '{}', which '{}' does", key, files_[held.first_file].name));
      throw Error("source-parts", BytePlace{contents_.path, {}, {}},
                  fmt::format("the file of rank {}, '{}', is not there: '{}' has a part on each of {} ranks", rank,
                              name_of(rank), key, held.mesh.size()),
                  "fetch the missing file");
    }
  }
  std::string name_of(int64_t rank) const {
    const auto place = rank_place(names_);
    const auto numbers = numbers_in(names_.front());
    if (!place || *place >= numbers.size()) return names_.front();
    const NameNumber& number = numbers[*place];
    std::string name = names_.front();
    return name.replace(number.at, number.length,
                        fmt::format("{:0{}}", rank, name[number.at] == '0' ? number.length : 1));
  }

  // What trainers keep beside the files.
  void add_documents() {
    add_document(contents_, contents_.path, "config.json", "config", options_.limits);
    add_document(contents_, contents_.path, "huggingface/config.json", "config", options_.limits);
    add_document(contents_, contents_.path, "fsdp_config.json", "fsdp_config", options_.limits);
  }

  const std::vector<std::string>& names_;
  const OpenOptions& options_;
  TiledContents contents_;
  std::vector<RankFile> files_;
  std::map<std::string, Held> held_;
};

bool has_parts(const std::string& path, const OpenOptions& options) {
  const MappedFile file(path);
  if (!file.read([&] { return looks_like_torch(file) && !looks_like_torch_tar(file.bytes()); })) return false;
  const TorchItemPtr item = read_torch_item(file, options.limits);
  return std::any_of(item->listing.tensors.begin(), item->listing.tensors.end(),
                     [](const ListedTensor& tensor) { return part_of(tensor) != nullptr; });
}

}  // namespace

std::vector<std::string> find_rank_files(const std::string& folder, const std::vector<std::string>& tensor_files,
                                         const OpenOptions& options) {
  std::vector<FileGroup> found;
  for (FileGroup& group : group_files(tensor_files)) {
    const std::string& first = group.files.front();
    if (are_counted_shards(group.files) || first.ends_with(".safetensors")) continue;
    if (group.files.size() == 1 && first.find("rank") == first.npos) continue;
    try {
      if (has_parts((fs::path(folder) / first).string(), options)) found.push_back(std::move(group));
    } catch (const Error&) {
      continue;  // whoever opens it says what is wrong with it
    }
  }
  if (found.size() == 1) return std::move(found.front().files);
  for (FileGroup& group : found)
    if (group.files.front().starts_with("model")) return std::move(group.files);
  return {};
}

std::unique_ptr<Source> open_rank_files(const std::string& folder, const std::vector<std::string>& names,
                                        const OpenOptions& options) {
  return RankOpener(folder, names, options).open();
}

}  // namespace remap::formats
