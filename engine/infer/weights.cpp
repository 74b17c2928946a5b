#include "infer/weights.h"

namespace remap::infer {

const std::vector<WeightRow>& weight_rows() {
  static const std::vector<WeightRow> rows = {
      {"word_decay", &Weights::word_decay, 0, "how much less a word counts the further it is from the end"},
      {"same_leaf", &Weights::same_leaf, 0, "for a tensor whose last word is the same"},
      {"other_leaf", &Weights::other_leaf, 0, "against one whose last word is another"},
      {"other_tensor", &Weights::other_tensor, 0, "against a weight that becomes a bias"},
      {"same_segment", &Weights::same_segment, 0, "for each word at the end that is spelt the same"},
      {"odd_layout", &Weights::odd_layout, 0, "against a transposition that no name explains, or one that is missing"},
      {"moved_numbers", &Weights::moved_numbers, 0, "against layers that count from another number"},
      {"same_name", &Weights::same_name, 0, "for a key that stays as it is"},
      {"fused_name", &Weights::fused_name, 0, "for a fused tensor whose name says so"},
      {"fused_of_as_many", &Weights::fused_of_as_many, 0, "for one that has as many parts as its name says"},
      {"fused_unlikely", &Weights::fused_unlikely, 0,
       "against a fused tensor of two parts, or of parts without a role, whose name does not say so"},
      {"unnamed_parts", &Weights::unnamed_parts, 0, "against fused parts whose words have no role"},
      {"fused_same_leaf", &Weights::fused_same_leaf, 0, "for fused parts whose last word is that of the whole"},
      {"fused_other_tensor", &Weights::fused_other_tensor, 0, "against fused weights that become a bias"},
      {"stacked_vectors", &Weights::stacked_vectors, 0, "against stacking vectors by a number"},
      {"stacked_transposed", &Weights::stacked_transposed, 0, "against transposing what is stacked"},
      {"same_module", &Weights::same_module, 0, "for a tensor whose module went the same way"},
      {"outer_module", &Weights::outer_module, 0, "for a tensor whose outer module went the same way"},
      {"module_distance", &Weights::module_distance, 0, "how much less that counts for each level further out"},
      {"vote_threshold", &Weights::vote_threshold, 0, "from which score on a choice says where its module went"},
      {"least_vote", &Weights::least_vote, 0, "what any choice at least says about where its module went"},
      {"level_change", &Weights::level_change, 1, "how much less that counts between modules at different levels"},
      {"sure_lead", &Weights::sure_lead, 0, "a smaller lead is marked"},
      {"sure_lead_by_name", &Weights::sure_lead_by_name, 0, "a smaller lead is marked, where names alone give it"},
      {"weak_score", &Weights::weak_score, 0, "a smaller score is marked"}};
  return rows;
}

}  // namespace remap::infer
