// What is legal in a rule file, and probably not what its author meant.
//
// Rules::load() reports what is wrong; lint() reports what is wrong or suspicious in rules that load: alone, and, where
// manifests are given, against the keys of real checkpoints. What make_plan() refuses is an error here, too: the plans
// are made, and what the planner says is passed on. Other findings are warnings, and notes on what is good to know.
// None of them needs tensor data.
#pragma once

#include <string>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/plan.h"
#include "remap/source.h"

namespace remap {

// The sources of one checkpoint, and what the user says beside them: what make_plan() takes.
struct LintCase {
  std::vector<NamedSource> sources;
  PlanOptions options;
};

struct LintOptions {
  // Each an example of the source it names ("" is the first); several may have one name. Sources the rules do not know
  // are left aside.
  std::vector<NamedSource> manifests;
  // Planned one after another. What the planner finds in several of them is reported once, with the first of them in
  // its notes.
  std::vector<LintCase> cases;
  // Further rule files: a manifest that these rules and others recognise is ambiguous.
  std::vector<Rules> others;
  bool reverse = false;  // notes on what running the plan backwards does not restore
};
void lint(const Rules& rules, const LintOptions& options, Diagnostics& diagnostics);

// What mend() made of a rule file.
struct MendedRules {
  std::string text;                // laid out as format_rules() does, comments kept; what it was if nothing was mended
  std::vector<Diagnostic> mended;  // what lint() no longer finds, in order, at its places in the file as it was
};
// Mends what lint() finds in the rules alone and what can be mended for certain: in words other than these the file
// says what it said. It is parsed again, and the cases are planned again with the same result; throws Error "internal"
// if one is not, and whatever format_rules() refuses. Writes nothing.
MendedRules mend(const Rules& rules, const std::vector<LintCase>& cases);

// The ids of the findings that mend() knows.
std::vector<std::string_view> findings_with_a_mend();

// What a file is by its first section: rules (remap), a target schema (remap_schema), a forward pass (remap_model).
enum class RuleFileKind { rules, schema, model, other };
RuleFileKind rule_file_kind(const std::string& path, const Limits& limits = {});

// Reports the mistakes of a schema, or of what is YAML in a forward pass.
void lint_schema(const std::string& path, Diagnostics& diagnostics, const Limits& limits = {});

}  // namespace remap
