#include "cli/inputs.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "remap/compare.h"
#include "remap/document.h"
#include "remap/source.h"
#include "remap/values.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

using remap::Error;

// The checkpoint opened for each part of it that some rules convert: what lies outside that part is not even looked at.
using Opened = std::map<std::string, std::unique_ptr<remap::Source>>;

std::optional<remap::Rules> recognise(const std::string& path, const std::vector<std::string>& folders, const std::map<std::string, std::string>& companions, Opened& opened,
                                      remap::Diagnostics& diagnostics) {
  std::vector<remap::Rules> families, found;
  std::vector<std::string> notes;
  for (const auto& name : remap::Rules::known(folders))
    if (auto rules = remap::Rules::load(name, diagnostics, folders)) families.push_back(std::move(*rules));
  // Those that read only a part of a checkpoint come first: they tell its format, and rules for another one open nothing.
  std::stable_partition(families.begin(), families.end(), [](const remap::Rules& rules) { return !rules.subtree(0).empty(); });
  const remap::Source* first = nullptr;
  for (const auto& rules : families) {
    std::string why;
    if (first != nullptr && !rules.reads(*first, why)) {
      notes.push_back(fmt::format("{}: {}", rules.family(), why));
      continue;
    }
    auto& source = opened[rules.subtree(0)];
    if (!source) source = remap::open_source(path, {{}, rules.subtree(0), companions});
    if (first == nullptr) first = source.get();
    if (rules.recognise(*source, why)) found.push_back(rules);
    else notes.push_back(fmt::format("{}: {}", rules.family(), why));
  }
  if (found.empty()) {  // perhaps only a prefix is in the way
    auto& whole = opened[""];
    if (!whole) whole = remap::open_source(path, {{}, "", companions});
    std::copy_if(families.begin(), families.end(), std::back_inserter(found), [&](const remap::Rules& rules) { return rules.recognise_elsewhere(*whole); });
  }
  if (diagnostics.has_errors()) return std::nullopt;
  if (found.size() == 1) return found.front();
  const remap::BytePlace place{path, {}, {}};
  if (found.empty()) {
    diagnostics.error("family-unknown", place, "no known family looks like this checkpoint", "name the rules with --rules, and look at the keys with 'remap inspect'", notes);
  } else {
    notes.clear();
    for (const auto& rules : found) notes.push_back(fmt::format("{}: {}", rules.family(), rules.title()));
    diagnostics.error("family-ambiguous", place, "more than one family looks like this checkpoint", "choose one with --rules", notes);
  }
  return std::nullopt;
}

}  // namespace

NamedPath parse_input(const std::string& text) {
  const size_t equals = text.find('=');
  std::error_code ignored;
  if (equals == std::string::npos || equals == 0 || fs::exists(text, ignored) || text.find('/') < equals) return {"", text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::vector<NamedPath> parse_inputs(const Options& options) {
  std::vector<NamedPath> inputs;
  for (const auto& text : options.inputs) {
    inputs.push_back(parse_input(text));
    size_t same = 0;
    for (const auto& other : inputs) same += other.name == inputs.back().name;
    if (same > 1)
      throw Error("usage", {}, inputs.back().name.empty() ? fmt::format("'{}': a second checkpoint without a name", text) : fmt::format("'{}' is given twice", inputs.back().name),
                  "name further sources: NAME=PATH");
  }
  return inputs;
}

std::vector<std::string> rule_folders(const Options& options) {
  std::vector<std::string> folders = options.rules_dirs;
  const char* variable = std::getenv("REMAP_RULES_DIR");
  const std::string_view list = variable == nullptr ? "" : variable;
  for (size_t start = 0; start < list.size();) {
    const size_t end = std::min(list.find(':', start), list.size());
    if (end > start) folders.emplace_back(list.substr(start, end - start));
    start = end + 1;
  }
  return folders;
}

std::optional<Inputs> open_inputs(const Options& options, remap::Diagnostics& diagnostics) {
  const auto given = parse_inputs(options);
  Inputs inputs;
  if (!options.rules.empty()) {
    inputs.rules = remap::Rules::load(options.rules, diagnostics, rule_folders(options));
    if (!inputs.rules) return std::nullopt;
  }
  // A name that the rules do not know belongs to the reader of the first source, such as gin=config.gin.
  std::set<std::string> known;
  if (inputs.rules)
    for (const auto& need : inputs.rules->sources()) known.insert(need.name);
  static const std::set<std::string> kCompanions = {"gin"};
  std::map<std::string, std::string> companions;
  std::string first;
  for (const auto& input : given) {
    if (input.name.empty()) first = input.path;
    else if (!known.contains(input.name) && kCompanions.contains(input.name)) companions[input.name] = input.path;
    else if (inputs.rules && !known.contains(input.name)) throw Error("usage", {}, fmt::format("'{}={}': the rules know no source '{}'", input.name, input.path, input.name));
  }
  if (first.empty()) throw Error("usage", {}, "no checkpoint was given", "remap [--rules RULES] CHECKPOINT -o OUT");
  Opened opened;
  if (!inputs.rules) inputs.rules = recognise(first, rule_folders(options), companions, opened, diagnostics);
  if (!inputs.rules) return std::nullopt;
  const auto needs = inputs.rules->sources();
  for (const auto& input : given) {
    if (companions.contains(input.name)) continue;
    size_t index = 0;
    while (index < needs.size() && needs[index].name != input.name) ++index;
    if (index == needs.size()) throw Error("usage", {}, fmt::format("'{}={}': the rules know no source '{}'", input.name, input.path, input.name));
    if (needs[index].document) {
      inputs.documents[input.name] = remap::read_document(input.path, needs[index].format);
      continue;
    }
    const std::string subtree = inputs.rules->subtree(index);
    const auto used = index == 0 ? companions : std::map<std::string, std::string>{};
    auto source = input.name.empty() ? std::move(opened[subtree]) : nullptr;
    if (!source) source = remap::open_source(input.path, {{}, subtree, used});
    // The keys may lie below another root, or the user says so.
    if (!subtree.empty() && (source->manifest().size() == 0 || std::any_of(options.set.begin(), options.set.end(), [](const auto& text) { return text.starts_with("root="); })))
      source = remap::open_source(input.path, {{}, "", used});
    inputs.sources.push_back(std::move(source));
    inputs.named.push_back({input.name, inputs.sources.back().get()});
  }
  if (!options.config.empty()) inputs.config = remap::read_document(options.config, "json");
  for (const auto& need : needs) {
    std::error_code ignored;
    const fs::path beside = (fs::is_directory(first, ignored) ? fs::path(first) : fs::path(first).parent_path()) / need.beside;
    if (need.document && !need.beside.empty() && !inputs.documents.contains(need.name) && fs::is_regular_file(beside, ignored))
      inputs.documents[need.name] = remap::read_document(beside.string(), need.format);
  }
  return inputs;
}

remap::PlanOptions plan_options(const Inputs& inputs, const Options& options) {
  remap::PlanOptions made;
  for (const auto& text : options.set) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) throw Error("usage", {}, fmt::format("--set {}: NAME=VALUE was expected", text));
    made.set[text.substr(0, equals)] = text.substr(equals + 1);
  }
  made.same = remap::tensors_equal;
  made.values = remap::tensor_values;
  made.documents = inputs.documents;
  made.config = inputs.config;
  made.config_file = options.config;
  return made;
}

std::optional<remap::Plan> plan_inputs(const Inputs& inputs, const Options& options, remap::Diagnostics& diagnostics) {
  return remap::make_plan(*inputs.rules, inputs.named, plan_options(inputs, options), diagnostics);
}

std::optional<Planned> open_and_plan(const Options& options, remap::Diagnostics& diagnostics) {
  auto inputs = open_inputs(options, diagnostics);
  if (!inputs) return std::nullopt;
  auto plan = plan_inputs(*inputs, options, diagnostics);
  return plan ? std::optional(Planned{std::move(*inputs), std::move(*plan)}) : std::nullopt;
}

std::optional<Planned> open_and_plan(const Options& options) {
  remap::Diagnostics diagnostics;
  auto planned = open_and_plan(options, diagnostics);
  print(diagnostics, options.output_format());
  return planned;
}

uint64_t parse_bytes(const std::string& text) {
  static const std::map<std::string, uint64_t> kUnits = {{"", 1}, {"B", 1}, {"KB", 1000}, {"MB", 1000'000}, {"GB", 1000'000'000}, {"TB", 1000'000'000'000}, {"KiB", 1024}, {"MiB", uint64_t{1} << 20}, {"GiB", uint64_t{1} << 30}, {"TiB", uint64_t{1} << 40}};
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto unit = kUnits.find(std::string(end, text.data() + text.size()));
  uint64_t bytes = 0;
  if (error != std::errc() || unit == kUnits.end() || number == 0 || __builtin_mul_overflow(number, unit->second, &bytes))
    throw Error("usage", {}, fmt::format("'{}' is no size", text), "for example 5GB, 500MB or 2GiB");
  return bytes;
}

}  // namespace cli
