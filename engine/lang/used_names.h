// The names that a rule file uses, noted while it is read and checked once all of it is known.
#pragma once

#include <set>

#include "lang/rules.h"

namespace remap::lang {

struct UsedNames {
  struct Use {
    std::string name;
    TextSpan written;  // `length` bytes from `at` of it
    size_t at, length;
  };
  std::vector<Use> in_expressions, in_patterns;  // ${name}
  std::set<std::string> dims;                    // names in shapes, and in sizes of parts

  // `holes`: names that the expression has beside those of the file.
  void note(const Expression& expression, const std::vector<std::string>& holes = {});
  void note(const KeyPattern& pattern);
  void note_dims(const Expression& expression);
};

// A name must be a dim of some shape, an entry of 'let', a variant, a source or 'meta'. Those that are none are errors,
// or, with `leave_unknown`, left to the planner in `set`.
void check_names(const UsedNames& names, bool leave_unknown, RuleSet& set, Diagnostics& diagnostics);

}  // namespace remap::lang
