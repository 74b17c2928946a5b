// Which of several source tensors a target is, as names tell once some relations are certain. Private to infer.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "infer/key_form.h"
#include "infer/relation.h"

namespace remap::infer {

// Learns from relations that are known which modules correspond: those above their keys, up to three.
class NameGuide {
 public:
  // `suggested`: what names alone say.
  NameGuide(const Problem& problem, const std::vector<Relation>& known, const std::vector<Relation>& suggested);
  double score(Ref source, uint32_t target) const;

 private:
  // A module by its path; or all in one module whose names end with the same number.
  struct Module {
    std::string path, number;
    auto operator<=>(const Module&) const = default;
  };
  static std::vector<Module> modules_above(const std::string& key);
  double around(const std::string& source, const std::string& target) const;
  const std::vector<std::string>& words(const std::string& key) const;
  const Problem& problem_;
  std::set<std::pair<Ref, uint32_t>> suggested_;
  std::map<std::pair<Module, Module>, double> modules_;  // (source, target): how often seen
  std::map<Module, double> most_, most_back_;            // how often a module was seen with the one it fits best
  std::set<std::pair<KeyForm, KeyForm>> module_shapes_;  // parents of renamed keys, but for their numbers
  mutable std::map<std::string, std::vector<std::string>> words_;  // of keys
};

}  // namespace remap::infer
