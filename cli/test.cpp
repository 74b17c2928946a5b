#include <algorithm>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "cli/cases.h"
#include "cli/inputs.h"
#include "cli/line_diff.h"
#include "cli/progress.h"
#include "cli/write_file.h"
#include "remap/lint.h"
#include "remap/report.h"

namespace cli {
namespace fs = std::filesystem;
namespace {

std::optional<std::string> read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The plan, or why there is none: refusing is a result that a reviewer wants to see, too.
std::string snapshot(const PlanCase& one) {
  remap::Diagnostics diagnostics;
  try {
    if (const auto planned = open_and_plan(one.options, diagnostics)) return remap::render_snapshot(planned->plan);
  } catch (const remap::Error& e) {
    diagnostics.add(e.diagnostic());
  }
  std::string text = kNoPlan;
  const std::string path = one.options.inputs.front(), name = fs::path(path).filename().string();
  for (const auto& finding : remap::fold_findings(diagnostics)) {
    std::string message =
        finding.first.message;  // without the folder, which is another one wherever the test is run from
    if (const size_t at = message.find(path); at != std::string::npos) message.replace(at, path.size(), name);
    text += fmt::format("{}[{}]: {}\n", remap::to_string(finding.first.severity), finding.first.id, message);
    if (!finding.others.empty()) text += fmt::format("  {}\n", finding.others);
  }
  return text;
}

struct Outcome {
  std::string name, result;  // "the same", "updated", "new"; else it is a failure
  bool passed = false;
  Lines changed;
};

Outcome check(const PlanCase& one, bool update) {
  const std::string found = snapshot(one);
  const auto expected = read(one.expected);
  Outcome outcome{one.options.inputs.front(), "the same", expected == found, {}};
  if (outcome.passed) return outcome;
  const bool lost = found.starts_with(kNoPlan);  // then why is all that matters
  outcome.changed = changes(lost ? Lines{} : lines_of(expected.value_or("")), lines_of(found));
  if (update) {
    write_file(one.expected, found, Existing::replace);
    outcome.result = expected ? "updated" : "new";
    outcome.passed = true;
  } else if (!expected) {
    outcome.result = "has no expected plan";
    outcome.changed.clear();
  } else {
    outcome.result = "differs";
  }
  return outcome;
}

}  // namespace

int test(const Options& options) {
  constexpr size_t kShown = 40;
  Progress progress(options.quiet, "planning");
  std::vector<Outcome> outcomes;
  std::vector<std::string> without;  // rule files that have no manifests
  for (const auto& file : rule_files(options.inputs.empty() ? std::vector<std::string>{"rules"} : options.inputs)) {
    if (remap::rule_file_kind(file) != remap::RuleFileKind::rules) continue;
    const auto cases = committed_cases(file, options);
    if (cases.empty()) without.push_back(file);
    for (const auto& one : cases) outcomes.push_back(check(one, options.update));
  }
  if (outcomes.empty())
    throw remap::Error("usage", {}, "there are no manifests to plan",
                       "remap inspect CHECKPOINT --format folded > rules/tests/RULES/NAME.json");
  progress.end();
  const auto failed =
      static_cast<size_t>(std::count_if(outcomes.begin(), outcomes.end(), [](const Outcome& o) { return !o.passed; }));
  if (options.output_format() == Format::json) {
    remap::Json json = {
        {"remap_test", 1}, {"passed", outcomes.size() - failed}, {"failed", failed}, {"cases", remap::Json::array()}};
    for (const auto& o : outcomes)
      json["cases"].push_back({{"case", o.name}, {"passed", o.passed}, {"result", o.result}, {"changed", o.changed}});
    fmt::print("{}", remap::json_file_text(json));
    return failed == 0 ? kDone : kFound;
  }
  for (const auto& o : outcomes) {
    fmt::print("{}{}: {}\n", o.passed ? "" : "FAILED ", o.name, o.result);
    for (size_t i = 0; i < std::min(o.changed.size(), kShown); ++i) fmt::print("  {}\n", o.changed[i]);
    if (o.changed.size() > kShown) fmt::print("  … and {} lines more\n", o.changed.size() - kShown);
  }
  for (const auto& file : without) fmt::print("{}: has no manifests\n", file);
  fmt::print("{} passed, {} failed\n", outcomes.size() - failed, failed);
  if (failed > 0) fmt::print("if the new plans are right: remap test --update, and commit them with the rules\n");
  return failed == 0 ? kDone : kFound;
}

}  // namespace cli
