#include "formats/folder_formats.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/dcp_source.h"
#include "formats/deepspeed.h"
#include "formats/folder_files.h"
#include "formats/megatron.h"
#include "formats/rank_files.h"

namespace remap::formats {
namespace {

// In the order in which they are asked.
constexpr FolderFormat kFolderFormats[] = {
    {"a torch.distributed.checkpoint",
     [](const std::string& folder) { return looks_like_dcp(folder, list_files(folder)); }, open_dcp},
    {"a torch.distributed.checkpoint in Hugging Face's form",
     [](const std::string& folder) { return !dcp_shards(folder, list_files(folder)).empty(); },
     [](const std::string& folder, const OpenOptions& options) {
       return open_dcp_shards(folder, dcp_shards(folder, list_files(folder)), options);
     }},
    {"a DeepSpeed checkpoint", looks_like_deepspeed, open_deepspeed},
    {"a Megatron checkpoint", looks_like_megatron, open_megatron},
};

void note_left_aside(Source& source, const std::string& folder, const std::string& taken,
                     const std::vector<std::string>& others) {
  if (others.empty()) return;
  std::vector<std::string> texts;
  for (const auto& group : group_files(others)) texts.push_back(group.text());
  source.add_notice({Severity::note,
                     "source-left-aside",
                     BytePlace{folder, {}, {}},
                     fmt::format("taken: {}; left aside: {}", taken, join(texts, "; ")),
                     {},
                     fmt::format("to use another, give it by name, such as '{}'",
                                 (std::filesystem::path(folder) / others.front()).string())});
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
  if (const std::string outside = link_outside(folder, names); !outside.empty())
    source->add_notice({Severity::note, "source-link", BytePlace{folder, {}, {}}, outside, {}, kLinkHint});
  note_left_aside(*source, folder, FileGroup{names}.text(), others);
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
    if (find_folder_format(in(name)) == nullptr) continue;
    if (!of_model)
      others.push_back(name);
    else if (model.empty())
      model = name;
    else
      return nullptr;
  }
  if (model.empty()) return nullptr;
  auto source = find_folder_format(in(model))->open(in(model), options);
  note_left_aside(*source, folder, fmt::format("'{}'", model), others);
  return source;
}

}  // namespace

std::unique_ptr<Source> open_as_folder(const std::string& folder, const OpenOptions& options) {
  const auto all = list_files(folder);
  if (const FolderFormat* format = find_folder_format(folder)) {
    auto source = format->open(folder, options);
    note_left_aside(*source, folder, format->what, unused(folder, all, *source));
    return source;
  }
  if (auto source = open_ranks(folder, all, options)) return source;
  return open_model_below(folder, all, options);
}

const FolderFormat* find_folder_format(const std::string& folder) {
  for (const FolderFormat& format : kFolderFormats)
    if (format.is(folder)) return &format;
  return nullptr;
}

}  // namespace remap::formats
