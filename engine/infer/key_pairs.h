// Relations between tensors as pairs of keys, with tokens where an operation has its parts. Private to infer.
#pragma once

#include <set>
#include <vector>

#include "infer/pattern_rule.h"

namespace remap::infer {

struct KeyPair {
  KeyForm source, target;
  size_t operation = 0;  // in Operations
  size_t relation = 0;   // in Findings
};

// The different operations, by number. Number 0 is the plain rename.
class Operations {
 public:
  size_t number_of(Operation operation);
  const Operation& operator[](size_t number) const { return list_[number]; }

 private:
  std::vector<Operation> list_ = {Operation()};
};

// nullopt: no pattern can say it.
std::optional<KeyPair> pair_of(const Problem& problem, const Findings& findings, const Roots& roots, size_t relation,
                               Operations& operations);

// Of one source. Relations that have no pair, or that are `out`, or share a source tensor with such a one, are added to
// `left`.
std::vector<KeyPair> pairs_of(const Problem& problem, const Findings& findings, const Roots& roots, uint32_t source,
                              const std::set<size_t>& out, Operations& operations, std::vector<size_t>& left);

}  // namespace remap::infer
