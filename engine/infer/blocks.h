// Rules as lines of a rule file, those with prefixes in common below a `within`. Private to infer.
#pragma once

#include <string>
#include <vector>

#include "infer/text_rule.h"

namespace remap::infer {

struct RuleLines {
  std::string text;
  std::vector<size_t> order;  // of the rules in it
};
RuleLines rule_lines(const std::vector<TextRule>& rules, const std::vector<NamedSource>& sources);

}  // namespace remap::infer
