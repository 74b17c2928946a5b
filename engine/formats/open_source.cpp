// Which reader a path belongs to, by what is in it.
#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/links_outside.h"
#include "base/mapped_file.h"
#include "formats/folder_files.h"
#include "formats/folder_formats.h"
#include "formats/joined_files.h"
#include "formats/left_aside.h"
#include "formats/open_file.h"
#include "formats/shard_index.h"
#include "formats/t5x_folder.h"
#include "formats/tensorflow_source.h"
#include "formats/unread_kinds.h"
#include "remap/source.h"

namespace remap {
namespace {

namespace fs = std::filesystem;
using formats::FileGroup;

// Hugging Face's names, in the order in which its libraries look for them.
constexpr std::string_view kStandardNames[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                               "pytorch_model.bin.index.json"};

[[noreturn]] void unknown(const std::string& path, const std::string& message, const std::string& hint = {},
                          std::vector<std::string> notes = {}) {
  throw Error(
      Diagnostic{Severity::error, "source-unknown-format", BytePlace{path, {}, {}}, message, std::move(notes), hint});
}

// A checkpoint in a folder of this one, and files beside that folder.
[[noreturn]] void refuse_beside(const fs::path& folder, const std::string& name, const std::string& what,
                                const std::vector<FileGroup>& groups) {
  std::vector<std::string> notes = {fmt::format("'{}' is {}", name, what)};
  for (const auto& group : groups) notes.push_back(group.text());
  unknown(folder.string(), "the folder holds several checkpoints",
          fmt::format("give one of them, such as '{}' or '{}'", (folder / name).string(),
                      (folder / groups.front().files.front()).string()),
          std::move(notes));
}

// The folders nearest below that hold a checkpoint, and what the first is if it is not read.
void find_below(const fs::path& path, std::vector<std::string>& below, std::optional<formats::Recognised>& kind) {
  const auto file = [&](const std::string& name) { return (path / name).string(); };
  constexpr size_t kMostFolders = 500, kMostLevels = 3;
  std::vector<std::string> level = {""};
  size_t visited = 0;
  std::error_code ignored;
  std::set<fs::path> seen = {fs::canonical(path, ignored)};
  for (size_t depth = 0; depth < kMostLevels && below.empty(); ++depth) {
    std::vector<std::string> next;
    for (const auto& parent : level)
      for (const auto& name : formats::list_folders(file(parent)))
        next.push_back(parent.empty() ? name : (fs::path(parent) / name).string());
    // A folder that links lead to as well is one, and has its own name.
    std::stable_partition(next.begin(), next.end(),
                          [&](const auto& name) { return !fs::is_symlink(path / name, ignored); });
    for (const auto& name : next) {
      if (++visited > kMostFolders) return;
      if (!seen.insert(fs::canonical(path / name, ignored)).second) continue;
      auto found = formats::recognise_folder(file(name));
      const auto files = formats::list_files(file(name));
      const bool here = found || formats::folder_kind(file(name)) || formats::is_file(path / name / "checkpoint") ||
                        std::any_of(files.begin(), files.end(), formats::is_tensor_name);
      if (!here) continue;
      below.push_back(name);
      if (below.size() == 1) kind = std::move(found);
    }
    level = std::move(next);
  }
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
    if (const auto t5x = formats::find_t5x_folder(path_))
      return formats::open_file(path_, in(*t5x, "checkpoint"), options_);
    if (auto source = formats::open_as_folder(path_, options_)) return source;
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
    note_left_aside(*source, FileGroup{parts}.text(), formats::names_without(tensor_files_, parts),
                    ", as the rule file's 'files' says");
    return source;
  }

  std::unique_ptr<Source> open_parts(const std::vector<std::string>& names) const {
    formats::check_parts(path_, names, all_);
    if (names.size() == 1) return formats::open_file(file(names.front()), file(names.front()), options_);
    std::vector<formats::NamedFile> files;
    for (const auto& name : names) files.push_back({name, formats::open_file(file(name), file(name), options_)});
    return formats::join_files(path_, std::move(files), options_.limits);
  }

  // A file or index that stands for the checkpoint.
  std::unique_ptr<Source> open_chosen(const std::string& name) const {
    std::vector<std::string> taken = {name};
    const bool is_index = name.ends_with(formats::kIndexEnding);
    if (!is_index) formats::check_parts(path_, taken, all_);
    auto source = formats::open_file(path_, file(name), options_);
    if (is_index)
      for (const auto& shard : formats::shards_of_index(file(name), options_.limits)) taken.push_back(shard);
    std::vector<std::string> candidates = tensor_files_;
    for (const auto& other : all_)
      if (other.ends_with(formats::kIndexEnding)) candidates.push_back(other);
    const bool by_order =
        std::find(std::begin(kStandardNames), std::end(kStandardNames), name) != std::end(kStandardNames);
    note_left_aside(*source, fmt::format("'{}'", name), formats::names_without(candidates, taken),
                    by_order ? ", as Hugging Face's libraries choose" : "");
    return source;
  }

  void note_left_aside(Source& source, const std::string& taken, const std::vector<std::string>& rest,
                       const std::string& why) const {
    if (!rest.empty())
      source.add_notice(formats::left_aside({path_, "files of tensors", taken, why, rest}, options_.limits));
  }

  // No name says which file is meant: it is the only one of its kind, or the only files that differ in numbers.
  std::unique_ptr<Source> open_only() const {
    std::vector<std::string> indices, in_indices;
    for (const auto& name : all_) {
      if (!name.ends_with(formats::kIndexEnding)) continue;
      const Json root = formats::read_json_file(file(name), options_.limits);
      if (!formats::is_shard_index(root)) continue;
      indices.push_back(name);
      for (const auto& [shard, keys] : formats::parse_shard_index(root, file(name)).shards) in_indices.push_back(shard);
    }
    const std::vector<FileGroup> groups = formats::group_files(formats::names_without(tensor_files_, in_indices));
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
      if (const auto readable = formats::folder_kind(file(name))) refuse_beside(path_, name, *readable, groups);
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
      files.push_back({name, formats::open_file(file(name), file(name), options_)});
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
      auto found = mapped.read([&]() -> std::optional<formats::Recognised> {
        if (formats::is_checkpoint_file(mapped))
          readable.push_back(name);
        else if (!kind)
          return formats::recognise_file(mapped);
        return std::nullopt;
      });
      if (found && found->tensors) {
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
    find_below(path_, below, kind);
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

  const std::string& path_;
  const OpenOptions& options_;
  std::vector<std::string> all_, tensor_files_;
};

std::unique_ptr<Source> open_by_kind_of_path(const std::string& path, const OpenOptions& options) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return FolderOpener(path, options).open();
  const auto index = formats::tensorflow_index_of(path);
  auto source = formats::open_file(path, index.value_or(path), options);
  if (index) return source;
  const auto& notices = source->notices();
  if (std::any_of(notices.begin(), notices.end(), [](const auto& n) { return n.id == "source-left-aside"; }))
    return source;  // the file itself says that it is a part
  if (const std::string part = formats::one_of_several(fs::path(path).filename().string()); !part.empty())
    source->add_notice({Severity::note,
                        "source-left-aside",
                        BytePlace{path, {}, {}},
                        part + "; the others were left aside",
                        {},
                        "for all of them give their folder, or their index"});
  return source;
}

// Which of a checkpoint's files lie outside of its folder. Those that the user named are meant, wherever they are.
class LinkCheck {
 public:
  LinkCheck(const std::string& path, const OpenOptions& options)
      : path_(path),
        options_(options),
        links_(formats::is_folder(path) ? path : fs::path(path).parent_path().string()) {}

  void note(Source& source) {
    using Siblings = LinksOutside::Siblings;
    source.visit_files([&](const std::string& file, const FileStamp* opened) {
      // What is opened later are chunks.
      if (!is_named(file)) links_.leads_outside(file, opened == nullptr ? Siblings::many : Siblings::few);
    });
    if (!links_.empty())
      source.add_notice({Severity::note, "source-link", BytePlace{path_, {}, {}}, links_.text(), {}, kLinkHint});
  }

  // What is wrong with a file that lies outside, without what is in it: it may be any file of this machine.
  Diagnostic without_contents(Diagnostic d) {
    const auto* text = std::get_if<TextPlace>(&d.place);
    const auto* bytes = std::get_if<BytePlace>(&d.place);
    const std::string file = text != nullptr ? text->file : bytes != nullptr ? bytes->file : "";
    if (file.empty() || is_named(file) || !links_.leads_outside(file)) return d;
    d.notes.push_back(links_.text());
    if (text == nullptr) return d;
    d.place = BytePlace{file, {}, {}};
    d.message.erase(std::min(d.message.find("; last read: "), d.message.size()));
    return d;
  }

 private:
  bool is_named(const std::string& file) const {
    return file == path_ || std::any_of(options_.companions.begin(), options_.companions.end(),
                                        [&](const auto& companion) { return companion.second == file; });
  }

  const std::string& path_;
  const OpenOptions& options_;
  LinksOutside links_;
};

}  // namespace

std::unique_ptr<Source> open_source(const std::string& path, const OpenOptions& options) {
  LinkCheck links(path, options);
  try {
    auto source = open_by_kind_of_path(path, options);
    links.note(*source);
    return source;
  } catch (const Error& error) {
    throw Error(links.without_contents(error.diagnostic()));
  }
}

}  // namespace remap
