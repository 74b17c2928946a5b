// From relations between tensors to rules between patterns of keys. Private to infer.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "infer/pattern_rule.h"

namespace remap::infer {

// What planning and comparing an earlier proposal has shown, by numbers of relations.
struct Lessons {
  std::set<size_t> alone;              // a rule of their own, without variables
  std::set<size_t> out;                // no rule
  std::map<size_t, std::string> open;  // what is wrong with a relation whose rule stays
};

struct GeneralRules {
  std::vector<PatternRule> rules;
  std::vector<size_t> left;  // relations that no pattern can say
};

// The rules for all relations, and for the open sources rules that drop them.
GeneralRules generalise(const Problem& problem, const Findings& findings, const Roots& roots, const Lessons& lessons);

}  // namespace remap::infer
