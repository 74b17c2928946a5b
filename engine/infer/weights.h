// How much each sign counts when names and shapes are matched. Private to infer.
#pragma once

#include <string_view>
#include <vector>

namespace remap::infer {

struct Weights {
  // How alike two keys are: 0 … 1 for their words, and more or less for these.
  double word_decay = 0.3;
  double same_leaf = 0.1, other_leaf = 0.1, other_tensor = 0.8;
  double same_segment = 0.12;
  // A tensor that goes as it is.
  double odd_layout = 0.25, moved_numbers = 0.4, same_name = 3;
  // Parts of a fused tensor.
  double fused_name = 0.2, fused_of_as_many = 0.5;
  double fused_unlikely = 0.4, unnamed_parts = 0.1;
  double fused_same_leaf = 0.2, fused_other_tensor = 0.8;
  // Numbered tensors that are stacked.
  double stacked_vectors = 0.3, stacked_transposed = 0.1;
  // What the choice of one round says about the modules around the chosen tensors.
  double same_module = 0.8, outer_module = 0.6, module_distance = 0.05;
  double vote_threshold = 0.4, least_vote = 0.05, level_change = 0.5;
  // What is doubtful.
  double sure_lead = 0.3, sure_lead_by_name = 0.12, weak_score = 0.55;
};

// One for each of them. tests/unit/infer_weights_test.cpp says which pair needs it, and shows what gets worse without.
struct WeightRow {
  std::string_view name;
  double Weights::*weight;
  double neutral;  // the value with which it decides nothing
  std::string_view decides;
};
const std::vector<WeightRow>& weight_rows();

}  // namespace remap::infer
