// What is legal in a rule file, and probably not what its author meant.
//
// Rules::load() reports what is wrong; lint() reports, as warnings, what is suspicious in rules that load: alone, and, where manifests
// are given, against the keys of real checkpoints. Notes say what is good to know. No finding needs tensor data.
#pragma once

#include <string>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/plan.h"
#include "remap/source.h"

namespace remap {

struct LintOptions {
  // Each an example of the source it names ("" is the first); several may have one name. Sources the rules do not know are left aside.
  std::vector<NamedSource> manifests;
  // Further rule files: a manifest that these rules and others recognise is ambiguous.
  std::vector<Rules> others;
  bool reverse = false;  // notes on what running the plan backwards does not restore
};
void lint(const Rules& rules, const LintOptions& options, Diagnostics& diagnostics);

// What a file is by its first section: rules (remap), a target schema (remap_schema), a forward pass (remap_model).
enum class RuleFileKind { rules, schema, model, other };
RuleFileKind rule_file_kind(const std::string& path);

// Reports the mistakes of a schema, or of what is YAML in a forward pass.
void lint_schema(const std::string& path, Diagnostics& diagnostics);

}  // namespace remap
