// What templates may become: shapes and numbers must fit exactly, names make the score. Private to infer.
#pragma once

#include <string>
#include <vector>

#include "infer/key_template.h"
#include "infer/weights.h"

namespace remap::infer {

// Relates templates as Relation does tensors.
struct Hypothesis {
  static constexpr int kWhole = -1;
  Relation::Kind kind = Relation::Kind::rename;
  std::vector<size_t> sources, targets;  // templates; parts in order
  int axis = 0;
  size_t column = 0;       // the number that is stacked or cut
  std::vector<int> order;  // a permutation
  int cut = kWhole;        // of a tensor in several files: the axis of the target along which these are joined
  double base = 0;         // what the own names and shapes say
  double score = 0;        // and what is known of the modules around
  std::vector<std::string> checks;
  bool is_rename() const { return kind == Relation::Kind::rename; }
};

std::vector<Hypothesis> hypotheses_of(const Templates& templates, const Weights& weights);

// The parts of it, each on its own.
std::vector<Hypothesis> rename_hypotheses(const Templates& templates, const Weights& weights);
std::vector<Hypothesis> stack_hypotheses(const Templates& templates, const Weights& weights);
std::vector<Hypothesis> fused_hypotheses(const Templates& templates, const Weights& weights);

// Whether the name of a whole says that it is fused: of so many parts, or of others.
enum class FusedName { none, of_others, of_as_many };
FusedName fused_name(const std::string& text, size_t parts);

}  // namespace remap::infer
