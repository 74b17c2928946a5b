#include "formats/open_shards.h"

#include <filesystem>

#include <fmt/format.h>

#include "base/mapped_file.h"
#include "formats/folder_files.h"
#include "formats/joined_files.h"
#include "formats/json_text.h"
#include "formats/safetensors_source.h"
#include "formats/shard_index.h"
#include "formats/torch_source.h"
#include "formats/unread_kinds.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

// One of the index's files, by what is in it.
std::unique_ptr<Source> open_shard(const std::string& path, const OpenOptions& options) {
  const MappedFile file(path);
  auto source = file.read([&] {
    if (looks_like_safetensors(file.bytes())) return open_safetensors_shard(file, options);
    if (looks_like_torch(file)) return open_torch(file, options);
    refuse_file(file);
  });
  source->add_file_read({path, file.stamp()});
  return source;
}

// What is known of shards that are not there: a download that was not finished, other files than the index is for.
[[noreturn]] void refuse_missing_shards(const ShardIndex& index, const fs::path& folder,
                                        const std::vector<std::string>& missing) {
  const std::string index_name = fs::path(index.file).filename().string();
  std::vector<std::string> others, unfinished;
  for (const auto& file : list_files(folder.empty() ? "." : folder.string())) {
    const auto name = unfinished_name(file);
    if (name && index.shards.contains(*name)) unfinished.push_back(file);
    if (is_tensor_name(file) && !index.shards.contains(file)) others.push_back(file);
  }
  std::string message = fmt::format("the shard '{}' is not in the index's folder", missing.front());
  if (missing.size() > 1)
    message = fmt::format("{} of its {} shards are not in the index's folder: {}", missing.size(), index.shards.size(),
                          quoted_list(missing));
  if (missing.size() > 1 && missing.size() == index.shards.size())
    message = fmt::format("none of its shards is in the index's folder: {}", quoted_list(missing));
  Diagnostic d{Severity::error,
               "shard-index",
               BytePlace{index.file, {}, {}},
               std::move(message),
               {},
               missing.size() == 1 ? "fetch the missing file" : "fetch the missing files"};
  std::error_code ignored;
  for (const auto& name : missing)
    if (fs::is_symlink(folder / name, ignored))
      d.notes.push_back(fmt::format("'{}' is a link to a file that is not there", name));
  if (!unfinished.empty()) {
    d.notes.push_back(fmt::format("{} says that a download was not finished", quoted_list(unfinished)));
    d.hint = "finish the download";
  } else if (!others.empty()) {
    d.notes.push_back(fmt::format("the folder holds {}, which the index does not name", quoted_list(others)));
    d.hint = fmt::format(
        "if these are the checkpoint, '{}' belongs to other files: fetch theirs, or move it away; if not, fetch what "
        "is missing",
        index_name);
  }
  throw Error(std::move(d));
}

}  // namespace

std::unique_ptr<Source> open_shards(const std::string& path, const std::string& index_file, const Json& root,
                                    const OpenOptions& options) {
  const ShardIndex index = parse_shard_index(root, index_file);
  const fs::path folder = fs::path(index_file).parent_path();
  std::vector<std::string> missing;
  for (const auto& [name, keys] : index.shards) {
    std::error_code ignored;
    if (!fs::exists(folder / name, ignored)) missing.push_back(name);
  }
  if (!missing.empty()) refuse_missing_shards(index, folder, missing);
  std::vector<NamedFile> files;
  std::vector<OpenedShard> shards;
  for (const auto& [name, keys] : index.shards) {
    files.push_back({name, open_shard((folder / name).string(), options)});
    shards.push_back({name, &files.back().source->manifest()});
  }
  check_shards(index, folder.string(), shards);
  const std::string odd = odd_total_size(index, shards);
  Json metadata = Json::object();
  if (!index.metadata.is_null()) metadata["index"] = index.metadata;
  const std::string config = (folder / "config.json").string();
  std::vector<FileRead> read;
  if (is_file(config))
    metadata["config"] = parse_python_json(read_text_file(config, options.limits.max_index_bytes, &read), {config});
  auto source = join_shards(path, std::move(files), std::move(metadata), options.limits);
  source->add_files_read(read);
  if (!odd.empty())
    source->add_notice({Severity::note, "shard-total-size", BytePlace{index_file, {}, {}}, odd, {}, ""});
  return source;
}

}  // namespace remap::formats
