// How alike the names of a source and a target tensor are. Private to infer.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "infer/relation.h"

namespace remap::infer {

// The words of a key in a common vocabulary: "encoder.layer.0.attention.self.query.weight" -> {encoder, layer, 0, attention, q, weight}.
std::vector<std::string> words_of(std::string_view key);

// 0 … 1: how much of the words of both keys is the same; those near the end count more.
double alikeness(const std::vector<std::string>& a, const std::vector<std::string>& b);

// Learns from relations that are known which modules correspond.
class NameGuide {
 public:
  NameGuide(const Problem& problem, const std::vector<Relation>& known);
  double score(Ref source, uint32_t target) const;

 private:
  const Problem& problem_;
  std::set<std::pair<std::string, std::string>> modules_, module_shapes_;  // (source, target): parents of renamed keys; with # for numbers
};

}  // namespace remap::infer
