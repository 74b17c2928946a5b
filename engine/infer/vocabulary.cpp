#include "infer/vocabulary.h"

#include <algorithm>
#include <functional>
#include <map>

namespace remap::infer {
namespace {

using Words = std::set<std::string, std::less<>>;

}  // namespace

const std::vector<std::string>* common_words(std::string_view spelling) {
  static const std::map<std::string, std::vector<std::string>, std::less<>> rows = {
      {"attn", {"attention"}},
      {"att", {"attention"}},
      {"selfattention", {"attention"}},
      {"self", {}},
      {"multihead", {}},
      {"mha", {"attention"}},
      {"crossattention", {"cross", "attention"}},
      {"encdecattention", {"cross", "attention"}},
      {"query", {"q"}},
      {"queries", {"q"}},
      {"key", {"k"}},
      {"keys", {"k"}},
      {"value", {"v"}},
      {"values", {"v"}},
      {"wq", {"q"}},
      {"wk", {"k"}},
      {"wv", {"v"}},
      {"wo", {"o"}},
      {"out", {"o"}},
      {"output", {"o"}},
      {"proj", {}},
      {"projection", {}},
      {"dense", {}},
      {"linear", {}},
      {"kernel", {"weight"}},
      {"scale", {"weight"}},
      {"gamma", {"weight"}},
      {"beta", {"bias"}},
      {"embedding", {"embed"}},
      {"embedder", {"embed"}},
      {"sentence", {}},
      {"classification", {"classifier"}},
      {"heads", {"head"}},
      {"score", {"classifier"}},
      {"ln", {"norm"}},
      {"layernorm", {"norm"}},
      {"rmsnorm", {"norm"}},
      {"embeddings", {"embed"}},
      {"embed", {"embed"}},
      {"emb", {"embed"}},
      {"wte", {"embed", "token"}},
      {"wpe", {"embed", "position"}},
      {"tokens", {"token"}},
      {"tok", {"token"}},
      {"word", {"token"}},
      {"positional", {"position"}},
      {"positions", {"position"}},
      {"pos", {"position"}},
      {"layers", {"layer"}},
      {"blocks", {"layer"}},
      {"block", {"layer"}},
      {"resblocks", {"layer"}},
      {"h", {"layer"}},
      {"ffn", {"mlp"}},
      {"ff", {"mlp"}},
      {"ffw", {"mlp"}},
      {"unembed", {"head"}},
      {"lm", {}},
      {"visual", {"vision"}},
      {"image", {"vision"}},
      {"img", {"vision"}},
      {"tower", {}},
      {"model", {}},
      {"module", {}},
      {"transformer", {}},
      {"experts", {"expert"}},
      {"router", {"gate"}},
  };
  const auto row = rows.find(spelling);
  return row == rows.end() ? nullptr : &row->second;
}

const std::vector<RoleRow>& role_rows() {
  static const std::vector<RoleRow> rows = {
      // norms inside a layer: before attention, or before the feed-forward part
      {{"norm", "layer", "input"}, {"first"}},
      {{"norm", "layer", "before"}, {"first"}},
      {{"norm", "layer", "norm1"}, {"first"}},
      {{"norm", "layer", "1"}, {"first"}},
      {{"norm", "layer", "operator"}, {"first"}},
      {{"norm", "layer", "sa"}, {"first"}},
      {{"norm", "layer", "attention", "!post", "!q", "!k", "!v", "!self", "!second"}, {"first"}},
      {{"norm", "layer", "after"}, {"second"}},
      {{"norm", "layer", "2"}, {"second"}},
      {{"norm", "layer", "mlp"}, {"second"}},
      {{"norm", "layer", "post", "attention"}, {"second"}},
      {{"norm", "layer", "final"}, {"second"}},
      {{"norm", "layer", "o", "!attention"}, {"second"}},
      {{"norm", "!layer", "f"}, {"last"}},
      {{"norm", "!layer", "final"}, {"last"}},
      {{"norm", "!layer", "post"}, {"last"}},
      {{"norm", "!layer", "pre"}, {"start"}},
      // feed-forward
      {{"fc", "mlp"}, {"up"}},
      {{"fc", "1"}, {"up", "mlp"}},
      {{"fc", "2"}, {"down", "mlp"}},
      {{"intermediate"}, {"up", "mlp"}},
      {{"layer", "o", "!attention", "!norm"}, {"down", "mlp"}},
      {{"wi"}, {"up"}},
      {{"c", "mlp", "!fc"}, {"down"}},
      {{"c", "attention"}, {"o"}},
      {{"w1"}, {"gate", "mlp"}},
      {{"w2"}, {"down", "mlp"}},
      {{"w3"}, {"up", "mlp"}},
      {{"wo", "mlp"}, {"down"}},
      {{"in", "mlp"}, {"up"}},
      {{"lin1"}, {"up", "mlp"}},
      {{"lin2"}, {"down", "mlp"}},
      {{"gamma"}, {"lambda"}},
      {{"ls"}, {"lambda"}},
  };
  return rows;
}

const std::vector<std::string>& names_after_mlp() {
  static const std::vector<std::string> names = {"post_mlp", "post_feedforward", "post_ffn", "post_moe"};
  return names;
}

std::string fused_part(const std::string& word) {
  static const std::map<std::string, std::string> parts = {{"q", "q"},   {"k", "k"},     {"v", "v"},  {"gate", "gate"},
                                                           {"up", "up"}, {"w1", "gate"}, {"w3", "up"}};
  const auto row = parts.find(word);
  return row == parts.end() ? "" : row->second;
}

const std::vector<std::vector<std::string>>& fused_orders() {
  static const std::vector<std::vector<std::string>> orders = {
      {"gate", "q", "k", "v"}, {"q", "k", "v"}, {"k", "v"}, {"gate", "up"}, {"q", "k"}};
  return orders;
}

const std::vector<std::pair<std::string, size_t>>& fused_names() {
  static const std::vector<std::pair<std::string, size_t>> names = {
      {"gqkv", 4}, {"qkv", 3},     {"in_proj", 3}, {"c_attn", 3}, {"att_proj", 3}, {"query_key_value", 3},
      {"kv", 2},   {"gate_up", 2}, {"up_gate", 2}, {"w13", 2},    {"ff_proj", 2},  {"key_value", 2},
      {"qk", 2}};
  return names;
}

bool is_tensor_of_module(const std::string& word) {
  static const Words words = {"weight", "bias", "mean", "var", "tracked"};
  return words.contains(word);
}

bool is_training_state(const std::string& word) {
  static const Words words = {"optimizer",     "optimizer_state", "optimizer_states", "last_optimizer_state",
                              "opt_state",     "state",           "extra_state",      "lr_scheduler",
                              "lr_schedulers", "loops",           "callbacks"};
  return words.contains(word);
}

bool says_rotary(const std::string& word) {
  static const Words words = {"rope", "rotary", "freqs", "freq"};
  return words.contains(word);
}

bool says_learned_positions(const std::string& word) {
  static const Words words = {"position", "rel", "relative", "relpos"};
  return words.contains(word);
}

const std::vector<std::set<std::string>>& kinds_of_words() {
  static const std::vector<std::set<std::string>> kinds = {
      {"q", "k", "v", "o", "qkv"},
      {"gate", "up", "down", "w1", "w2", "w3", "fc", "fc1", "fc2", "intermediate", "mlp"},
      {"norm"},
      {"embed"},
      {"weight", "bias"},
      {"1", "2", "3", "4", "5"},
      {"attention", "mlp"},
      {"encoder", "decoder"},
      {"text", "vision", "audio", "mm", "multimodal"}};
  return kinds;
}

const std::vector<TableName>& table_names() {
  static const std::vector<TableName> names = {
      {"attention", {"q", "query", "q_proj", "k", "key", "wq"}},
      {"mlp", {"up", "up_proj", "w1", "w2", "w3", "gate_proj", "down_proj", "fc1", "fc2"}},
      {"norms", {"norm"}, true}};
  return names;
}

bool is_checkpoint_ending(std::string_view ending) {
  static const Words endings = {".pt", ".pth", ".bin", ".pkl", ".safetensors"};
  return endings.contains(ending);
}

}  // namespace remap::infer
