// Why a key is what it is: through which rule and captures, why its dims have their sizes; or which rules came near.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "remap/plan.h"

namespace remap {

// One way through the rules that the key takes part in.
struct ExplainedRule {
  TextPlace place;
  std::string summary;         // "from → to"
  std::string source, target;  // keys; source is "" for a constant, target for what is dropped
  std::string what;            // "F32 [32,64] ← a.b.weight.T", or why it is dropped
  std::vector<std::pair<std::string, std::string>> captures;  // "*" -> "3"
  std::vector<std::string>
      dims;  // "axis 0 of the source is 32: hidden, which is 32 by axis 1 of 'embed' (rules.yaml:5)"
};

struct Explanation {
  std::string key;
  bool is_source = false, is_target = false;
  std::vector<ExplainedRule> rules;  // the first few
  size_t n_more = 0;
  std::vector<std::string> near;  // if it is neither: similar keys, rules that came near and where they failed
};

// `plan` is null if the rules make none for these sources; then only patterns are looked at.
Explanation explain(const Rules& rules, const std::vector<NamedSource>& sources, const PlanOptions& options,
                    const Plan* plan, const std::string& key);

// The same of many keys, in their order; what does not depend on the key is made once.
std::vector<Explanation> explain(const Rules& rules, const std::vector<NamedSource>& sources,
                                 const PlanOptions& options, const Plan* plan, const std::vector<std::string>& keys);

}  // namespace remap
