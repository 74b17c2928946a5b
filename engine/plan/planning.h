// The types that carry the flow of planning. Each is made by one pass and const from then on:
//
//   PlanInput ─► choose_variants ─► Choices ─► match_keys ─► Matches ─► bind_dims ─► Dims
//             ─► find_replicas ─► Replicas ─► build_tensors ─► Targets ─► make_config ─► TargetConfig ─► check_schema
//
// make_plan.cpp is the list. A pass reports all that it finds; whether the next one runs is the list's business.
// Expressions are evaluated in one layout::CheckpointScope, which every pass that evaluates has as a parameter: it
// caches entries of 'let' and records facts about values, so that none is asked twice.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "lang/rules.h"
#include "lang/schema.h"
#include "layout/checkpoint_scope.h"
#include "remap/limits.h"
#include "remap/plan.h"

namespace remap::plan {

// What a plan is made of. It all outlives the planning, and nothing of it changes.
struct PlanInput {
  const lang::RuleSet& rules;
  const std::optional<lang::Schema>& schema;
  const std::vector<NamedSource>& sources;  // in the order of rules.sources
  const PlanOptions& options;
  const layout::KeyTable& keys;
  Limits limits;

  const TensorInfo& info(const layout::SourceKey& key) const {
    return sources[key.source].source->manifest()[key.tensor];
  }
  Place place_of_source(uint32_t source) const { return BytePlace{sources[source].source->path(), {}, {}}; }
  // Whether the user said --set name=value.
  bool chose(const std::string& name, const std::string& value) const;
  // False if a manifest stands in for a checkpoint: what it cannot tell stays open (Plan::open) and is not an error.
  bool has_data() const;
  bool stays_open(const Error& error) const { return !has_data() && error.diagnostic().id == "expression-missing"; }
};

// What the user or the checkpoint chose.
struct Choices {
  lang::VariantValues texts;  // what ${name} stands for: variants, and strings under 'let'
  std::vector<std::pair<std::string, std::string>> variants;  // as the plan lists them
  std::optional<DType> dtype;                                 // of all floating-point targets; absent: as in the source
  std::set<std::string> waived;                               // checks that the user passes
};

// Whether each rule is in force.
using ActiveRules = std::vector<bool>;

// One key that one rule matched.
struct Match {
  const layout::SourceKey* key;
  lang::Captures captures;
};

// The indices that '*' took, by source and by what stands before it.
using LayerIndices = std::map<std::pair<uint32_t, std::string>, std::set<int>>;

// Every key, with the rule that it belongs to.
struct Matches {
  std::vector<std::vector<Match>> by_rule;  // in the order of the keys
  std::vector<const layout::SourceKey*> unmatched;
  LayerIndices indices;
};

// Keys that hold what another key of the same rule holds ('replicated').
struct Replicas {
  std::set<const Match*> skipped;  // no target is made from these
  std::vector<DroppedTensor> dropped;
};

// The target tensors, in the order in which rules gave them.
struct Targets {
  std::vector<PlannedTensor> tensors;
  std::unordered_map<std::string, size_t> by_key;
};

// The floating-point dtype that most bytes of the targets have.
DType main_dtype(const std::vector<PlannedTensor>& tensors);

// "rules/x.yaml:4:5: from → to", as a note.
std::string note_of(const lang::Rule& rule);
Error too_many_tensors(const PlanInput& input, const lang::Rule& rule);
// Reports an error; one that has no place of its own is about the rule.
void add_about(const lang::Rule& rule, const Error& error, Diagnostics& diagnostics);

}  // namespace remap::plan
