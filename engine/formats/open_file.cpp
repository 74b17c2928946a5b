#include "formats/open_file.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <optional>

#include "base/mapped_file.h"
#include "formats/array_pickle.h"
#include "formats/array_source.h"
#include "formats/folder_files.h"
#include "formats/gguf_source.h"
#include "formats/json_text.h"
#include "formats/limit.h"
#include "formats/manifest_source.h"
#include "formats/numpy_source.h"
#include "formats/ocdbt.h"
#include "formats/open_shards.h"
#include "formats/plain_tensors.h"
#include "formats/safetensors_source.h"
#include "formats/shard_index.h"
#include "formats/t5x_folder.h"
#include "formats/t5x_source.h"
#include "formats/tensorflow_source.h"
#include "formats/torch_source.h"
#include "formats/unread_kinds.h"

namespace remap::formats {
namespace {

Json parsed(const std::string& path, const MappedFile& file, const Limits& limits) {
  check_limit(file.size(), limits.max_index_bytes, "max_index_bytes", BytePlace{path, {}, {}}, "bytes of a JSON file");
  return file.read([&] { return parse_json(file.text(), {path}); });
}

std::string folder_of(const std::string& name) {
  const std::string folder = std::filesystem::path(name).parent_path().string();
  return folder.empty() ? "." : folder;
}

// A file that is looked at. Its JSON is parsed once, when the first format asks for it.
struct FileInHand {
  const std::string& path;
  const std::string& name;
  const OpenOptions& options;
  MappedFile file;
  std::optional<Json> json = {};
  std::vector<TensorInfo> plain = {};  // a manifest's tensors, where `json` has an empty list instead

  // Null if the file does not begin as a JSON object.
  const Json* object() {
    const std::string_view all = file.text();
    const size_t first = all.substr(0, 4096).find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos || all[first] != '{') return nullptr;
    if (!json && !read_plain_manifest()) json = parsed(name, file, options.limits);
    return &*json;
  }

 private:
  // A manifest whose list of tensors need not become a tree of values.
  bool read_plain_manifest() {
    if (file.size() > options.limits.max_index_bytes) return false;
    auto taken = take_plain_tensors(file.text());
    if (!taken || taken->tensors.size() > options.limits.max_tensors) return false;
    try {
      json = parse_json(taken->rest, {name});
    } catch (const Error&) {  // is said of the whole text
      return false;
    }
    if (!json->contains("remap_manifest")) return json.reset(), false;
    plain = std::move(taken->tensors);
    return true;
  }
};

// One row each, in the order in which they are asked. The first bytes tell (`begins`), or `is` looks further: at names,
// at JSON, at what lies beside the file. `open` gives nullptr where the file turns out to be of another kind. What none
// of them takes is refused by its name (unread_kinds.h).
struct FileFormat {
  bool (*begins)(const MappedFile& file);
  bool (*is)(FileInHand& in);
  std::unique_ptr<Source> (*open)(FileInHand& in);
};
const FileFormat kFileFormats[] = {
    {[](const MappedFile& file) { return looks_like_safetensors(file.bytes()); }, nullptr,
     [](FileInHand& in) { return open_safetensors(in.path, in.file, in.options); }},
    {[](const MappedFile& file) { return looks_like_torch(file); }, nullptr,
     [](FileInHand& in) { return open_torch(in.file, in.options); }},
    {[](const MappedFile& file) { return looks_like_npy(file.bytes()); }, nullptr,
     [](FileInHand& in) { return open_npy(in.file, in.options); }},
    {[](const MappedFile& file) { return looks_like_npz(file.bytes()); }, nullptr,
     [](FileInHand& in) { return open_npz(in.file, in.options); }},
    {[](const MappedFile& file) { return looks_like_gguf(file.bytes()); }, nullptr,
     [](FileInHand& in) { return open_gguf(in.file, in.options); }},
    {nullptr, [](FileInHand& in) { return is_tensorflow_index(in.file); },
     [](FileInHand& in) { return open_tensorflow(in.path, in.file, in.options); }},
    {nullptr, [](FileInHand& in) { return is_ocdbt_manifest(in.file.bytes()); },
     [](FileInHand& in) { return open_arrays(in.path, folder_of(in.name), in.options); }},
    {nullptr,
     [](FileInHand& in) {
       return in.object() != nullptr && in.json->is_object() && in.json->contains("remap_manifest");
     },
     [](FileInHand& in) { return open_manifest_json(in.name, *in.json, std::move(in.plain), in.options); }},
    {nullptr, [](FileInHand& in) { return in.object() != nullptr && is_shard_index(*in.json); },
     [](FileInHand& in) { return open_shards(in.path, in.name, *in.json, in.options); }},
    {[](const MappedFile& file) { return looks_like_msgpack_map(file.bytes()); }, nullptr,
     [](FileInHand& in) {
       const std::string folder = folder_of(in.name);
       if (is_file(std::filesystem::path(folder) / kOcdbtManifest)) return open_arrays(in.path, folder, in.options);
       refuse_unreadable_t5x(folder);
       return open_t5x(in.path, in.file, in.options);
     }},
    {nullptr, [](FileInHand& in) { return in.object() == nullptr && looks_like_manifest_text(in.file.text()); },
     [](FileInHand& in) { return open_manifest_text(in.name, in.file.text(), in.options); }},
    {nullptr, [](FileInHand& in) { return in.object() == nullptr && looks_like_pickle(in.file); },
     [](FileInHand& in) { return open_array_pickle(in.file, in.options); }},
};

}  // namespace

std::unique_ptr<Source> open_file(const std::string& path, const std::string& name, const OpenOptions& options) {
  FileInHand in{path, name, options, MappedFile(name)};
  auto source = in.file.read([&]() -> std::unique_ptr<Source> {
    if (name.ends_with(kPartOfTorchCheckpoint)) refuse_file(in.file);
    for (const FileFormat& format : kFileFormats)
      if (format.begins != nullptr ? format.begins(in.file) : format.is(in))
        if (auto opened = format.open(in)) return opened;
    if (in.json) refuse_json(name, *in.json);
    refuse_file(in.file);
  });
  source->add_file_read({name, in.file.stamp()});
  return source;
}

bool is_checkpoint_file(const MappedFile& file) {
  return std::any_of(std::begin(kFileFormats), std::end(kFileFormats),
                     [&](const FileFormat& format) { return format.begins != nullptr && format.begins(file); });
}

Json read_json_file(const std::string& path, const Limits& limits) { return parsed(path, MappedFile(path), limits); }

}  // namespace remap::formats
