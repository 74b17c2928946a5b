// A rule in the rule language, its keys as text and its further fields ready. Private to infer.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "infer/pattern_rule.h"
#include "infer/shared_names.h"

namespace remap::infer {

struct TextRule {
  enum class Kind { move, drop, fill, copy } kind = Kind::move;
  uint32_t source = 0;
  std::string from, to;
  std::string rest;  // further fields: ", split: …"
  std::vector<std::string> except, checks, open;
  std::string order;              // the first of its source keys
  std::vector<size_t> relations;  // what it is for
  std::optional<uint32_t> made;   // the target of a fill or a copy
};

// `stars`: variables that are written as *.
TextRule text_rule(const PatternRule& rule, const std::set<size_t>& stars, const Problem& problem,
                   const Findings& findings, const Roots& roots, SharedNames& shared);
TextRule fill_rule(const Problem& problem, const Findings::Fill& fill);
TextRule copy_rule(const Problem& problem, const Findings::Copy& copy);

}  // namespace remap::infer
