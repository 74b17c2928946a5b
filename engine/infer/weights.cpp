#include "infer/weights.h"

namespace remap::infer {

const std::vector<WeightRow>& weight_rows() {
  static const std::vector<WeightRow> rows = {
      {"word_decay", &Weights::word_decay, 0, "how much less a word counts the further it is from the end",
       "data2vec-audio/source-ctc/model.pt with gaps 4"},
      {"same_leaf", &Weights::same_leaf, 0, "for a tensor whose last word is the same",
       "data2vec-audio/source/model.pt"},
      {"other_leaf", &Weights::other_leaf, 0, "against one whose last word is another", "BeitModel with gaps 5"},
      {"other_tensor", &Weights::other_tensor, 0, "against a weight that becomes a bias",
       "data2vec-audio/source/model.pt with gaps 5"},
      {"same_segment", &Weights::same_segment, 0, "for each word at the end that is spelt the same",
       "data2vec-audio/source-ctc/model.pt"},
      {"odd_layout", &Weights::odd_layout, 0, "against a transposition that no name explains, or one that is missing",
       "data2vec-audio/source-ctc/model.pt"},
      {"moved_numbers", &Weights::moved_numbers, 0, "against layers that count from another number",
       "a stack that begins at 1"},
      {"same_name", &Weights::same_name, 0, "for a key that stays as it is", "a key that stays"},
      {"fused_name", &Weights::fused_name, 0, "for a fused tensor that is called so", "step3p5_vision with gaps 17"},
      {"fused_of_as_many", &Weights::fused_of_as_many, 0, "and of as many parts as its name says",
       "Tipsv2TextModel with gaps 10"},
      {"fused_unlikely", &Weights::fused_unlikely, 0, "the same, of two parts, or of parts without a role",
       "data2vec-audio/source-ctc/model.pt"},
      {"unnamed_parts", &Weights::unnamed_parts, 0, "against parts whose words have no role",
       "flava/source/model.pt with gaps 39"},
      {"fused_same_leaf", &Weights::fused_same_leaf, 0, "for parts whose last word is that of the whole",
       "step3p5_vision with gaps 17"},
      {"fused_other_tensor", &Weights::fused_other_tensor, 0, "against weights that become a bias",
       "data2vec-audio/source/model.pt with gaps 59"},
      {"stacked_vectors", &Weights::stacked_vectors, 0, "against vectors that are",
       "flava/source/model.pt with gaps 13"},
      {"stacked_transposed", &Weights::stacked_transposed, 0, "against transposing what is stacked", "nemotron_h"},
      {"same_module", &Weights::same_module, 0, "for a tensor whose module went the same way",
       "roberta/source/model.pt"},
      {"outer_module", &Weights::outer_module, 0, "for one whose outer module did", "flava/source/model.pt"},
      {"module_distance", &Weights::module_distance, 0, "less, the further out that is", "inkling2_text"},
      {"vote_threshold", &Weights::vote_threshold, 0, "from which score on a choice says where its module went",
       "flava/source/model.pt with gaps 6"},
      {"least_vote", &Weights::least_vote, 0, "what any choice says at least", "inkling2_text"},
      {"level_change", &Weights::level_change, 1, "what it says of modules at another level",
       "roberta/source/model.pt with gaps 7"},
      {"sure_lead", &Weights::sure_lead, 0, "a smaller lead is marked", "step3p5_vision with gaps 23"},
      {"sure_lead_by_name", &Weights::sure_lead_by_name, 0, "the same for the lead that names alone give",
       "roberta/source-mnli/model.pt"},
      {"weak_score", &Weights::weak_score, 0, "a smaller score is marked", "molmo2 with gaps 9"}};
  return rows;
}

}  // namespace remap::infer
