// Why did no rule match this key? Compares the key with every rule's pattern segment by segment.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "lang/pattern.h"

namespace remap::plan {

struct NearRule {
  const lang::KeyPattern* pattern;
  const TextPlace* place;
  const lang::Expression* inactive = nullptr;  // the condition that is false; nullptr for a rule that is in force
  bool unused = false;                         // no key matches it: perhaps its pattern is what is wrong
  bool needed = false;                         // unused, and no other rule gives its targets
};

// What `rules` and `variants` refer to outlives this. Const and thread-safe.
class NearMisses {
 public:
  NearMisses(std::vector<NearRule> rules, const lang::VariantValues& variants);
  ~NearMisses();
  NearMisses(const NearMisses&) = delete;

  struct Near {
    std::vector<std::string>
        notes;  // one or two lines about the rules that came nearest, and the first place where each failed
    const NearRule* unused =
        nullptr;  // the rule that was meant for the key, by all that can be told; its pattern fails at `place`
    TextPlace place = {};
  };
  // Nothing if nothing came near.
  Near explain(const std::string& key) const;

 private:
  struct Pattern;
  struct Miss;
  Miss compare(const std::vector<std::string>& key, const Pattern& pattern) const;

  std::vector<NearRule> rules_;
  const lang::VariantValues& variants_;
  std::vector<Pattern> patterns_;
  std::set<int> good_blocks_;  // lines of a 'within' through which keys come to rules
};

}  // namespace remap::plan
