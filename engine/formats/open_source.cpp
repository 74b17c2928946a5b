// Which reader a path belongs to, by what is in it.
#include <algorithm>
#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/mapped_file.h"
#include "formats/folder_files.h"
#include "formats/joined_files.h"
#include "formats/json_text.h"
#include "formats/limit.h"
#include "formats/manifest_source.h"
#include "formats/recognise.h"
#include "formats/safetensors_source.h"
#include "formats/shard_index.h"
#include "formats/t5x_folder.h"
#include "formats/t5x_source.h"
#include "formats/torch_source.h"
#include "remap/source.h"

namespace remap {
namespace {

namespace fs = std::filesystem;
using formats::FileGroup;

// Hugging Face's names, in the order in which its libraries look for them.
constexpr std::string_view kStandardNames[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                               "pytorch_model.bin.index.json"};
constexpr std::string_view kIndexEnding = ".index.json";

std::string_view as_text(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.data()), static_cast<size_t>(file.size())};
}

[[noreturn]] void unknown(const std::string& path, const std::string& message, const std::string& hint = {},
                          std::vector<std::string> notes = {}) {
  throw Error(
      Diagnostic{Severity::error, "source-unknown-format", BytePlace{path, {}, {}}, message, std::move(notes), hint});
}

Json read_json(const std::string& path, const MappedFile& file, const OpenOptions& options) {
  formats::check_limit(file.size(), options.limits.max_index_bytes, "max_index_bytes", BytePlace{path, {}, {}},
                       "bytes of a JSON file");
  return formats::parse_json(as_text(file), {path});
}

// ---- Shards with an index

// One of the index's files, by what is in it.
std::unique_ptr<Source> open_shard(const std::string& path, const OpenOptions& options) {
  MappedFile file(path);
  if (formats::looks_like_safetensors(file.bytes())) return formats::open_safetensors_shard(std::move(file), options);
  if (looks_like_torch(file)) return open_torch(std::move(file), options);
  formats::refuse_file(file);
}

// What is known of shards that are not there: a download that was not finished, other files than the index is for.
[[noreturn]] void refuse_missing(const formats::ShardIndex& index, const fs::path& folder,
                                 const std::vector<std::string>& missing) {
  const std::string index_name = fs::path(index.file).filename().string();
  std::vector<std::string> others, unfinished;
  for (const auto& file : formats::list_files(folder.empty() ? "." : folder.string())) {
    const auto name = formats::unfinished_name(file);
    if (name && index.shards.contains(*name)) unfinished.push_back(file);
    if (formats::is_tensor_name(file) && !index.shards.contains(file)) others.push_back(file);
  }
  std::string message = fmt::format("the shard '{}' is not in the index's folder", missing.front());
  if (missing.size() > 1)
    message = fmt::format("{} of its {} shards are not in the index's folder: {}", missing.size(), index.shards.size(),
                          formats::quoted_list(missing));
  if (missing.size() > 1 && missing.size() == index.shards.size())
    message = fmt::format("none of its shards is in the index's folder: {}", formats::quoted_list(missing));
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
    d.notes.push_back(fmt::format("{} says that a download was not finished", formats::quoted_list(unfinished)));
    d.hint = "finish the download";
  } else if (!others.empty()) {
    d.notes.push_back(fmt::format("the folder holds {}, which the index does not name", formats::quoted_list(others)));
    d.hint = fmt::format(
        "if these are the checkpoint, '{}' belongs to other files: fetch theirs, or move it away; if not, fetch what "
        "is missing",
        index_name);
  }
  throw Error(std::move(d));
}

std::unique_ptr<Source> open_shards(const std::string& path, const std::string& index_file, const Json& root,
                                    const OpenOptions& options) {
  const formats::ShardIndex index = formats::parse_shard_index(root, index_file);
  const fs::path folder = fs::path(index_file).parent_path();
  std::vector<std::string> missing;
  for (const auto& [name, keys] : index.shards) {
    std::error_code ignored;
    if (!fs::exists(folder / name, ignored)) missing.push_back(name);
  }
  if (!missing.empty()) refuse_missing(index, folder, missing);
  std::vector<formats::NamedFile> files;
  std::vector<formats::OpenedShard> shards;
  for (const auto& [name, keys] : index.shards) {
    files.push_back({name, open_shard((folder / name).string(), options)});
    shards.push_back({name, &files.back().source->manifest()});
  }
  formats::check_shards(index, folder.string(), shards);
  const std::string odd = formats::odd_total_size(index, shards);
  Json metadata = Json::object();
  if (!index.metadata.is_null()) metadata["index"] = index.metadata;
  const std::string config = (folder / "config.json").string();
  if (formats::is_file(config))
    metadata["config"] = formats::parse_json(read_text_file(config, options.limits.max_index_bytes), {config});
  auto source = formats::join_shards(path, std::move(files), std::move(metadata), options.limits);
  if (!odd.empty())
    source->add_notice({Severity::note, "shard-total-size", BytePlace{index_file, {}, {}}, odd, {}, ""});
  return source;
}

// ---- A file

// `path` is what the user named: the file, or the folder it lies in.
std::unique_ptr<Source> open_file(const std::string& path, const std::string& name, const OpenOptions& options) {
  MappedFile file(name);
  if (name.ends_with(formats::kPartOfTorchCheckpoint)) formats::refuse_file(file);
  if (formats::looks_like_safetensors(file.bytes())) return formats::open_safetensors(path, std::move(file), options);
  if (looks_like_torch(file)) return open_torch(std::move(file), options);
  const std::string_view text = as_text(file);
  const size_t first = text.substr(0, 4096).find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{') {
    const Json root = read_json(name, file, options);
    if (root.is_object() && root.contains("remap_manifest")) return formats::open_manifest_json(name, root, options);
    if (formats::is_shard_index(root)) return open_shards(path, name, root, options);
    formats::refuse_json(name, root);
  }
  if (formats::looks_like_msgpack_map(file.bytes())) {
    formats::refuse_unreadable_t5x(fs::path(name).parent_path().string());
    return formats::open_t5x(path, std::move(file), options);
  }
  if (formats::looks_like_manifest_text(text)) return formats::open_manifest_text(name, text, options);
  formats::refuse_file(file);
}

// ---- A folder

std::vector<std::string> without(const std::vector<std::string>& all, const std::vector<std::string>& taken) {
  std::vector<std::string> rest;
  for (const auto& name : all)
    if (std::find(taken.begin(), taken.end(), name) == taken.end()) rest.push_back(name);
  return rest;
}

class FolderOpener {
 public:
  FolderOpener(const std::string& path, const OpenOptions& options)
      : path_(path), options_(options), all_(formats::list_files(path)) {
    for (const auto& name : all_)
      if (formats::is_tensor_name(name)) tensor_files_.push_back(name);
  }

  std::unique_ptr<Source> open() {
    if (auto source = open_named_by_rules()) return source;
    for (const std::string_view name : kStandardNames)
      if (std::find(all_.begin(), all_.end(), name) != all_.end()) return open_chosen(std::string(name));
    if (const auto t5x = formats::find_t5x_folder(path_)) return open_file(path_, in(*t5x, "checkpoint"), options_);
    if (const auto kind = formats::recognise_folder(path_)) formats::refuse_as(path_, "the folder", *kind);
    return open_only();
  }

 private:
  static std::string in(const std::string& folder, const std::string& name) {
    return (fs::path(folder) / name).string();
  }
  std::string file(const std::string& name) const { return in(path_, name); }

  // The rules say which files are meant, whatever lies beside them.
  std::unique_ptr<Source> open_named_by_rules() const {
    if (!options_.is_part) return nullptr;
    std::vector<std::string> parts;
    for (const auto& name : all_)
      if (options_.is_part(name)) parts.push_back(name);
    if (parts.empty()) return nullptr;
    auto source = open_parts(parts);
    note_left_aside(*source, FileGroup{parts}.text(), without(tensor_files_, parts), "as the rule file's 'files' says");
    return source;
  }

  std::unique_ptr<Source> open_parts(const std::vector<std::string>& names) const {
    formats::check_parts(path_, names, all_);
    if (names.size() == 1) return open_file(file(names.front()), file(names.front()), options_);
    std::vector<formats::NamedFile> files;
    for (const auto& name : names) files.push_back({name, open_file(file(name), file(name), options_)});
    return formats::join_files(path_, std::move(files), options_.limits);
  }

  // A file or index that stands for the checkpoint.
  std::unique_ptr<Source> open_chosen(const std::string& name) const {
    std::vector<std::string> taken = {name};
    const bool is_index = name.ends_with(kIndexEnding);
    if (!is_index) formats::check_parts(path_, taken, all_);
    auto source = open_file(path_, file(name), options_);
    if (is_index)
      for (const auto& shard : shards_of(name)) taken.push_back(shard);
    std::vector<std::string> candidates = tensor_files_;
    for (const auto& other : all_)
      if (other.ends_with(kIndexEnding)) candidates.push_back(other);
    const bool by_order =
        std::find(std::begin(kStandardNames), std::end(kStandardNames), name) != std::end(kStandardNames);
    note_left_aside(*source, fmt::format("'{}'", name), without(candidates, taken),
                    by_order ? "as Hugging Face's libraries choose" : "");
    return source;
  }

  void note_left_aside(Source& source, const std::string& taken, const std::vector<std::string>& rest,
                       const std::string& why) const {
    if (rest.empty()) return;
    std::vector<std::string> texts, plain = rest;
    std::string other;
    for (const auto& name : rest) {
      if (!name.ends_with(kIndexEnding)) continue;
      const std::vector<std::string> before = std::exchange(plain, without(without(plain, shards_of(name)), {name}));
      texts.push_back(before.size() == plain.size() + 1
                          ? fmt::format("'{}'", name)
                          : fmt::format("'{}' and its {} files", name, before.size() - plain.size() - 1));
      if (other.empty()) other = name;
    }
    for (const auto& group : formats::group_files(plain)) texts.push_back(group.text());
    if (other.empty()) other = rest.front();
    constexpr size_t kMostShown = 5;
    if (texts.size() > kMostShown) {
      const size_t n_more = texts.size() - kMostShown;
      texts.resize(kMostShown);
      texts.push_back(fmt::format("and {} more", n_more));
    }
    source.add_notice({Severity::note,
                       "source-left-aside",
                       BytePlace{path_, {}, {}},
                       fmt::format("of several files of tensors, taken: {}{}; left aside: {}", taken,
                                   why.empty() ? "" : ", " + why, fmt::join(texts, "; ")),
                       {},
                       fmt::format("to use another, give it by name, such as '{}'", file(other))});
  }

  // The files that an index names; none if it cannot be read.
  std::vector<std::string> shards_of(const std::string& index) const {
    std::vector<std::string> names;
    try {
      for (const auto& [shard, keys] :
           formats::parse_shard_index(read_json(file(index), MappedFile(file(index)), options_), file(index)).shards)
        names.push_back(shard);
    } catch (const Error&) {
      names.clear();
    }
    return names;
  }

  // No name says which file is meant: it is the only one of its kind, or the only files that differ in numbers.
  std::unique_ptr<Source> open_only() const {
    std::vector<std::string> indices, in_indices;
    for (const auto& name : all_) {
      if (!name.ends_with(kIndexEnding)) continue;
      const Json root = read_json(file(name), MappedFile(file(name)), options_);
      if (!formats::is_shard_index(root)) continue;
      indices.push_back(name);
      for (const auto& [shard, keys] : formats::parse_shard_index(root, file(name)).shards) in_indices.push_back(shard);
    }
    const std::vector<FileGroup> groups = formats::group_files(without(tensor_files_, in_indices));
    refuse_if_below(groups);
    if (indices.size() == 1 && groups.empty()) return open_chosen(indices.front());
    if (indices.empty() && groups.size() == 1) return open_group(groups.front().files);
    if (!indices.empty() || !groups.empty()) refuse_several(indices, groups);
    return open_by_content();
  }

  // Checkpoints of other kinds in folders of this one: a file beside them is hardly what was meant.
  void refuse_if_below(const std::vector<FileGroup>& groups) const {
    if (groups.empty()) return;
    for (const auto& name : formats::list_folders(path_)) {
      const auto kind = formats::recognise_folder(file(name));
      if (!kind) continue;
      std::vector<std::string> notes = {fmt::format("'{}' is {}, a kind that is not read", name, kind->what)};
      for (const auto& group : groups) notes.push_back(group.text());
      notes.insert(notes.end(), kind->notes.begin(), kind->notes.end());
      unknown(
          path_, "the folder holds several checkpoints",
          fmt::format("of '{}', {}; or give a file, such as '{}'", name, kind->way, file(groups.front().files.front())),
          std::move(notes));
    }
  }

  std::unique_ptr<Source> open_group(const std::vector<std::string>& names) const {
    formats::check_parts(path_, names, all_);
    if (names.size() == 1 || !formats::are_counted_shards(names)) return open_parts(names);
    // Shards whose index is lost: the names prove that all are there. Ranks have the same keys and are told apart by
    // file.
    std::vector<formats::NamedFile> files;
    std::vector<std::string> keys;
    for (const auto& name : names) {
      files.push_back({name, open_file(file(name), file(name), options_)});
      for (const auto& tensor : files.back().source->manifest().tensors()) keys.push_back(tensor.key);
    }
    std::sort(keys.begin(), keys.end());
    if (std::adjacent_find(keys.begin(), keys.end()) != keys.end())
      return formats::join_files(path_, std::move(files), options_.limits);
    auto source = formats::join_shards(path_, std::move(files), Json::object(), options_.limits);
    source->add_notice(
        {Severity::note,
         "source-left-aside",
         BytePlace{path_, {}, {}},
         fmt::format("the shards have no index; by their names, {}, they are all there", FileGroup{names}.text()),
         {},
         ""});
    return source;
  }

  [[noreturn]] void refuse_several(const std::vector<std::string>& indices,
                                   const std::vector<FileGroup>& groups) const {
    constexpr size_t kMostShown = 10;
    std::vector<std::string> notes;
    for (const auto& name : indices) notes.push_back(fmt::format("'{}' and its shards", name));
    const FileGroup* parts = nullptr;
    for (const auto& group : groups) {
      if (notes.size() < kMostShown) notes.push_back(group.text());
      if (parts == nullptr && group.files.size() > 1) parts = &group;
    }
    if (const size_t n = indices.size() + groups.size(); n > notes.size())
      notes.push_back(fmt::format("and {} more", n - notes.size()));
    std::string single;
    for (const auto& group : groups)
      if (single.empty() && group.files.size() == 1) single = group.files.front();
    if (!indices.empty()) single = indices.front();
    std::string hint;
    if (!single.empty()) hint = fmt::format("give one of them, such as '{}'", file(single));
    if (parts != nullptr)
      hint += fmt::format(
          "{}name the files that belong together in the rule file, such as 'files: \"{}\"' in 'source', or move the "
          "others away",
          hint.empty() ? "" : "; or ", pattern_of(*parts));
    unknown(path_, "the folder holds several checkpoints", hint, std::move(notes));
  }

  // "model.{n}.pth": the number that differs first is a hole, the others are as in the first file.
  static std::string pattern_of(const FileGroup& group) {
    const std::string &a = group.files.front(), &b = group.files.back();
    size_t at = static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin()), end = at;
    const auto is_digit = [&](size_t i) { return i < a.size() && a[i] >= '0' && a[i] <= '9'; };
    while (at > 0 && is_digit(at - 1)) --at;
    while (is_digit(end)) ++end;
    return a.substr(0, at) + "{n}" + a.substr(end);
  }

  // Files whose names say nothing: the first bytes tell.
  std::unique_ptr<Source> open_by_content() const {
    constexpr size_t kMostFiles = 200;
    std::vector<std::string> readable;
    std::string named;
    std::optional<formats::Recognised> kind;
    for (size_t i = 0; i < std::min(all_.size(), kMostFiles); ++i) {
      const std::string& name = all_[i];
      if (formats::unfinished_name(name)) continue;
      const MappedFile mapped(file(name));
      if (formats::looks_like_safetensors(mapped.bytes()) || looks_like_torch(mapped) ||
          formats::looks_like_msgpack_map(mapped.bytes()))
        readable.push_back(name);
      else if (auto found = kind ? std::nullopt : formats::recognise_file(mapped); found && found->tensors) {
        kind = std::move(found);
        named = name;
      }
    }
    const std::vector<FileGroup> groups = formats::group_files(readable);
    if (groups.size() == 1) return open_group(groups.front().files);
    if (!groups.empty()) refuse_several({}, groups);
    if (kind) formats::refuse_as(path_, fmt::format("the folder holds no checkpoint that is read: '{}'", named), *kind);
    refuse_empty();
  }

  // Nothing here: a download that was not finished, or the checkpoint lies further down.
  [[noreturn]] void refuse_empty() const {
    std::vector<std::string> unfinished;
    for (const auto& name : all_)
      if (formats::unfinished_name(name)) unfinished.push_back(name);
    if (!unfinished.empty())
      throw Error(
          "source-parts", BytePlace{path_, {}, {}},
          fmt::format("the folder holds a download that was not finished: {}", formats::quoted_list(unfinished)),
          "finish the download");
    std::vector<std::string> below;
    std::optional<formats::Recognised> kind;
    find_below(below, kind);
    if (below.size() == 1 && kind)
      formats::refuse_as(path_, fmt::format("'{}', below the folder,", below.front()), *kind);
    if (below.size() == 1)
      unknown(path_, fmt::format("the folder itself holds no checkpoint; '{}' below it does", below.front()),
              fmt::format("give '{}'", file(below.front())));
    if (!below.empty())
      unknown(path_, fmt::format("the folder itself holds no checkpoint; below it, {} do", formats::quoted_list(below)),
              fmt::format("give one of them, such as '{}'", file(below.back())));
    std::error_code ignored;
    if (fs::is_empty(path_, ignored))
      unknown(path_, "the folder is empty", "if it was copied or downloaded, do so again");
    unknown(path_, fmt::format("the folder holds nothing known: looked for {}, other indices, checkpoint (T5X), "
                               "state/checkpoint and checkpoint_* folders, files of torch and safetensors",
                               fmt::join(kStandardNames, ", ")));
  }

  // The folders nearest below that hold a checkpoint, and what the first is if it is not read.
  void find_below(std::vector<std::string>& below, std::optional<formats::Recognised>& kind) const {
    constexpr size_t kMostFolders = 500, kMostLevels = 3;
    std::vector<std::string> level = {""};
    size_t visited = 0;
    for (size_t depth = 0; depth < kMostLevels && below.empty(); ++depth) {
      std::vector<std::string> next;
      for (const auto& parent : level)
        for (const auto& name : formats::list_folders(file(parent)))
          next.push_back(parent.empty() ? name : in(parent, name));
      for (const auto& name : next) {
        if (++visited > kMostFolders) return;
        auto found = formats::recognise_folder(file(name));
        const auto files = formats::list_files(file(name));
        const bool here = found || formats::is_file(in(file(name), "checkpoint")) ||
                          std::any_of(files.begin(), files.end(), formats::is_tensor_name);
        if (!here) continue;
        below.push_back(name);
        if (below.size() == 1) kind = std::move(found);
      }
      level = std::move(next);
    }
  }

  const std::string& path_;
  const OpenOptions& options_;
  std::vector<std::string> all_, tensor_files_;
};

}  // namespace

std::unique_ptr<Source> open_source(const std::string& path, const OpenOptions& options) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return FolderOpener(path, options).open();
  auto source = open_file(path, path, options);
  if (const std::string part = formats::one_of_several(fs::path(path).filename().string()); !part.empty())
    source->add_notice({Severity::note,
                        "source-left-aside",
                        BytePlace{path, {}, {}},
                        part + "; the others were left aside",
                        {},
                        "for all of them give their folder, or their index"});
  return source;
}

}  // namespace remap
