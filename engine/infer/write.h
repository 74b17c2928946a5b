// Rules between patterns as the text of a rule file. Private to infer.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "infer/pattern_rule.h"
#include "remap/infer.h"

namespace remap::infer {

struct Written {
  std::string text;
  size_t rules = 0, marked = 0;
  // What each rule is for, in the order of the text.
  struct Origin {
    std::vector<size_t> relations;
    std::optional<uint32_t> made;  // the target of a fill or a copy
  };
  std::vector<Origin> origins;
};

// `notes`: comment lines for the end of the rules. `dtype`: of all floating-point targets, if the rules do not say it
// one by one.
Written write_rules(const Problem& problem, const Findings& findings, const std::vector<PatternRule>& rules,
                    const Roots& roots, std::optional<DType> dtype, const std::vector<std::string>& notes,
                    const InferOptions& options);

}  // namespace remap::infer
