#include "remap/lint.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include <fmt/format.h>

#include "cli/inputs.h"
#include "remap/report.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

using remap::Error;

// The files of a folder that are rules, schemas or forward passes, sorted; anything else stands for itself.
std::vector<std::string> files_of(const std::vector<std::string>& inputs) {
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

struct Example {
  std::string name, path;  // of a source
};

bool is_manifest(const fs::path& path) {
  if (path.extension() == ".tsv") return true;
  if (path.extension() != ".json") return false;
  std::ifstream in(path, std::ios::binary);
  std::string head(4096, '\0');
  in.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(in.gcount()));
  return head.find("\"remap_manifest\"") != std::string::npos;
}

// Manifests that stand beside the rules: tests/RULES/*.tsv and *.json, RULES being the file's name or the family's.
std::vector<Example> committed(const remap::Rules& rules) {
  const fs::path file = rules.file();
  std::vector<Example> examples;
  for (const std::string& name : std::set<std::string>{file.stem().string(), rules.family()}) {
    std::error_code error;
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(file.parent_path() / "tests" / name, error))
      if (entry.is_regular_file() && is_manifest(entry.path())) paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    for (const auto& path : paths) {
      const std::string suffix = path.stem().extension().string();
      const auto needs = rules.sources();
      const bool named = !suffix.empty() && std::any_of(needs.begin(), needs.end(), [&](const auto& need) { return need.name == suffix.substr(1); });
      examples.push_back({named ? suffix.substr(1) : "", path.string()});
    }
  }
  return examples;
}

std::vector<Example> given(const Options& options) {
  std::vector<Example> examples;
  for (const auto& text : options.manifests) {
    std::error_code ignored;
    const size_t equals = text.find('=');
    const bool named = equals != std::string::npos && equals > 0 && !fs::exists(text, ignored) && text.find('/') > equals;
    examples.push_back({named ? text.substr(0, equals) : "", named ? text.substr(equals + 1) : text});
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
  const auto open = [&](const Example& example, bool ask) {
    size_t index = 0;
    while (index < needs.size() && (needs[index].name != example.name || needs[index].document)) ++index;
    if (index == needs.size()) {
      if (ask) return;
      throw Error("usage", {}, fmt::format("--manifest {}={}: the rules know no source '{}'", example.name, example.path, example.name));
    }
    auto source = remap::open_source(example.path, {{}, rules.subtree(index), {}});
    std::string why;
    if (ask && example.name.empty() && !rules.recognise(*source, why)) return;
    opened.sources.push_back(std::move(source));
    opened.named.push_back({example.name, opened.sources.back().get()});
  };
  for (const auto& example : committed(rules)) open(example, false);
  for (const auto& example : given(options)) open(example, !only_rules);
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

int lint(const Options& options) {
  remap::Diagnostics diagnostics;
  std::vector<remap::Rules> all;
  const auto files = files_of(options.inputs);
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
