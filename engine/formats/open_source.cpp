// Which reader a path belongs to, by what is in it.
#include <algorithm>
#include <filesystem>
#include <map>

#include <fmt/format.h>

#include "base/mapped_file.h"
#include "formats/joined_files.h"
#include "formats/json_text.h"
#include "formats/limit.h"
#include "formats/manifest_source.h"
#include "formats/safetensors_source.h"
#include "formats/t5x_folder.h"
#include "formats/t5x_source.h"
#include "formats/torch_source.h"
#include "remap/source.h"

namespace remap {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSingle = "model.safetensors", kIndex = "model.safetensors.index.json";

std::string_view as_text(const MappedFile& file) { return {reinterpret_cast<const char*>(file.data()), static_cast<size_t>(file.size())}; }

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

[[noreturn]] void unknown(const std::string& path, const std::string& message, const std::string& hint = {}) {
  throw Error("source-unknown-format", BytePlace{path, {}, {}}, message, hint);
}

// Files of other kinds that end up where a checkpoint is expected, by their first bytes.
struct Lookalike {
  size_t offset;
  std::string_view bytes;
  std::string_view what, hint;
};
using namespace std::string_view_literals;
constexpr Lookalike kLookalikes[] = {
    {0, "version https://git-lfs", "a Git LFS pointer, not the file it stands for", "run 'git lfs pull', or download the file itself"},
    {0, "<!DOCTYPE", "an HTML page, probably an error page of a download", "download the file again"},
    {0, "<!doctype", "an HTML page, probably an error page of a download", "download the file again"},
    {0, "<html", "an HTML page, probably an error page of a download", "download the file again"},
    {0, "<?xml", "an XML document, probably an error page of a download", "download the file again"},
    {0, "\x1f\x8b"sv, "a gzip file", "unpack it first"},
    {0, "\x28\xb5\x2f\xfd"sv, "a zstd file", "unpack it first"},
    {0, "BZh", "a bzip2 file", "unpack it first"},
    {0,
     "\xfd"
     "7zXZ"sv,
     "an xz file", "unpack it first"},
    {257, "ustar", "a tar archive", "unpack it first"},
    {0, "PK\x03\x04"sv, "a zip archive that is no torch checkpoint", ""},
    {0, "\x89HDF"sv, "an HDF5 file", "formats other than torch, T5X and safetensors are not read"},
    {0, "GGUF", "a GGUF file", "formats other than torch, T5X and safetensors are not read"},
    {0, "\x93NUMPY"sv, "a numpy array", "formats other than torch, T5X and safetensors are not read"},
    {0, "\x0c\xdb\x3a\x2a"sv, "the manifest of an OCDBT database", "give the checkpoint's folder"},
    {0, "\x80\x02"sv, "a pickle that torch.save did not write", ""},
    {0, "\x80\x03"sv, "a pickle that torch.save did not write", ""},
    {0, "\x80\x04"sv, "a pickle that torch.save did not write", ""},
    {0, "\x80\x05"sv, "a pickle that torch.save did not write", ""},
};

[[noreturn]] void refuse_file(const MappedFile& file) {
  const std::string_view text = as_text(file);
  if (text.empty()) unknown(file.path(), "the file is empty", "the copy or download that made it failed; fetch it again");
  for (const Lookalike& kind : kLookalikes)
    if (text.size() > kind.offset && text.substr(kind.offset).starts_with(kind.bytes))
      unknown(file.path(), fmt::format("the file is {}", kind.what), std::string(kind.hint));
  std::string first;
  for (const char c : text.substr(0, 16)) {
    const bool printable = c >= ' ' && c <= '~' && c != '\\';
    first += printable ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  unknown(file.path(),
          fmt::format("the file starts with \"{}\", which is none of: safetensors, an index of safetensors shards, torch (zip or "
                      "the older stream), T5X's msgpack file, a manifest (text or JSON)",
                      first));
}

std::unique_ptr<Source> open_json(const std::string& path, const MappedFile& file, const OpenOptions& options) {
  formats::check_limit(file.size(), options.limits.max_index_bytes, "max_index_bytes", BytePlace{path, {}, {}}, "bytes of a JSON file");
  const Json root = formats::parse_json(as_text(file), {path});
  if (root.is_object() && root.contains("remap_manifest")) return formats::open_manifest_json(path, root, options);
  if (root.is_object() && root.contains("weight_map")) return formats::open_sharded_safetensors(path, path, options);
  unknown(path, "a JSON file with neither 'weight_map' (an index of safetensors shards) nor 'remap_manifest' (a manifest)");
}

std::unique_ptr<Source> open_file(const std::string& path, const OpenOptions& options) {
  MappedFile file(path);
  if (formats::looks_like_safetensors(file.bytes())) return formats::open_safetensors(path, std::move(file), options);
  if (looks_like_torch(file)) return open_torch(std::move(file), options);
  const std::string_view text = as_text(file);
  const size_t first = text.substr(0, 4096).find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{') return open_json(path, file, options);
  if (formats::looks_like_msgpack_map(file.bytes())) {
    const std::string folder = fs::path(path).parent_path().string();
    formats::refuse_unreadable_t5x(folder);
    return formats::open_t5x(path, std::move(file), options);
  }
  if (formats::looks_like_manifest_text(text)) return formats::open_manifest_text(path, text, options);
  refuse_file(file);
}

// "model.00.pth" as "model.#.pth": files that differ in numbers are parts of one checkpoint.
std::string without_numbers(const std::string& name) {
  std::string result;
  for (const char c : name) {
    if (c < '0' || c > '9') result += c;
    else if (result.empty() || result.back() != '#') result += '#';
  }
  return result;
}

// A torch checkpoint has no fixed name, so its folder says nothing: it is the only file of its kind, or the files that differ in numbers.
std::unique_ptr<Source> open_unnamed(const std::string& path, const OpenOptions& options) {
  std::map<std::string, std::vector<std::string>> candidates;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    const std::string extension = entry.path().extension().string(), name = entry.path().filename().string();
    if (extension == ".pt" || extension == ".pth" || extension == ".bin" || extension == ".pkl" || extension == ".safetensors") candidates[without_numbers(name)].push_back(name);
  }
  if (candidates.empty())
    unknown(path, fmt::format("the folder holds nothing known: looked for {}, {}, checkpoint (T5X), state/checkpoint and checkpoint_* folders, torch files", kSingle, kIndex));
  auto& names = candidates.begin()->second;
  std::sort(names.begin(), names.end());
  if (candidates.size() > 1) unknown(path, "the folder holds several checkpoints", fmt::format("give a file, such as '{}'", names.front()));
  const auto in_folder = [&](const std::string& name) { return (fs::path(path) / name).string(); };
  if (names.size() == 1) return open_file(in_folder(names.front()), options);
  std::vector<formats::NamedFile> files;
  for (const auto& name : names) files.push_back({name, open_file(in_folder(name), options)});
  return formats::join_files(path, std::move(files), options.limits);
}

std::unique_ptr<Source> open_folder(const std::string& path, const OpenOptions& options) {
  const fs::path folder(path);
  if (is_file(folder / kSingle)) return formats::open_safetensors(path, MappedFile((folder / kSingle).string()), options);
  if (is_file(folder / kIndex)) return formats::open_sharded_safetensors(path, (folder / kIndex).string(), options);
  if (const auto t5x = formats::find_t5x_folder(path))
    return formats::open_t5x(path, MappedFile((fs::path(*t5x) / "checkpoint").string()), options);
  return open_unnamed(path, options);
}

}  // namespace

std::unique_ptr<Source> open_source(const std::string& path, const OpenOptions& options) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) ? open_folder(path, options) : open_file(path, options);
}

}  // namespace remap
