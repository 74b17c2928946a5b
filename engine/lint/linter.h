// The parts of lint(), and what they share.
#pragma once

#include <functional>
#include <set>

#include "layout/key_table.h"
#include "lint/automaton.h"
#include "lint/satisfiability.h"
#include "plan/load_rules.h"
#include "remap/lint.h"

namespace remap::linting {

struct Linter {
  const Rules::Impl& impl;
  const LintOptions& options;
  Diagnostics& diagnostics;
  const lang::RuleSet& set = impl.set;
  lang::YamlNode root = {};  // of the rule file
  Conditions conditions = Conditions(impl.set.let);
};

// So many states of two patterns are looked at together, at most, before lint says that it cannot tell.
inline constexpr size_t kMaxStepsAPair = 400'000;

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

// So many bytes are an anchor at the beginning of an expression, and at its end.
std::pair<size_t, size_t> anchors_of(std::string_view expression);

// The keys of one example of a source, below its root, spellings normalised.
std::vector<std::string> keys_of(const lang::RuleSet& set, const NamedSource& manifest, Diagnostics& diagnostics);

}  // namespace remap::linting
