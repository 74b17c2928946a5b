#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "base/json_members.h"
#include "base/text.h"
#include "formats/dcp_source.h"
#include "formats/folder_files.h"
#include "formats/json_text.h"
#include "formats/limit.h"
#include "formats/safetensors_source.h"
#include "formats/tiled_source.h"
#include "tensor/box.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOffsets = "DCP_SHARDING_INFO";

// "shard-00002-model-00001-of-00003.safetensors": rank 2, file 1 of 3.
struct ShardName {
  uint64_t rank = 0, file = 0, total = 0;
};
std::optional<ShardName> shard_name(const std::string& name) {
  ShardName out;
  std::string_view rest = name;
  const auto text = [&](std::string_view wanted) {
    if (!rest.starts_with(wanted)) return false;
    rest.remove_prefix(wanted.size());
    return true;
  };
  const auto number = [&](uint64_t& value) {
    size_t n = 0;
    for (; n < rest.size() && n < 9 && rest[n] >= '0' && rest[n] <= '9'; ++n)
      value = 10 * value + static_cast<uint64_t>(rest[n] - '0');
    rest.remove_prefix(n);
    return n > 0;
  };
  if (!text("shard-") || !number(out.rank)) return std::nullopt;
  const size_t of = rest.rfind("-of-");
  if (of == rest.npos || !rest.ends_with(".safetensors")) return std::nullopt;
  const size_t before = rest.substr(0, of).rfind('-');
  if (before == rest.npos) return std::nullopt;
  rest.remove_prefix(before + 1);
  if (!number(out.file) || !text("-of-") || !number(out.total) || rest != ".safetensors") return std::nullopt;
  return out;
}

// Whether the file's header has the word anywhere: cheap, and not a proof.
bool has_offsets(const MappedFile& file) {
  if (!looks_like_safetensors(file.bytes())) return false;
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const std::string_view head(reinterpret_cast<const char*>(file.data()),
                              static_cast<size_t>(std::min(file.size() - 8, header_bytes) + 8));
  return head.find(kOffsets) != head.npos;
}

class ShardOpener {
 public:
  ShardOpener(const std::string& folder, std::vector<std::string> shards, const OpenOptions& options)
      : shards_(std::move(shards)), options_(options) {
    contents_.path = folder;
  }

  // nullptr: the first file does not say that it holds parts.
  std::unique_ptr<Source> open() {
    for (const std::string& name : shards_) {
      MappedFile file(in(name));
      if (contents_.files.empty()) {
        if (!file.read([&] { return has_offsets(file); })) return nullptr;
        check_names();
      }
      add_file(std::move(file));
    }
    check_limit(parts_.size(), options_.limits.max_tensors, "max_tensors", BytePlace{contents_.path, {}, {}},
                "tensors");
    for (auto& [key, tensor] : parts_) add_tensor(key, tensor);
    add_document(contents_, contents_.path, "config.json", "config", options_.limits);
    std::set<uint64_t> ranks;
    for (const std::string& name : shards_) ranks.insert(shard_name(name)->rank);
    contents_.remarks.push_back(
        fmt::format("torch.distributed.checkpoint, Hugging Face's form: {} of {}, each with parts of tensors",
                    count_text(shards_.size(), "file"), count_text(ranks.size(), "rank")));
    return make_tiled_source(std::move(contents_));
  }

 private:
  struct Part {
    Box box;
    TileView view;
    std::string file;
  };
  struct Parts {
    DType dtype = DType::f32;
    std::string file;  // of the first
    std::vector<Part> parts;
  };

  std::string in(const std::string& name) const { return (fs::path(contents_.path) / name).string(); }
  [[noreturn]] static void fail(const std::string& file, const std::string& message) {
    throw Error("dcp-item", BytePlace{file, {}, {}}, message, "save the checkpoint again, or fetch its files again");
  }

  // The names hold the number of files that a rank can have, and not the number of ranks.
  void check_names() const {
    std::set<uint64_t> ranks, files;
    uint64_t total = 0;
    for (const std::string& name : shards_) {
      const ShardName shard = *shard_name(name);
      if (total != 0 && shard.total != total)
        throw Error("source-parts", BytePlace{contents_.path, {}, {}},
                    fmt::format("'{}' and '{}' are of different numbers of files: they are not parts of one checkpoint",
                                shards_.front(), name),
                    "move the files of the other checkpoint away");
      total = shard.total;
      ranks.insert(shard.rank);
      files.insert(shard.file);
    }
    const auto missing = [&](uint64_t rank, uint64_t file) {
      throw Error("source-parts", BytePlace{contents_.path, {}, {}},
                  fmt::format("'shard-{:05}-…-{:05}-of-{:05}.safetensors' is not there", rank, file, total),
                  "fetch the missing file: every rank's files belong to the checkpoint");
    };
    uint64_t expected = 1;
    for (const uint64_t rank : ranks)
      if (rank != expected++) missing(expected - 1, *files.begin());
    for (uint64_t file = 1; file <= std::min<uint64_t>(total, files.size() + 1); ++file)
      if (!files.contains(file)) missing(*ranks.begin(), file);
  }

  void add_file(MappedFile file) {
    contents_.files.push_back(file);
    file.read([&] {
      const SafetensorsHeader header = parse_safetensors(file.bytes(), file.path(), options_.limits);
      const Json offsets = offsets_of(header, file.path());
      const JsonMembers members(offsets);
      for (const SafetensorsEntry& entry : header.entries) add_part(entry, members, file);
      return true;
    });
  }
  static Json offsets_of(const SafetensorsHeader& header, const std::string& file) {
    if (!header.metadata.is_object() || !header.metadata.contains(kOffsets) || !header.metadata[kOffsets].is_string())
      fail(file, fmt::format("the file does not say where its parts belong: '__metadata__' has no {}, as the others do",
                             kOffsets));
    Json offsets = parse_json(header.metadata[kOffsets].get_ref<const std::string&>(), {file});
    if (!offsets.is_object()) fail(file, fmt::format("{} is not an object", kOffsets));
    return offsets;
  }

  void add_part(const SafetensorsEntry& entry, const JsonMembers<const Json>& offsets, const MappedFile& file) {
    const std::string& key = entry.info.key;
    const StoredForm stored = stored_form(entry.info);
    Box box{{}, stored.shape};
    const Json* said = offsets.find(key);
    if (said == nullptr || !said->is_object() || !said->contains("saved_offsets") ||
        !(*said)["saved_offsets"].is_array())
      fail(file.path(), fmt::format("{} does not say where the part of '{}' begins", kOffsets, key));
    for (const Json& offset : (*said)["saved_offsets"]) {
      if (!offset.is_number_unsigned() || offset.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX) / 2)
        fail(file.path(), fmt::format("the part of '{}' begins at {}", key, offset.dump()));
      box.origin.push_back(offset.get<int64_t>());
    }
    if (box.origin.size() != box.extent.size())
      fail(file.path(),
           fmt::format("the part of '{}' is {} and begins at {}", key, to_string(box.extent), to_string(box.origin)));
    Parts& parts = parts_[key];
    if (parts.parts.empty()) {
      parts.dtype = entry.info.dtype;
      parts.file = file.path();
    } else if (parts.dtype != entry.info.dtype || parts.parts.front().box.extent.size() != box.extent.size()) {
      fail(file.path(), fmt::format("the part of '{}' is {} {}, another, in '{}', is {} {}", key,
                                    name(entry.info.dtype), to_string(box.extent), parts.file, name(parts.dtype),
                                    to_string(parts.parts.front().box.extent)));
    }
    TileView view{file.data() + entry.begin, row_major_strides(box.extent), file.fd(), entry.begin, &file.path()};
    parts.parts.push_back({std::move(box), std::move(view), file.path()});
  }

  void add_tensor(const std::string& key, Parts& parts) {
    Shape shape(parts.parts.front().box.extent.size(), 0);
    std::vector<Box> boxes;
    for (const Part& part : parts.parts) {
      for (size_t d = 0; d < shape.size(); ++d) shape[d] = std::max(shape[d], part.box.origin[d] + part.box.extent[d]);
      boxes.push_back(part.box);
    }
    if (is_sub_byte(parts.dtype)) {
      if (parts.dtype != DType::f4 || shape.empty())
        fail(parts.file, fmt::format("the parts of '{}' share bytes", key));
      shape.back() *= 2;
    }
    TiledTensor tensor{{key, parts.dtype, shape, {}, {}}};
    data_bytes(parts.dtype, shape, fmt::format("{}: '{}'", parts.file, key));
    require_tiling(tensor.info, boxes, contents_.path, "parts");
    for (Part& part : parts.parts)
      if (!is_empty(part.box)) tensor.tiles.push_back({std::move(part.box), std::move(part.view)});
    contents_.tensors.push_back(std::move(tensor));
  }

  const std::vector<std::string> shards_;
  const OpenOptions& options_;
  TiledContents contents_;
  std::map<std::string, Parts> parts_;
};

}  // namespace

bool looks_like_dcp_shards(const std::string& folder, const std::vector<std::string>& files) {
  const auto shard = std::find_if(files.begin(), files.end(), [](const auto& name) { return shard_name(name); });
  if (shard == files.end()) return false;
  const MappedFile first((fs::path(folder) / *shard).string());
  return first.read([&] { return has_offsets(first); });
}

std::unique_ptr<Source> open_dcp_shards(const std::string& folder, const std::vector<std::string>& files,
                                        const OpenOptions& options) {
  std::vector<std::string> shards;
  std::copy_if(files.begin(), files.end(), std::back_inserter(shards),
               [](const auto& name) { return shard_name(name); });
  return shards.empty() ? nullptr : ShardOpener(folder, std::move(shards), options).open();
}

}  // namespace remap::formats
