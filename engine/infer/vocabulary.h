// The field's words: how the parts of models are called, and what names say. All of infer's knowledge of names stands
// here, as data: a new spelling is a row. Private to infer.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace remap::infer {

// The common words for a spelling: "wte" -> {embed, token}, "proj" -> {}; nullptr: the word stands for itself.
const std::vector<std::string>* common_words(std::string_view spelling);

// Where the words alone do not say what a module does, those around it do.
struct RoleRow {
  std::vector<std::string> words;  // all must be there, in any order; ! for one that must not
  std::vector<std::string> roles;  // what they say
};
const std::vector<RoleRow>& role_rows();

// Three matrices w1, w2, w3 are gate, down, up; where there is no w3, w1 is up.
inline constexpr std::string_view kFirstMatrix = "w1", kThirdMatrix = "w3";
// Beside a norm "post_attention_layernorm" one of these: both follow their part, and the one of attention comes first.
inline constexpr std::string_view kAfterAttention = "post_att", kEndOfNorm = "_layer";
const std::vector<std::string>& names_after_mlp();

// The part of a fused tensor that a word names: q, k, v, gate or up; "": none.
std::string fused_part(const std::string& word);
// Those parts, in the order in which they stand in a fused tensor.
const std::vector<std::vector<std::string>>& fused_orders();
// Names of fused tensors, and of how many parts.
const std::vector<std::pair<std::string, size_t>>& fused_names();

// weight, bias, running_mean …: what the tensors of one module are called.
bool is_tensor_of_module(const std::string& word);
// A "kernel" is [in, out], a matrix called "weight" [out, in].
inline constexpr std::string_view kKernel = "kernel", kWeight = "weight", kBias = "bias";
inline constexpr std::string_view kNorm = "norm", kQuery = "q", kKey = "k";

// What trainers keep beside the model, by the first word of its keys.
bool is_training_state(const std::string& word);
// Words of keys that say how positions come in: turned into q and k, or learned.
bool says_rotary(const std::string& word);
bool says_learned_positions(const std::string& word);

// Words of one kind: a table from some to others is worth reading.
const std::vector<std::set<std::string>>& kinds_of_words();
// What a table is called that has one of these spellings in it.
struct TableName {
  std::string name;
  std::vector<std::string> spellings;
  bool within = false;  // a part of a word is enough
};
const std::vector<TableName>& table_names();

// ".pt" …: how files of a checkpoint end.
bool is_checkpoint_ending(std::string_view ending);

}  // namespace remap::infer
