#include "cli/inputs.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "remap/compare.h"
#include "remap/document.h"
#include "remap/nearest.h"
#include "remap/source.h"
#include "remap/values.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

using remap::Error;

// The checkpoint opened for each part of it that some rules convert: what lies outside that part is not even looked at.
// Rules that name a checkpoint's files open a folder in a way of their own.
using Opened = std::map<std::pair<std::string, std::string>, std::unique_ptr<remap::Source>>;
Opened::key_type opened_for(const remap::Rules& rules) { return {rules.subtree(0), rules.sources().front().files}; }

std::unique_ptr<remap::Source> open(const std::string& path, const remap::Rules& rules, size_t source,
                                    const std::map<std::string, std::string>& companions) {
  remap::OpenOptions options = rules.open_options(source);
  options.companions = companions;
  return remap::open_source(path, options);
}

void say_what_was_noticed(const remap::Source& source, remap::Diagnostics& diagnostics) {
  for (const auto& notice : source.notices()) diagnostics.add(notice);
  for (const auto& text : source.warnings())
    diagnostics.warning("source-incomplete", remap::BytePlace{source.path(), {}, {}}, text,
                        "if the checkpoint was downloaded, check that all of its files arrived");
}

std::optional<remap::Rules> recognise(const std::string& path, const std::vector<std::string>& folders,
                                      const std::map<std::string, std::string>& companions, Opened& opened,
                                      remap::Diagnostics& diagnostics) {
  std::vector<remap::Rules> families, found;
  std::vector<std::string> notes;
  for (const auto& name : remap::Rules::known(folders))
    if (auto rules = remap::Rules::load(name, diagnostics, folders)) families.push_back(std::move(*rules));
  // Those that read only a part of a checkpoint come first: they tell its format, and rules for another one open
  // nothing.
  std::stable_partition(families.begin(), families.end(),
                        [](const remap::Rules& rules) { return !rules.subtree(0).empty(); });
  const remap::Source* first = nullptr;
  std::exception_ptr
      refused;  // a folder may be ambiguous for rules that do not name its files, and plain for those that do
  for (const auto& rules : families) {
    std::string why;
    if (first != nullptr && !rules.reads(*first, why)) {
      notes.push_back(fmt::format("{}: {}", rules.family(), why));
      continue;
    }
    const auto [at, fresh] = opened.try_emplace(opened_for(rules));
    auto& source = at->second;
    if (fresh) {
      try {
        source = open(path, rules, 0, companions);
      } catch (const Error&) {
        if (!refused) refused = std::current_exception();
      }
    }
    if (!source) continue;
    if (first == nullptr) first = source.get();
    if (rules.recognise(*source, why))
      found.push_back(rules);
    else
      notes.push_back(fmt::format("{}: {}", rules.family(), why));
  }
  if (found.empty()) {  // perhaps only a prefix is in the way
    auto& whole = opened[{"", ""}];
    if (!whole && !refused) {
      remap::OpenOptions all;
      all.companions = companions;
      whole = remap::open_source(path, all);
    }
    if (whole)
      std::copy_if(families.begin(), families.end(), std::back_inserter(found),
                   [&](const remap::Rules& rules) { return rules.recognise_elsewhere(*whole); });
  }
  if (diagnostics.has_errors()) return std::nullopt;
  if (found.size() == 1) return found.front();
  if (found.empty() && refused) std::rethrow_exception(refused);
  const remap::BytePlace place{path, {}, {}};
  if (found.empty()) {
    diagnostics.error("family-unknown", place, "no known family looks like this checkpoint",
                      "name the rules with --rules, and look at the keys with 'remap inspect'", notes);
  } else {
    notes.clear();
    for (const auto& rules : found) notes.push_back(fmt::format("{}: {}", rules.family(), rules.title()));
    diagnostics.error("family-ambiguous", place, "more than one family looks like this checkpoint",
                      "choose one with --rules", notes);
  }
  return std::nullopt;
}

// Names of further sources that a reader knows by itself, whatever the rules say.
const std::set<std::string> kCompanions = {"gin"};

}  // namespace

std::unique_ptr<remap::Source> open_whole(const std::string& path, const Options& options) {
  auto source = remap::open_source(path);
  remap::Diagnostics noticed;
  if (!options.quiet) say_what_was_noticed(*source, noticed);
  print(noticed, options);
  return source;
}

NamedPath parse_input(const std::string& text) {
  const size_t equals = text.find('=');
  std::error_code ignored;
  if (equals == std::string::npos || equals == 0 || fs::exists(text, ignored) || text.find('/') < equals)
    return {"", text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

bool is_companion(const std::string& name) { return kCompanions.contains(name); }

void refuse_source(const NamedPath& input, const remap::Rules& rules, const std::string& option) {
  std::vector<std::string> names;
  for (const auto& need : rules.sources())
    if (!need.name.empty()) names.push_back(need.name);
  const auto known = fmt::format("they know: {}", fmt::join(names, ", "));
  names.insert(names.end(), kCompanions.begin(), kCompanions.end());
  const std::string near = remap::nearest_name(input.name, names);
  throw Error("usage", {},
              fmt::format("{}{}={}: the rules know no source '{}'", option, input.name, input.path, input.name),
              near.empty() ? (names.size() == kCompanions.size() ? "they read one checkpoint and nothing else" : known)
                           : fmt::format("did you mean '{}={}'?", near, input.path));
}

std::vector<NamedPath> parse_inputs(const Options& options) {
  std::vector<NamedPath> inputs;
  for (const auto& text : options.inputs) {
    inputs.push_back(parse_input(text));
    size_t same = 0;
    for (const auto& other : inputs) same += other.name == inputs.back().name;
    if (same > 1)
      throw Error("usage", {},
                  inputs.back().name.empty() ? fmt::format("'{}': a second checkpoint without a name", text)
                                             : fmt::format("'{}' is given twice", inputs.back().name),
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

std::optional<Inputs> open_inputs(const Options& options, remap::Diagnostics& diagnostics,
                                  std::optional<remap::Rules> loaded) {
  const auto given = parse_inputs(options);
  Inputs inputs;
  inputs.rules = std::move(loaded);
  if (!inputs.rules && !options.rules.empty()) {
    inputs.rules = remap::Rules::load_to_plan(options.rules, diagnostics, rule_folders(options));
    if (!inputs.rules) return std::nullopt;
  }
  // A name that the rules do not know belongs to the reader of the first source, such as gin=config.gin.
  std::set<std::string> known;
  if (inputs.rules)
    for (const auto& need : inputs.rules->sources()) known.insert(need.name);
  std::map<std::string, std::string> companions;
  std::string first;
  for (const auto& input : given) {
    if (input.name.empty())
      first = input.path;
    else if (!known.contains(input.name) && is_companion(input.name))
      companions[input.name] = input.path;
    else if (inputs.rules && !known.contains(input.name))
      refuse_source(input, *inputs.rules);
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
    if (index == needs.size()) refuse_source(input, *inputs.rules);
    if (needs[index].document) {
      inputs.documents[input.name] = remap::read_document(input.path, needs[index].format);
      continue;
    }
    const auto used = index == 0 ? companions : std::map<std::string, std::string>{};
    auto source = input.name.empty() ? std::move(opened[opened_for(*inputs.rules)]) : nullptr;
    if (!source) source = open(input.path, *inputs.rules, index, used);
    // The keys may lie below another root, or the user says so.
    const auto sets_root = [](const std::string& text) { return text.starts_with("root="); };
    if (!inputs.rules->subtree(index).empty() &&
        (source->manifest().size() == 0 || std::any_of(options.set.begin(), options.set.end(), sets_root))) {
      remap::OpenOptions whole = inputs.rules->open_options(index);
      whole.subtree.clear();
      whole.companions = used;
      source = remap::open_source(input.path, whole);
    }
    if (!options.quiet) say_what_was_noticed(*source, diagnostics);
    inputs.sources.push_back(std::move(source));
    inputs.named.push_back({input.name, inputs.sources.back().get()});
  }
  if (!options.config.empty()) inputs.config = remap::read_document(options.config, "json");
  for (const auto& need : needs) {
    std::error_code ignored;
    const fs::path beside =
        (fs::is_directory(first, ignored) ? fs::path(first) : fs::path(first).parent_path()) / need.beside;
    if (need.document && !need.beside.empty() && !inputs.documents.contains(need.name) &&
        fs::is_regular_file(beside, ignored))
      inputs.documents[need.name] = remap::read_document(beside.string(), need.format);
  }
  return inputs;
}

remap::PlanOptions plan_options(const Inputs& inputs, const Options& options) {
  remap::PlanOptions made;
  for (const auto& text : options.set) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      throw Error("usage", {}, fmt::format("--set {}: NAME=VALUE was expected", text));
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
  print(diagnostics, options);
  return planned;
}

uint64_t parse_bytes(const std::string& text) {
  static const std::map<std::string, uint64_t> kUnits = {{"", 1},
                                                         {"B", 1},
                                                         {"KB", 1000},
                                                         {"MB", 1000'000},
                                                         {"GB", 1000'000'000},
                                                         {"TB", 1000'000'000'000},
                                                         {"KiB", 1024},
                                                         {"MiB", uint64_t{1} << 20},
                                                         {"GiB", uint64_t{1} << 30},
                                                         {"TiB", uint64_t{1} << 40}};
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto unit = kUnits.find(std::string(end, text.data() + text.size()));
  uint64_t bytes = 0;
  if (error != std::errc() || unit == kUnits.end() || number == 0 ||
      __builtin_mul_overflow(number, unit->second, &bytes))
    throw Error("usage", {}, fmt::format("'{}' is not a size", text), "for example 5GB, 500MB or 2GiB");
  return bytes;
}

}  // namespace cli
