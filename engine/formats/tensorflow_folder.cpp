// Which files of a folder are a TensorFlow checkpoint.
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "base/mapped_file.h"
#include "base/text.h"
#include "formats/folder_files.h"
#include "formats/left_aside.h"
#include "formats/open_file.h"
#include "formats/sorted_table.h"
#include "formats/tensorflow_source.h"
#include "formats/unread_kinds.h"
#include "formats/unread_rows.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndex = ".index", kData = ".data-", kOf = "-of-", kState = "checkpoint",
                           kGraph = "saved_model.pb", kGraphText = "saved_model.pbtxt";
constexpr size_t kDigits = 5;

bool are_digits(std::string_view text) {
  return text.size() >= kDigits && std::all_of(text.begin(), text.end(), [](char c) { return is_digit(c); });
}

// "model.ckpt-7" of "model.ckpt-7.data-00000-of-00001".
std::optional<std::string> prefix_of_data(const std::string& name) {
  const size_t at = name.rfind(kData);
  if (at == std::string::npos || at == 0) return std::nullopt;
  const std::string_view numbers = std::string_view(name).substr(at + kData.size());
  const size_t of = numbers.find(kOf);
  if (of == numbers.npos || !are_digits(numbers.substr(0, of)) || !are_digits(numbers.substr(of + kOf.size())))
    return std::nullopt;
  return name.substr(0, at);
}

bool holds(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool has_table_magic(const fs::path& path) {
  if (!is_file(path)) return false;
  try {
    const MappedFile file(path.string());
    return file.read([&] { return SortedTable::has_magic(file.bytes()); });
  } catch (const Error&) {
    return false;
  }
}

// The indices among a folder's files: what ends as one, and either is a table or has data beside it.
std::vector<std::string> indices_of(const std::string& folder, const std::vector<std::string>& files) {
  std::vector<std::string> with_data;
  for (const auto& name : files)
    if (const auto prefix = prefix_of_data(name)) with_data.push_back(*prefix);
  std::vector<std::string> indices;
  for (const auto& name : files) {
    if (!name.ends_with(kIndex) || name.size() == kIndex.size()) continue;
    if (holds(with_data, std::string_view(name).substr(0, name.size() - kIndex.size())) ||
        has_table_magic(fs::path(folder) / name))
      indices.push_back(name);
  }
  return indices;
}

// The string of the first line of the text file `checkpoint`: model_checkpoint_path: "model.ckpt-7".
std::string latest_of(const fs::path& state) {
  const std::string head = head_of(state);
  const size_t begin = head.find('"');
  std::string name;
  for (size_t i = begin; begin != head.npos && ++i < head.size() && head[i] != '"' && head[i] != '\n';) {
    if (head[i] == '\\' && i + 1 < head.size()) ++i;
    name += head[i];
  }
  return name;
}

[[noreturn]] void refuse_folder(const std::string& folder, const std::string& id, const std::string& message,
                                const std::string& hint) {
  throw Error(id, BytePlace{folder, {}, {}}, message, hint);
}

// A file of the folder or below it; nothing outside of it.
std::optional<std::string> below(const std::string& folder, const std::string& name) {
  const fs::path path(name);
  const bool inside = path.is_relative() && std::none_of(path.begin(), path.end(), [](const fs::path& part) {
                        return part == ".." || part.string().find('\0') != std::string::npos;
                      });
  for (const fs::path& relative : {inside ? path : fs::path(), path.filename()}) {
    if (relative.empty()) continue;
    const fs::path here = fs::path(folder) / relative;
    if (is_file(here.string() + std::string(kIndex))) return here.string() + std::string(kIndex);
    if (has_table_magic(here)) return here.string();  // a file of the form before 0.12
  }
  return std::nullopt;
}

}  // namespace

bool is_tensorflow_index(const MappedFile& file) {
  if (SortedTable::has_magic(file.bytes())) return true;
  const fs::path path(file.path());
  const std::string name = path.filename().string();
  if (!name.ends_with(kIndex)) return false;
  const std::string prefix = name.substr(0, name.size() - kIndex.size());
  const auto files = list_files(path.parent_path().empty() ? "." : path.parent_path().string());
  return std::any_of(files.begin(), files.end(), [&](const auto& other) { return prefix_of_data(other) == prefix; });
}

bool is_tensorflow_folder(const std::string& folder) {
  const auto files = list_files(folder);
  if (holds(files, kGraph) || holds(files, kGraphText)) return true;
  if (holds(files, kState) && is_tensorflow_state((fs::path(folder) / kState).string())) return true;
  return std::any_of(files.begin(), files.end(), [](const auto& name) { return prefix_of_data(name).has_value(); }) ||
         !indices_of(folder, files).empty();
}

namespace {

struct TensorflowIndex {
  std::string file;  // path to open
  std::vector<Diagnostic> notices = {};
};

// The index that the folder keeps for its checkpoint: the one that its file `checkpoint` names, or the only one; of a
// SavedModel that below `variables`. nullopt: the folder is not one of TensorFlow's.
std::optional<TensorflowIndex> find_tensorflow(const std::string& folder) {
  if (!is_tensorflow_folder(folder)) return std::nullopt;
  const auto files = list_files(folder);
  const auto in = [&](std::string_view name) { return (fs::path(folder) / name).string(); };
  if (holds(files, kGraph) || holds(files, kGraphText)) {
    const std::string index = in("variables/variables.index");
    if (is_file(index)) return TensorflowIndex{index};
    refuse_folder(folder, "source-parts",
                  "the folder is a TensorFlow SavedModel, and its 'variables/variables.index' is not there",
                  "fetch the folder 'variables' too; a model without variables has no tensors");
  }
  const auto indices = indices_of(folder, files);
  const bool has_state = holds(files, kState) && is_tensorflow_state(in(kState));
  const std::string latest = has_state ? latest_of(in(kState)) : "";
  if (const auto named = latest.empty() ? std::nullopt : below(folder, latest)) {
    TensorflowIndex found{*named};
    std::vector<std::string> others;
    for (const auto& name : indices)
      if (in(name) != *named) others.push_back(name);
    if (!others.empty())
      found.notices.push_back(
          left_aside({folder, "TensorFlow checkpoints", fmt::format("'{}'", fs::path(*named).filename().string()),
                      ", the latest by the file 'checkpoint'", std::move(others)}));
    return found;
  }
  if (indices.size() > 1)
    refuse_folder(folder, "source-unknown-format",
                  fmt::format("the folder holds several TensorFlow checkpoints: {}{}", quoted_list(indices),
                              latest.empty() ? "" : fmt::format("; the latest, '{}', is not one of them", latest)),
                  fmt::format("give one of them, such as '{}'", in(indices.back())));
  if (indices.size() == 1) {
    TensorflowIndex found{in(indices.front())};
    if (!latest.empty())
      found.notices.push_back({Severity::note,
                               "source-left-aside",
                               BytePlace{in(kState), {}, {}},
                               fmt::format("the latest checkpoint is said to be '{}', which is not here; taken: '{}'",
                                           latest, indices.front()),
                               {},
                               ""});
    return found;
  }
  for (const auto& name : files)
    if (const auto prefix = prefix_of_data(name))
      refuse_folder(
          folder, "source-parts",
          fmt::format("the index '{}.index' of the TensorFlow checkpoint is not there, only its data", *prefix),
          "the checkpoint was not copied completely; fetch the index too");
  refuse_folder(folder, "source-parts",
                latest.empty()
                    ? "the file 'checkpoint' is TensorFlow's, and names no checkpoint"
                    : fmt::format("the file 'checkpoint' is TensorFlow's, and '{}' that it names is not here", latest),
                "fetch the checkpoint's '.index' and '.data-…' files too");
}

}  // namespace

std::unique_ptr<Source> open_tensorflow_folder(const std::string& folder, const OpenOptions& options) {
  auto found = find_tensorflow(folder);
  if (!found) return nullptr;
  auto source = open_file(folder, found->file, options);
  for (Diagnostic& notice : found->notices) source->add_notice(std::move(notice));
  return source;
}

std::optional<std::string> tensorflow_index_of(const std::string& file) {
  const fs::path path(file);
  const std::string folder = path.parent_path().empty() ? "." : path.parent_path().string();
  const std::string name = path.filename().string();
  if (!is_file(path)) {
    const std::string index = file + std::string(kIndex);
    std::error_code ignored;
    return !name.empty() && !fs::exists(path, ignored) && is_file(index) ? std::optional(index) : std::nullopt;
  }
  if (const auto prefix = prefix_of_data(name)) {
    const std::string index = (path.parent_path() / *prefix).string() + std::string(kIndex);
    if (is_file(index)) return index;
    refuse_folder(file, "source-parts",
                  fmt::format("the file holds data of a TensorFlow checkpoint, and its index '{}' is not there", index),
                  "the checkpoint was not copied completely; fetch the index too");
  }
  if (name == kGraph || (name == kState && is_tensorflow_state(file)))
    if (const auto found = find_tensorflow(folder)) return found->file;
  return std::nullopt;
}

}  // namespace remap::formats
