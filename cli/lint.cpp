#include "remap/lint.h"

#include <algorithm>
#include <filesystem>
#include <functional>

#include <fmt/format.h>

#include "cli/cases.h"
#include "cli/inputs.h"
#include "remap/report.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

using remap::Error;

// What is planned with a rule file.
struct Examples {
  std::vector<remap::Checkpoint> checkpoints;
  std::vector<remap::LintCase> cases;
  std::vector<remap::NamedSource> named;  // of all, whether planned or not

  void add(remap::Checkpoint opened, bool planned) {
    named.insert(named.end(), opened.sources.begin(), opened.sources.end());
    if (planned) cases.push_back({opened.sources, opened.options});
    checkpoints.push_back(std::move(opened));
  }
};

std::optional<remap::Checkpoint> open_case(const remap::Rules& rules, const Options& options) {
  remap::Diagnostics said;  // again when it is planned
  remap::Request request = request_of(options);
  request.loaded = rules;
  return remap::open_checkpoint(request, said);
}

// The cases that stand beside the rules. A manifest without an expected plan may be of another variant, or of what the
// rules do not take.
void add_committed(const remap::Rules& rules, const Options& options, Examples& examples) {
  for (const auto& one : committed_cases(rules.file(), options)) {
    auto opened = open_case(rules, one.options);
    if (!opened) continue;
    std::error_code ignored;
    std::string why;
    const bool wanted = fs::exists(one.expected, ignored) ? !expects_refusal(one)
                                                          : rules.recognise(*opened->sources.front().source, why);
    examples.add(std::move(*opened), wanted);
  }
}

// The manifests given, each checkpoint with its further sources: the k-th of one name belongs to the k-th checkpoint,
// the last one to all that follow.
struct Given {
  std::vector<std::string> checkpoints;
  std::map<std::string, std::vector<std::string>> others;
  explicit Given(const std::vector<std::string>& manifests) {
    for (const auto& text : manifests) {
      const NamedPath one = parse_input(text);
      if (one.name.empty())
        checkpoints.push_back(one.path);
      else
        others[one.name].push_back(one.path);
    }
  }
  std::vector<std::string> inputs(size_t k, const std::function<bool(const std::string&)>& takes) const {
    std::vector<std::string> all = {checkpoints[k]};
    for (const auto& [name, paths] : others)
      if (takes(name)) all.push_back(name + "=" + paths[std::min(k, paths.size() - 1)]);
    return all;
  }
};

// All of those given if there is one rule file, else those that it recognises. `used` notes which checkpoints were.
void add_given(const remap::Rules& rules, const Given& given, const Options& options, bool only_rules,
               Examples& examples, std::vector<bool>& used) {
  const auto needs = rules.sources();
  const auto takes = [&](const std::string& name) {
    return only_rules ||  // what they do not know is refused
           std::find(remap::companions().begin(), remap::companions().end(), name) != remap::companions().end() ||
           std::any_of(needs.begin(), needs.end(), [&](const auto& need) { return need.name == name; });
  };
  for (size_t k = 0; k < given.checkpoints.size(); ++k) {
    Options one = options;
    one.inputs = given.inputs(k, takes);
    auto opened = open_case(rules, one);
    std::string why;
    if (!opened || (!only_rules && !rules.recognise(*opened->sources.front().source, why))) continue;
    used[k] = true;
    examples.add(std::move(*opened), true);
  }
}

std::string counted(size_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

void print_findings(const remap::Diagnostics& diagnostics, size_t files, const Options& options) {
  const std::string& format = options.format;
  if (format == "github") return fmt::print("{}", remap::render_github(diagnostics));
  const auto dump = [](const remap::Json& json) {
    return json.dump(2, ' ', false, remap::Json::error_handler_t::replace);
  };
  if (format == "sarif") return fmt::print("{}\n", dump(remap::render_sarif(diagnostics, REMAP_VERSION)));
  if (format == "json") return fmt::print("{}\n", dump(remap::render_findings(diagnostics)));
  size_t counts[3] = {};
  for (const auto& d : diagnostics.items()) ++counts[static_cast<size_t>(d.severity)];
  fmt::print("{}", remap::render_text(diagnostics, {.full = options.full}));
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
      if (entry.is_regular_file() && entry.path().extension() == ".yaml" &&
          remap::rule_file_kind(entry.path().string()) != remap::RuleFileKind::other)
        found.push_back(entry.path().string());
    if (error)
      throw Error("io-read", remap::BytePlace{input, {}, {}},
                  fmt::format("the folder cannot be listed: {}", error.message()));
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
    const auto kind = is_file ? remap::rule_file_kind(file, limits_of(options)) : remap::RuleFileKind::rules;
    if (kind == remap::RuleFileKind::schema || kind == remap::RuleFileKind::model) {
      remap::lint_schema(file, diagnostics, limits_of(options));
      continue;
    }
    remap::Diagnostics own;  // a rule file with mistakes says nothing about the next one
    // A name that nothing binds may follow from what no rule matches: it is planned.
    if (auto rules = remap::Rules::load_to_plan(file, own, rule_folders(options), limits_of(options)))
      all.push_back(std::move(*rules));
    for (const auto& d : own.items()) {
      if (d.id == "rules-not-found") throw Error(d);
      diagnostics.add(d);
    }
  }
  const Given given(options.manifests);
  if (given.checkpoints.empty() && !given.others.empty())
    throw Error("usage", {}, "--manifest: no checkpoint was given", "further sources are NAME=PATH beside it");
  std::vector<bool> used(given.checkpoints.size());
  for (const auto& one : all) {
    Examples examples;
    add_committed(one, options, examples);
    add_given(one, given, options, files.size() == 1, examples, used);
    remap::lint(one, {examples.named, examples.cases, all, options.reverse}, diagnostics);
  }
  for (size_t k = 0; k < used.size() && !all.empty(); ++k)
    if (!used[k])
      diagnostics.warning("lint-manifest-unused", remap::BytePlace{given.checkpoints[k], {}, {}},
                          "none of the rule files recognises it: nothing was tried on it",
                          "name only the rule file that it is for, or correct its 'recognise'");
  diagnostics.sort();
  print_findings(diagnostics, files.size(), options);
  const bool found = std::any_of(diagnostics.items().begin(), diagnostics.items().end(),
                                 [](const auto& d) { return d.severity != remap::Severity::note; });
  return found ? kFound : kDone;
}

}  // namespace cli
