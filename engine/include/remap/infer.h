// Proposes a rule file from two checkpoints of one model, or from their manifests: what would `remap` have to be told
// to make the target out of the sources?
//
// Where both sides have values, what holds the same elements belongs together: renamed, cast, permuted, cut, joined.
// Where values do not decide (constants, duplicates, manifests), names and shapes do. Then keys are generalised to
// patterns. The proposal is planned, and what the plan would write is compared with the target: a rule that the planner
// refuses is made simpler, or left out. The text always parses; what is not certain is marked in it: "# check: …" above
// a rule, "# open: …" for what has none or is wrong. Memory is bounded by hashes and samples of the tensors, not by
// their bytes. The same inputs give the same text.
#pragma once

#include <string>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/plan.h"
#include "remap/progress.h"
#include "remap/source.h"

namespace remap {

struct InferOptions {
  std::string family;                                   // of the rule file; a name
  std::string file = "rules.yaml";                      // what the text will be called, in messages
  std::string schema = "../schemas/rules.schema.json";  // of the first line, for editors
  ProgressFunction progress = {};  // counted in bytes of tensors, from the beginning for each time they are read
};

struct InferredRules {
  std::string text;        // the rule file
  size_t rules = 0;        // in it, as a person counts them
  size_t targets = 0;      // tensors of the target
  size_t reproduced = 0;   // of these: given by the plan with this dtype and shape, and, where known, these values
  size_t marked = 0;       // rules with "# check"
  bool by_values = false;  // both sides had values
  std::vector<std::string> open_targets;  // keys that no rule gives, or gives wrongly
  std::vector<std::string> open_sources;  // keys dropped since nothing in the target holds their values
  std::vector<std::string> unexpected;    // keys that the rules give and the target does not have
  bool holds() const { return open_targets.empty() && open_sources.empty() && unexpected.empty(); }
};

// The first source has no name. Throws Error if reading fails, or if a file became another one meanwhile. What the
// planner still has against the text is in `diagnostics`.
InferredRules infer_rules(const std::vector<NamedSource>& sources, const Source& target, const InferOptions& options,
                          Diagnostics& diagnostics);

struct InferredSchema {
  std::string text;                      // the schema file
  size_t lines = 0, marked = 0;          // of tensors; places with "# check"
  std::vector<std::string> differences;  // keys that it demands and the target does not have in this shape, or lacks
};

// A first target schema from a converted checkpoint: its tensors in terms of the fields of the config.json that lies
// beside them (metadata "config"), layers as loops, words that differ merged. The text is proved: with this config.json
// it demands the tensors of the target and no other. `file`: what it will be called, in messages.
InferredSchema infer_schema(const Source& target, const std::string& file);

}  // namespace remap
