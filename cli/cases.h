// The committed cases of a rule file: manifests, and the plans they are expected to give.
//   rules/mine.yaml
//   rules/tests/mine/base.json           a manifest (or .tsv)
//   rules/tests/mine/base.plan           the expected plan
//   rules/tests/mine/base+set.json       choices: {"head": "mnli"}
//   rules/tests/mine/base+config.json    what --config says
//   rules/tests/mine/base+NAME.json      a further source, NAME=…
#pragma once

#include "cli/command.h"

namespace cli {

struct PlanCase {
  std::string name;      // "base"
  Options options;       // rules, inputs, set, config
  std::string expected;  // the .plan file, there or not
};

// Sorted by name; none if there is no such folder. Throws remap::Error for a choice file that is not right, a sidecar
// or a .plan without a manifest.
std::vector<PlanCase> committed_cases(const std::string& rule_file, const Options& options);

// Whether the expected plan is that there is none: the checkpoint is one that the rules refuse on purpose.
bool expects_refusal(const PlanCase& one);
inline constexpr const char* kNoPlan = "no plan:\n";  // how such a .plan begins

}  // namespace cli
