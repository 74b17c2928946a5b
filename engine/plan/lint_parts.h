// The parts of lint(), and what they share.
#pragma once

#include <functional>
#include <set>

#include "lang/automaton.h"
#include "lang/conditions.h"
#include "plan/keys.h"
#include "plan/rules_file.h"
#include "remap/lint.h"

namespace remap::plan {

struct Linter {
  const Rules::Impl& impl;
  const LintOptions& options;
  Diagnostics& diagnostics;
  const lang::RuleSet& set = impl.set;
  lang::YamlNode root = {};  // of the rule file
  lang::Conditions conditions = lang::Conditions(impl.set.let);
};

// Every expression of the file, in the order of its sections.
void visit_expressions(const lang::RuleSet& set, const std::function<void(const lang::Expression&)>& visitor);
// Every pattern of the file, those inside expressions among them.
void visit_patterns(const lang::RuleSet& set, const std::function<void(const lang::KeyPattern&)>& visitor);

inline bool takes_keys(const lang::Rule& rule) {
  return rule.kind == lang::Rule::Kind::move || rule.kind == lang::Rule::Kind::drop;
}

void lint_plans(Linter& linter);        // what the planner refuses in one of the cases
void lint_refused(Linter& linter);      // what it will refuse whatever the checkpoint
void lint_expressions(Linter& linter);  // expressions of 're:', and texts that look like one
void lint_names(Linter& linter);        // dims, let, maps, variants, holes that nothing binds or uses
void lint_conditions(Linter& linter);   // conditions that cannot hold, values that a variant cannot have
void lint_overlaps(Linter& linter);     // two rules that can match one key
void lint_manifests(Linter& linter);    // rules, alternatives and entries that no manifest takes; ambiguous families
void lint_config(Linter& linter);       // what config.json will lack
void lint_reverse(Linter& linter);      // what running backwards does not restore

// The keys of one example of a source, below its root, spellings normalised.
std::vector<std::string> keys_of(const lang::RuleSet& set, const NamedSource& manifest, Diagnostics& diagnostics);

}  // namespace remap::plan
