#include "formats/folder_formats.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "formats/array_source.h"
#include "formats/dcp_source.h"
#include "formats/deepspeed.h"
#include "formats/folder_files.h"
#include "formats/left_aside.h"
#include "formats/megatron.h"
#include "formats/rank_files.h"
#include "formats/tensorflow_source.h"

namespace remap::formats {
namespace {

struct LookedAt {
  const std::string& folder;
  const std::vector<std::string>& files;  // their names
};

// One row each, in the order in which they are asked. `open` gives nullptr where the folder is of another kind.
struct FolderFormat {
  std::optional<std::string> (*kind)(const LookedAt& at);
  std::unique_ptr<Source> (*open)(const LookedAt& at, const OpenOptions& options);
};

std::optional<std::string> named(bool is, const char* what) {
  return is ? std::optional<std::string>(what) : std::nullopt;
}

constexpr FolderFormat kFolderFormats[] = {
    {[](const LookedAt& at) { return named(looks_like_dcp(at.folder, at.files), "a torch.distributed.checkpoint"); },
     [](const LookedAt& at, const OpenOptions& options) {
       return looks_like_dcp(at.folder, at.files) ? open_dcp(at.folder, options) : nullptr;
     }},
    {[](const LookedAt& at) {
       return named(looks_like_dcp_shards(at.folder, at.files),
                    "a torch.distributed.checkpoint in Hugging Face's form");
     },
     [](const LookedAt& at, const OpenOptions& options) { return open_dcp_shards(at.folder, at.files, options); }},
    {[](const LookedAt& at) { return named(looks_like_deepspeed(at.folder), "a DeepSpeed checkpoint"); },
     [](const LookedAt& at, const OpenOptions& options) {
       return looks_like_deepspeed(at.folder) ? open_deepspeed(at.folder, options) : nullptr;
     }},
    {[](const LookedAt& at) { return named(looks_like_megatron(at.folder), "a Megatron checkpoint"); },
     [](const LookedAt& at, const OpenOptions& options) {
       return looks_like_megatron(at.folder) ? open_megatron(at.folder, options) : nullptr;
     }},
    {[](const LookedAt& at) { return named(is_tensorflow_folder(at.folder), "a TensorFlow checkpoint"); },
     [](const LookedAt& at, const OpenOptions& options) { return open_tensorflow_folder(at.folder, options); }},
    {[](const LookedAt& at) { return array_folder_kind(at.folder); },
     [](const LookedAt& at, const OpenOptions& options) {
       return array_folder_kind(at.folder) ? open_array_folder(at.folder, options) : nullptr;
     }},
};

void note_others(Source& source, const std::string& folder, const std::string& taken, std::vector<std::string> others,
                 const OpenOptions& options) {
  if (!others.empty())
    source.add_notice(left_aside({folder, "files of tensors", taken, "", std::move(others)}, options.limits));
}

// Files of tensors that the source does not read.
std::vector<std::string> unused(const std::string& folder, const std::vector<std::string>& all, const Source& source) {
  std::set<std::string> read;
  source.visit_files([&](const std::string& path, const FileStamp*) { read.insert(path); });
  std::vector<std::string> names;
  for (const std::string& name : all)
    if (is_tensor_name(name) && !read.contains((std::filesystem::path(folder) / name).string())) names.push_back(name);
  return names;
}

std::unique_ptr<Source> open_by_kind(const std::string& folder, const std::vector<std::string>& all,
                                     const OpenOptions& options) {
  for (const FolderFormat& format : kFolderFormats) {
    auto source = format.open({folder, all}, options);
    if (!source) continue;
    if (auto others = unused(folder, all, *source); !others.empty())
      note_others(*source, folder, format.kind({folder, all}).value_or("the checkpoint"), std::move(others), options);
    return source;
  }
  return nullptr;
}

std::unique_ptr<Source> open_ranks(const std::string& folder, const std::vector<std::string>& all,
                                   const OpenOptions& options) {
  std::vector<std::string> others;
  std::copy_if(all.begin(), all.end(), std::back_inserter(others), is_tensor_name);
  const auto names = find_rank_files(folder, others, options);
  if (names.empty()) return nullptr;
  check_parts(folder, names, all);
  auto source = open_rank_files(folder, names, options);
  std::erase_if(others,
                [&](const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); });
  note_others(*source, folder, FileGroup{names}.text(), others, options);
  return source;
}

// Trainers keep a sharded model in a folder of this name, beside the optimizer's.
std::unique_ptr<Source> open_model_below(const std::string& folder, const std::vector<std::string>& all,
                                         const OpenOptions& options) {
  constexpr std::string_view kModelFolder = "pytorch_model_fsdp_";
  const auto in = [&](const std::string& name) { return (std::filesystem::path(folder) / name).string(); };
  std::string model;
  std::vector<std::string> others;
  std::copy_if(all.begin(), all.end(), std::back_inserter(others), is_tensor_name);
  for (const std::string& name : list_folders(folder)) {
    const bool of_model = name.starts_with(kModelFolder);
    if (!folder_kind(in(name))) continue;
    if (!of_model)
      others.push_back(name);
    else if (model.empty())
      model = name;
    else
      return nullptr;
  }
  if (model.empty()) return nullptr;
  auto source = open_by_kind(in(model), list_files(in(model)), options);
  if (source) note_others(*source, folder, fmt::format("'{}'", model), others, options);
  return source;
}

}  // namespace

std::optional<std::string> folder_kind(const std::string& folder) {
  const auto files = list_files(folder);
  for (const FolderFormat& format : kFolderFormats)
    if (auto kind = format.kind({folder, files})) return kind;
  return std::nullopt;
}

std::unique_ptr<Source> open_as_folder(const std::string& folder, const OpenOptions& options) {
  const auto all = list_files(folder);
  if (auto source = open_by_kind(folder, all, options)) return source;
  if (auto source = open_ranks(folder, all, options)) return source;
  if (auto source = open_model_below(folder, all, options)) return source;
  // Files of tensors beside: a folder of arrays further down is hardly what is meant.
  return std::none_of(all.begin(), all.end(), is_tensor_name) ? open_array_folder(folder, options) : nullptr;
}

}  // namespace remap::formats
