// How alike the names of a source and a target tensor are. Private to infer.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "infer/keys.h"
#include "infer/relation.h"

namespace remap::infer {

// The words of a key in a common vocabulary: "encoder.layer.0.attention.self.query.weight" -> {encoder, layer, 0,
// attention, q, weight}.
std::vector<std::string> words_of(std::string_view key);

// The same, with what the module does where its words and those around it tell. `exists`: whether there is a key of
// this text.
std::vector<std::string> roles_of(const std::string& text, const std::function<bool(const std::string&)>& exists);
// What a word says about the part of a fused tensor that it names: q, k, v, gate, up.
std::vector<std::string> part_roles(const std::string& word);

// Prefixes of keys, with # for numbers, under which they count 0 … n-1 for some n > 1; and a key's prefix before a
// number.
std::set<std::string> counted_prefixes(const std::vector<std::string>& keys);
std::string prefix_shape(const Numbered& key, size_t column);

// 0 … 1: how much of the words of both keys is the same; those near the end count more.
double alikeness(const std::vector<std::string>& a, const std::vector<std::string>& b);

// Learns from relations that are known which modules correspond: those above their keys, up to three.
class NameGuide {
 public:
  // `suggested`: what names alone say.
  NameGuide(const Problem& problem, const std::vector<Relation>& known, const std::vector<Relation>& suggested);
  double score(Ref source, uint32_t target) const;

 private:
  using Modules = std::map<std::pair<std::string, std::string>, double>;
  double around(const std::string& source, const std::string& target) const;
  const std::vector<std::string>& words(const std::string& key) const;
  const Problem& problem_;
  std::set<std::pair<Ref, uint32_t>> suggested_;
  Modules modules_;                                 // (source, target): how often seen
  std::map<std::string, double> most_, most_back_;  // how often a module was seen with the one it fits best
  std::set<std::pair<std::string, std::string>> module_shapes_;    // parents of renamed keys, with # for numbers
  mutable std::map<std::string, std::vector<std::string>> words_;  // of keys
};

}  // namespace remap::infer
