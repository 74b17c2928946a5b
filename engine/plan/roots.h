// Where a checkpoint's keys lie: below the root that the rules name, or below another prefix, as what a wrapper such as
// DistributedDataParallel puts before them.
#pragma once

#include "lang/rules.h"
#include "layout/checkpoint_scope.h"

namespace remap::plan {

// Other prefixes below which the first source's keys are those that the rules recognise. Empty if they are below the
// rules' own root, or the rules do not say what they recognise.
struct OtherRoots {
  std::optional<std::string> all;  // nothing else lies beside it: it can stand for the rules' root
  std::vector<std::string> parts;  // otherwise: other keys lie beside each, and the user has to choose
};
OtherRoots other_roots(const lang::RuleSet& rules, const NamedSource& source);

// The keys below the root that the user chose (--set root=PREFIX), else the rules' own, else the only other one that
// holds all keys.
struct RootedKeys {
  layout::KeyTable keys;
  std::optional<std::string> root;  // if it is not the rules' own
};
// Reports what layout::KeyTable reports, and roots among which the user has to choose.
RootedKeys keys_below_root(const lang::RuleSet& rules, const std::vector<NamedSource>& sources,
                           const PlanOptions& options, Diagnostics& diagnostics);

}  // namespace remap::plan
