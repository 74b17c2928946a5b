#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/links_outside.h"
#include "base/mapped_file.h"
#include "convert/recognise.h"
#include "plan/config_layers.h"
#include "plan/load_rules.h"
#include "remap/compare.h"
#include "remap/convert.h"
#include "remap/document.h"
#include "remap/nearest.h"
#include "remap/report.h"

namespace remap {
namespace fs = std::filesystem;
namespace {

size_t index_of(const std::vector<Rules::Need>& needs, const std::string& name) {
  const auto it = std::find_if(needs.begin(), needs.end(), [&](const auto& need) { return need.name == name; });
  return static_cast<size_t>(it - needs.begin());
}

bool is_companion(const std::string& name) {
  return std::find(companions().begin(), companions().end(), name) != companions().end();
}

[[noreturn]] void refuse(const std::string& name, const std::string& path, const Rules& rules) {
  std::vector<std::string> names;
  for (const auto& need : rules.sources())
    if (!need.name.empty()) names.push_back(need.name);
  const std::string otherwise = names.empty() ? "they read one checkpoint and nothing else"
                                              : fmt::format("they know: {}", fmt::join(names, ", "));
  names.insert(names.end(), companions().begin(), companions().end());
  const std::string near = nearest_name(name, names);
  throw Error("usage", {}, fmt::format("{}={}: the rules know no source '{}'", name, path, name),
              near.empty() ? otherwise : fmt::format("did you mean '{}={}'?", near, path));
}

void refuse_unknown_inputs(const Request& request, const Rules& rules) {
  const auto needs = rules.sources();
  for (const auto& [name, path] : request.inputs)
    if (index_of(needs, name) == needs.size() && !is_companion(name)) refuse(name, path, rules);
}

// The source of this index: as its rules open it, or whole if the keys may lie below another root.
std::unique_ptr<Source> open_needed(const Request& request, const std::string& path, const Rules& rules, size_t index,
                                    convert::Openings& openings) {
  auto source = index == 0 ? openings.take(rules) : nullptr;
  if (!source) source = convert::open_for(path, rules, index, request);
  if (!rules.subtree(index).empty() && (source->manifest().size() == 0 || request.set.contains("root")))
    source = convert::open_for(path, rules, index, request, true);
  return source;
}

// Rule files, and what stands beside them; only the files, since other things may be in these folders.
void add_rule_files(const Request& request, Checkpoint& checkpoint) {
  std::vector<fs::path> folders = {fs::path(checkpoint.rules.file()).parent_path() / ".." / "schemas"};
  folders.insert(folders.end(), request.rule_folders.begin(), request.rule_folders.end());
  for (const auto& folder : folders) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored))
      if (entry.path().extension() == ".yaml") checkpoint.files.push_back(entry.path().string());
  }
  checkpoint.files.push_back(checkpoint.rules.file());
}

Json read_noted(const Rules::Need& need, const std::string& path, Checkpoint& checkpoint) {
  checkpoint.read.add({path, stamp_of(path)});
  return read_document(path, need.format, checkpoint.options.limits);
}

fs::path folder_of(const Request& request) {
  std::error_code ignored;
  const fs::path given = request.checkpoint;
  return fs::is_directory(given, ignored) ? given : given.parent_path();
}

// Files beside the checkpoint that nobody named. What they hold is written: a link may not fetch it from elsewhere.
class FilesBeside {
 public:
  explicit FilesBeside(const Request& request) : folder_(folder_of(request)), links_(folder_.string()) {}

  std::optional<std::string> find(const std::string& name) {
    const fs::path path = folder_ / name;
    std::error_code ignored;
    if (!fs::is_regular_file(path, ignored) || links_.leads_outside(path.string())) return std::nullopt;
    return path.string();
  }
  void note_left_out(const Request& request, Diagnostics& diagnostics) const {
    if (!links_.empty())
      diagnostics.add({Severity::note,
                       "source-link",
                       BytePlace{request.checkpoint, {}, {}},
                       "left out: " + links_.text(),
                       {},
                       kCopyHint});
  }

 private:
  const fs::path folder_;
  LinksOutside links_;
};

// Documents that lie in the checkpoint's folder, where no other was given.
void read_documents_beside(FilesBeside& files, Checkpoint& checkpoint) {
  for (const auto& need : checkpoint.rules.sources()) {
    if (!need.document || need.beside.empty() || checkpoint.options.documents.contains(need.name)) continue;
    if (const auto beside = files.find(need.beside))
      checkpoint.options.documents[need.name] = read_noted(need, *beside, checkpoint);
  }
}

// Files that the rules want as they are. What would make a program look for code to run is taken out of those that are
// JSON.
void carry_files_beside(const Request& request, FilesBeside& files, Checkpoint& checkpoint, Diagnostics& diagnostics) {
  const auto& names = checkpoint.rules.impl().set.carry;
  const Limits& limits = checkpoint.options.limits;
  std::vector<std::string> carried, code;
  for (const auto& name : names) {
    const auto path = files.find(name);
    if (!path) continue;
    checkpoint.read.add({*path, stamp_of(*path)});
    const MappedFile file(*path);
    if (file.size() > limits.max_index_bytes)
      throw Error(
          "limit-exceeded", BytePlace{*path, {}, {}},
          fmt::format("the file has {} bytes, more than max_index_bytes ({})", file.size(), limits.max_index_bytes));
    std::string text = file.read([&] { return std::string(file.text()); });
    if (name.ends_with(".json")) {
      Json value = read_document(*path, "json", limits);
      const auto taken_out = plan::take_out_code(value);
      for (const auto& field : taken_out) code.push_back(fmt::format("{}: '{}'", name, field));
      if (!taken_out.empty()) text = json_file_text(value);
    }
    carried.push_back(name);
    checkpoint.carried.emplace_back(name, std::move(text));
  }
  if (carried.empty()) return;
  const BytePlace place{request.checkpoint, {}, {}};
  diagnostics.add({Severity::note,
                   "output-carried",
                   place,
                   fmt::format("copied from the checkpoint's folder: {}", fmt::join(carried, ", ")),
                   {},
                   ""});
  if (!code.empty())
    diagnostics.add({Severity::note,
                     "output-carried",
                     place,
                     "left out of them, since it would make a program look for code to run: " +
                         fmt::format("{}", fmt::join(code, ", ")),
                     {},
                     ""});
}

}  // namespace

void add_notices(const Source& source, Diagnostics& diagnostics) {
  for (const auto& notice : source.notices()) diagnostics.add(notice);
  for (const auto& text : source.warnings())
    diagnostics.warning("source-incomplete", BytePlace{source.path(), {}, {}}, text,
                        "if the checkpoint was downloaded, check that all of its files arrived");
}

const std::vector<std::string>& companions() {
  static const std::vector<std::string> names = {"gin"};
  return names;
}

std::optional<Checkpoint> open_checkpoint(const Request& request, Diagnostics& diagnostics) {
  std::optional<Rules> rules = request.loaded;
  if (!rules && !request.rules.empty()) {
    rules = Rules::load_to_plan(request.rules, diagnostics, request.rule_folders, request.limits);
    if (!rules) return std::nullopt;
  }
  if (rules) refuse_unknown_inputs(request, *rules);
  convert::Openings openings(request);
  if (!rules) rules = convert::recognise(request, openings, diagnostics);
  if (!rules) return std::nullopt;
  refuse_unknown_inputs(request, *rules);

  Checkpoint checkpoint{*rules, {}, {}, {}, {}};
  checkpoint.options = {.set = request.set,
                        .same = tensors_equal,
                        .values = tensor_values,
                        .documents = {},
                        .config = request.config,
                        .config_file = request.config_file,
                        .limits = request.limits};
  const auto needs = rules->sources();
  std::vector<std::pair<std::string, std::string>> given = {{"", request.checkpoint}};
  given.insert(given.end(), request.inputs.begin(), request.inputs.end());
  for (const auto& [name, path] : given) {
    checkpoint.files.push_back(path);
    const size_t index = index_of(needs, name);
    if (index == needs.size()) continue;  // a companion: the reader of the first source has it
    if (needs[index].document) {
      checkpoint.options.documents[name] = read_noted(needs[index], path, checkpoint);
      continue;
    }
    auto source = open_needed(request, path, *rules, index, openings);
    if (request.needs_data && !source->has_data())
      throw Error("source-without-data", BytePlace{source->path(), {}, {}},
                  "this is a manifest: it lists tensors and holds none", "use 'remap plan' to see what would happen");
    if (request.notices) add_notices(*source, diagnostics);
    checkpoint.files.push_back(source->folder());
    checkpoint.read.add(*source);
    checkpoint.owned.push_back(std::move(source));
    checkpoint.sources.push_back({name, checkpoint.owned.back().get()});
  }
  if (!request.config_file.empty()) {
    checkpoint.files.push_back(request.config_file);
    checkpoint.read.add({request.config_file, stamp_of(request.config_file)});
  }
  add_rule_files(request, checkpoint);
  FilesBeside files_beside(request);
  read_documents_beside(files_beside, checkpoint);
  carry_files_beside(request, files_beside, checkpoint, diagnostics);
  files_beside.note_left_out(request, diagnostics);
  return checkpoint;
}

std::optional<Conversion> prepare(const Request& request, Diagnostics& diagnostics) {
  auto checkpoint = open_checkpoint(request, diagnostics);
  if (!checkpoint) return std::nullopt;
  auto plan = checkpoint->read.unchanged_during(
      [&] { return make_plan(checkpoint->rules, checkpoint->sources, checkpoint->options, diagnostics); });
  if (!plan) return std::nullopt;
  return Conversion{std::move(*checkpoint), std::move(*plan)};
}

}  // namespace remap
