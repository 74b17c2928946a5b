#include "remap/lint.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "cli/cases.h"
#include "cli/inputs.h"
#include "remap/report.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

using remap::Error;

// Sources of the cases that stand beside the rules; documents say nothing about keys.
std::vector<NamedPath> committed(const remap::Rules& rules) {
  const auto needs = rules.sources();
  std::vector<NamedPath> examples;
  for (const auto& one : committed_cases(rules.file()))
    for (const auto& input : one.options.inputs) {
      NamedPath example = parse_input(input);
      if (std::none_of(needs.begin(), needs.end(), [&](const auto& need) { return need.document && need.name == example.name; })) examples.push_back(std::move(example));
    }
  return examples;
}

struct Examples {
  std::vector<std::unique_ptr<remap::Source>> sources;
  std::vector<remap::NamedSource> named;
};

// Those of the rules' own folder, and those given: all if there is one rule file, else those that it recognises.
Examples open_examples(const remap::Rules& rules, const Options& options, bool only_rules) {
  Examples opened;
  const auto needs = rules.sources();
  const auto open = [&](const NamedPath& example, bool ask) {
    size_t index = 0;
    while (index < needs.size() && (needs[index].name != example.name || needs[index].document)) ++index;
    if (index == needs.size()) {
      if (ask) return;
      refuse_source(example, rules, "--manifest ");
    }
    auto source = remap::open_source(example.path, {{}, rules.subtree(index), {}});
    std::string why;
    if (ask && example.name.empty() && !rules.recognise(*source, why)) return;
    opened.sources.push_back(std::move(source));
    opened.named.push_back({example.name, opened.sources.back().get()});
  };
  for (const auto& example : committed(rules)) open(example, false);
  for (const auto& text : options.manifests) open(parse_input(text), !only_rules);
  return opened;
}

std::string counted(size_t count, const char* what) { return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s"); }

void print_findings(const remap::Diagnostics& diagnostics, size_t files, const std::string& format) {
  if (format == "github") return fmt::print("{}", remap::render_github(diagnostics));
  const auto dump = [](const remap::Json& json) { return json.dump(2, ' ', false, remap::Json::error_handler_t::replace); };
  if (format == "sarif") return fmt::print("{}\n", dump(remap::render_sarif(diagnostics, REMAP_VERSION)));
  if (format == "json") return fmt::print("{}\n", dump(remap::render_findings(diagnostics)));
  size_t counts[3] = {};
  for (const auto& d : diagnostics.items()) {
    fmt::print("{}", remap::render_text(d));
    ++counts[static_cast<size_t>(d.severity)];
  }
  std::string summary;
  const char* names[3] = {"error", "warning", "note"};
  for (size_t i = 0; i < 3; ++i)
    if (counts[i] > 0) summary += (summary.empty() ? "" : ", ") + counted(counts[i], names[i]);
  fmt::print("{}: {}\n", counted(files, "file"), summary.empty() ? "nothing found" : summary);
}

}  // namespace

std::vector<std::string> rule_files(const std::vector<std::string>& inputs) {
  std::vector<std::string> files;
  for (const auto& input : inputs) {
    std::error_code error;
    if (!fs::is_directory(input, error)) {
      files.push_back(input);
      continue;
    }
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(input, error))
      if (entry.is_regular_file() && entry.path().extension() == ".yaml" && remap::rule_file_kind(entry.path().string()) != remap::RuleFileKind::other) found.push_back(entry.path().string());
    if (error) throw Error("io-read", remap::BytePlace{input, {}, {}}, fmt::format("the folder cannot be listed: {}", error.message()));
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

int lint(const Options& options) {
  remap::Diagnostics diagnostics;
  std::vector<remap::Rules> all;
  const auto files = rule_files(options.inputs);
  for (const auto& file : files) {
    std::error_code ignored;
    const bool is_file = fs::is_regular_file(file, ignored);
    const auto kind = is_file ? remap::rule_file_kind(file) : remap::RuleFileKind::rules;
    if (kind == remap::RuleFileKind::schema || kind == remap::RuleFileKind::model) {
      remap::lint_schema(file, diagnostics);
      continue;
    }
    remap::Diagnostics own;  // a rule file with mistakes says nothing about the next one
    if (auto rules = remap::Rules::load(file, own, rule_folders(options))) all.push_back(std::move(*rules));
    for (const auto& d : own.items()) {
      if (d.id == "rules-not-found") throw Error(d);
      diagnostics.add(d);
    }
  }
  for (const auto& rules : all) {
    const auto examples = open_examples(rules, options, files.size() == 1);
    remap::lint(rules, {examples.named, all, options.reverse}, diagnostics);
  }
  diagnostics.sort();
  print_findings(diagnostics, files.size(), options.format);
  const bool found = std::any_of(diagnostics.items().begin(), diagnostics.items().end(), [](const auto& d) { return d.severity != remap::Severity::note; });
  return found ? kFound : kDone;
}

}  // namespace cli
