#include "remap/infer.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "cli/inputs.h"
#include "cli/progress.h"
#include "cli/write_file.h"
#include "remap/output.h"
#include "remap/source.h"
#include "remap/text.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

using remap::Error;

// The rule file's own name as a family: letters, digits and _.
std::string family_of(const Options& options) {
  std::string name = options.family;
  if (name.empty()) name = options.output.empty() ? "mine" : fs::path(options.output).stem().string();
  std::replace_if(
      name.begin(), name.end(),
      [](char c) { return !std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '-'; }, '_');
  return name.empty() ? "mine" : name;
}

constexpr size_t kShown = 10;  // keys of a list

void list(const char* what, const std::vector<std::string>& keys) {
  for (size_t i = 0; i < std::min(kShown, keys.size()); ++i)
    fmt::print(stderr, "{}: {}\n", what, remap::printable(keys[i]));
  if (keys.size() > kShown) fmt::print(stderr, "{}: … and {} more\n", what, keys.size() - kShown);
}

// Before the work is done: the rule file is not one of the checkpoints, nor a part of one.
void check_output(const Options& options) {
  std::vector<std::string> read = {options.target};
  for (const auto& input : parse_inputs(options)) read.push_back(input.path);
  for (const std::string& file : {options.output, options.schema}) {
    if (file.empty()) continue;
    remap::refuse_lost_input(file, read);
    check_file(file, options.force ? Existing::replace : Existing::refuse);
  }
  std::error_code ignored;
  if (!options.output.empty() && !options.schema.empty() &&
      fs::weakly_canonical(fs::absolute(options.output), ignored) ==
          fs::weakly_canonical(fs::absolute(options.schema), ignored))
    throw Error("usage", {}, "the rule file and the schema cannot be one file", "give --schema another name");
}

// The target's schema, beside the rules; false if it is not what the target has.
bool write_schema(const remap::Source& target, const Options& options) {
  if (options.schema.empty()) return true;
  const auto schema = remap::infer_schema(target, options.schema);
  write_file(options.schema, schema.text, options.force ? Existing::replace : Existing::refuse);
  list("not in the schema", schema.differences);
  fmt::print(stderr, "{}: {}, {} to check\n", options.schema, remap::count_text(schema.lines, "line"), schema.marked);
  return schema.differences.empty();
}

}  // namespace

int infer(const Options& options) {
  check_output(options);
  Progress progress(options.quiet, "opening");
  std::vector<std::unique_ptr<remap::Source>> opened;
  std::vector<remap::NamedSource> sources;
  for (const auto& input : parse_inputs(options)) {
    opened.push_back(open_whole(input.path, options));
    sources.push_back({input.name, opened.back().get()});
  }
  if (std::none_of(sources.begin(), sources.end(), [](const auto& s) { return s.name.empty(); }))
    throw Error("usage", {}, "no checkpoint was given", "remap infer SOURCE --target OUT -o RULES.yaml");
  std::stable_partition(sources.begin(), sources.end(), [](const auto& s) { return s.name.empty(); });
  const auto target = open_whole(options.target, options);
  remap::InferOptions infer_options;
  infer_options.family = family_of(options);
  if (!options.output.empty()) infer_options.file = options.output;
  infer_options.progress = progress.function();
  progress.begin("searching");
  remap::Diagnostics diagnostics;
  const auto result = remap::infer_rules(sources, *target, infer_options, diagnostics);
  progress.end();
  if (options.output.empty())
    fmt::print("{}", result.text);
  else
    write_file(options.output, result.text, options.force ? Existing::replace : Existing::refuse);
  print(diagnostics, options, 3 * (kShown + 1) + 1);
  list("open", result.open_targets);
  list("dropped", result.open_sources);
  list("not in the target", result.unexpected);
  fmt::print(stderr, "{} of {} target tensors{}, {}, {} open, {} to check\n", result.reproduced, result.targets,
             result.by_values ? ", values compared" : " by name and shape; no values were compared",
             remap::count_text(result.rules, "rule"),
             result.open_targets.size() + result.open_sources.size() + result.unexpected.size(), result.marked);
  const bool demanded = write_schema(*target, options);
  return result.holds() && demanded ? kDone : kFound;
}

}  // namespace cli
