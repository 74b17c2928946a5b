// A verifier that can fail: changes that names, shapes and even a plan cannot tell, and at which layer the forward pass
// shows them.
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>

#include <fmt/format.h>

#include "plan/load_rules.h"
#include "remap/compare.h"
#include "remap/document.h"
#include "remap/execute.h"
#include "remap/values.h"
#include "remap/verify.h"
#include "support/catch.h"
#include "support/exchanged.h"
#include "support/memory_sink.h"
#include "support/memory_source.h"

using namespace remap;
using namespace remap::test;

namespace {

const std::string kData = REMAP_TEST_DATA;

struct Input {
  std::string rules;
  std::vector<std::pair<std::string, std::string>> files;  // name, path below tests/data
  std::string config;
  std::map<std::string, std::string> documents = {};  // paths by name
  std::map<std::string, std::string> set = {};
};

// A conversion in memory, to be changed before it is verified.
struct Conversion {
  std::vector<std::unique_ptr<Source>> sources;
  std::vector<NamedSource> named;
  std::shared_ptr<Rules::Impl> rules;
  PlanOptions options;
  std::optional<Plan> plan;
  std::vector<MemoryTensor> tensors;
  Json config;

  explicit Conversion(const Input& input) {
    Diagnostics diagnostics;
    const auto loaded = Rules::load(std::string(REMAP_SOURCE_DIR) + "/rules/" + input.rules + ".yaml", diagnostics);
    for (const auto& d : diagnostics.items()) UNSCOPED_INFO(d.message);
    REQUIRE(loaded);
    for (const auto& [name, path] : input.files) {
      sources.push_back(open_source(kData + path, loaded->open_options(sources.size())));
      named.push_back({name, sources.back().get()});
    }
    rules = std::make_shared<Rules::Impl>(loaded->impl());
    options.same = tensors_equal;
    options.values = remap::tensor_values;
    for (const auto& [name, path] : input.documents) options.documents[name] = read_document(kData + path, "json");
    options.set = input.set;
    if (!input.config.empty()) options.config = read_document(kData + input.config, "json");
  }

  void convert() {
    Diagnostics diagnostics;
    plan = make_plan(Rules::of(rules), named, options, diagnostics);
    for (const auto& d : diagnostics.items()) UNSCOPED_INFO(d.message);
    REQUIRE(plan);
    MemorySink sink(plan->tensors);
    std::vector<const Source*> list;
    for (const auto& source : sources) list.push_back(source.get());
    execute(plan->tensors, list, sink);
    const auto bytes = sink.all();
    for (size_t i = 0; i < plan->tensors.size(); ++i)
      tensors.push_back({plan->tensors[i].key, plan->tensors[i].dtype, plan->tensors[i].shape, bytes[i]});
    config = plan->config;
  }

  MemoryTensor& at(const std::string& key) {
    const auto it = std::find_if(tensors.begin(), tensors.end(), [&](const MemoryTensor& t) { return t.key == key; });
    INFO(key);
    REQUIRE(it != tensors.end());
    return *it;
  }
  VerifyReport verify() const {
    const MemorySource target(tensors);
    VerifyOptions verify_options;
    verify_options.config = options.config;
    verify_options.documents = options.documents;
    return remap::verify(Rules::of(rules), *plan, named, target, config, verify_options);
  }
};

using Change = std::function<void(Conversion&)>;

// Of the rules: the plan follows them, so only the forward pass can tell.
Change exchange_in_map(const std::string& map, size_t a, size_t b) {
  return [=](Conversion& c) {
    lang::Table& table = c.rules->set.tables.at(map);
    table = test::exchanged(table, a, b);
  };
}
lang::Rule& rule_from(Conversion& c, const std::string& from) {
  const auto it = std::find_if(c.rules->set.rules.begin(), c.rules->set.rules.end(),
                               [&](const lang::Rule& r) { return r.from.text == from; });
  INFO(from);
  REQUIRE(it != c.rules->set.rules.end());
  return *it;
}
Change exchange_rules(const std::string& a, const std::string& b) {
  return [=](Conversion& c) {
    for (const char* part : {".weight", ".bias"}) std::swap(rule_from(c, a + part).to, rule_from(c, b + part).to);
  };
}
Change exchange_targets(const std::string& a, const std::string& b) {
  return [=](Conversion& c) { std::swap(rule_from(c, a).to, rule_from(c, b).to); };
}
Change without_steps(const std::string& from) {
  return [=](Conversion& c) { rule_from(c, from).steps.clear(); };
}
// The rule's first step, a reshape, to another shape.
Change reshape_to(const std::string& from, const std::vector<std::string>& shape) {
  return [=](Conversion& c) {
    lang::LayoutStep& step = rule_from(c, from).steps.front();
    REQUIRE(step.shape.size() == shape.size());
    Diagnostics diagnostics;
    for (size_t d = 0; d < shape.size(); ++d)
      step.shape[d].expression = lang::parse_expression(shape[d], {c.rules->set.text, {}, 0}, diagnostics);
    REQUIRE(diagnostics.items().empty());
  };
}
// Of the output.
Change exchange(const std::string& a, const std::string& b) {
  return [=](Conversion& c) { std::swap(c.at(a).bytes, c.at(b).bytes); };
}
Change transpose_square(const std::string& key) {
  return [=](Conversion& c) {
    MemoryTensor& t = c.at(key);
    REQUIRE(t.shape.size() == 2);
    REQUIRE(t.shape[0] == t.shape[1]);
    const auto n = static_cast<size_t>(t.shape[0]);
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < i; ++j)
        std::swap_ranges(t.bytes.begin() + static_cast<std::ptrdiff_t>(4 * (i * n + j)),
                         t.bytes.begin() + static_cast<std::ptrdiff_t>(4 * (i * n + j) + 4),
                         t.bytes.begin() + static_cast<std::ptrdiff_t>(4 * (j * n + i)));
  };
}
Change set_config(const std::string& field, const Json& value) {
  return [=](Conversion& c) {
    const size_t dot = field.find('.');
    if (dot == std::string::npos)
      c.config[field] = value;
    else
      c.config[field.substr(0, dot)][field.substr(dot + 1)] = value;
  };
}

struct Mutant {
  const char* name;
  bool of_rules;
  Change change;
};

const Input kRoberta = {"roberta", {{"", "/roberta/source/model.pt"}}, ""};
const Input kXmod = {"xmod", {{"", "/xmod/source/model.pt"}}, ""};
const Input kAudio = {"data2vec-audio", {{"", "/data2vec-audio/source-ctc/model.pt"}}, ""};
const Input kFlava = {"flava",
                      {{"", "/flava/source/model.pt"}, {"codebook", "/flava/source/encoder.pkl"}},
                      "/flava/source/config_input.json"};
const Input kLlama = {"llama",
                      {{"", "/llama/llama31-two-shards/source"}},
                      "",
                      {{"params", "/llama/llama31-two-shards/source/params.json"}}};
const Input kLlama1 = {"llama",
                       {{"", "/llama/two-shards/source/13B"}},
                       "",
                       {{"params", "/llama/two-shards/source/13B/params.json"}},
                       {{"version", "1"}}};
const Input kSwitch = {"switch", {{"", "/switch/source/checkpoint_1200"}}, ""};
const Input kWav2vec = {"wav2vec2", {{"", "/wav2vec2/source-large/model.2020.pt"}}, ""};
const Input kBart = {"bart", {{"", "/bart/source/model.2019f.pt"}}, ""};
const Input kWhisper = {"whisper", {{"", "/whisper/model.pt"}}, ""};
const Input kMixtral = {"mixtral", {{"", "/mixtral/source"}}, "", {{"params", "/mixtral/source/params.json"}}};
const Input kClip = {"clip",
                     {{"", "/clip/source-openclip/open_clip_pytorch_model.bin"}},
                     "",
                     {{"open_clip", "/clip/source-openclip/open_clip_config.json"}}};
const Input kT5 = {"t5", {{"", "/t5/t5_1_1/source/checkpoint_1100000"}}, ""};

const std::string kQ = "{rank}/layers.*.attention.wq.weight", kK = "{rank}/layers.*.attention.wk.weight";

const std::vector<std::pair<Input, std::vector<Mutant>>>& mutants() {
  static const std::vector<std::pair<Input, std::vector<Mutant>>> rows = {
      {kRoberta,
       {{"unchanged", false, [](Conversion&) {}},
        {"rules: query and key exchanged", true, exchange_in_map("qkv", 0, 1)},
        {"rules: query and value exchanged", true, exchange_in_map("qkv", 0, 2)},
        {"rules: key and value exchanged", true, exchange_in_map("qkv", 1, 2)},
        {"rules: the two norms of a layer exchanged", true,
         exchange_rules("encoder.sentence_encoder.layers.*.self_attn_layer_norm",
                        "encoder.sentence_encoder.layers.*.final_layer_norm")},
        {"layers exchanged: query of 0 and 1", false,
         exchange("roberta.encoder.layer.0.attention.self.query.weight",
                  "roberta.encoder.layer.1.attention.self.query.weight")},
        {"a square matrix transposed", false,
         transpose_square("roberta.encoder.layer.1.attention.output.dense.weight")},
        {"weight and bias of a norm exchanged", false,
         exchange("roberta.embeddings.LayerNorm.weight", "roberta.embeddings.LayerNorm.bias")},
        {"heads 2 instead of 4", false, set_config("num_attention_heads", 2)},
        {"eps 0.1", false, set_config("layer_norm_eps", 0.1)},
        {"relu instead of gelu", false, set_config("hidden_act", "relu")}}},
      {kXmod,
       {{"unchanged", false, [](Conversion&) {}},
        {"rules: query and key exchanged", true, exchange_in_map("qkv", 0, 1)},
        {"adapters of two languages exchanged", false,
         exchange("roberta.encoder.layer.1.output.adapter_modules.de_DE.dense1.weight",
                  "roberta.encoder.layer.1.output.adapter_modules.sw_KE.dense1.weight")},
        {"languages in another order", false,
         [](Conversion& c) {
           std::swap(c.config["languages"][0], c.config["languages"][1]);
           std::swap(c.at("roberta.encoder.layer.0.output.adapter_modules.en_XX.dense2.weight").bytes,
                     c.at("roberta.encoder.layer.0.output.adapter_modules.de_DE.dense2.weight").bytes);
         }},
        {"the residual taken before the norm", false, set_config("ln_before_adapter", false)},
        {"no norm before the adapter", false, set_config("adapter_reuse_layer_norm", false)}}},
      {kAudio,
       {{"unchanged", false, [](Conversion&) {}},
        {"rules: the two norms of a layer exchanged", true,
         exchange_rules("encoder.layers.*.self_attn_layer_norm", "encoder.layers.*.final_layer_norm")},
        {"q and v of a layer exchanged", false,
         exchange("data2vec_audio.encoder.layers.0.attention.q_proj.weight",
                  "data2vec_audio.encoder.layers.0.attention.v_proj.weight")},
        {"convolutions 1 and 2 exchanged", false,
         exchange("data2vec_audio.feature_extractor.conv_layers.1.conv.weight",
                  "data2vec_audio.feature_extractor.conv_layers.2.conv.weight")},
        {"positional convolutions exchanged", false,
         exchange("data2vec_audio.encoder.pos_conv_embed.layers.0.conv.weight",
                  "data2vec_audio.encoder.pos_conv_embed.layers.1.conv.weight")},
        {"the head transposed", false, transpose_square("lm_head.weight")},
        {"heads 8 instead of 4", false, set_config("num_attention_heads", 8)}}},
      {kFlava,
       {{"unchanged", false, [](Conversion&) {}},
        {"rules: text heads exchanged", true, exchange_in_map("heads", 0, 1)},
        {"rules: image heads exchanged", true, exchange_in_map("heads", 2, 3)},
        {"norms before and after exchanged", false,
         exchange("flava.text_model.encoder.layer.0.layernorm_before.weight",
                  "flava.text_model.encoder.layer.0.layernorm_after.weight")},
        {"text and image encoders' value exchanged", false,
         exchange("flava.text_model.encoder.layer.1.attention.attention.value.weight",
                  "flava.image_model.encoder.layer.1.attention.attention.value.weight")},
        {"codebook convolutions exchanged", false,
         exchange("image_codebook.blocks.group_1.group.block_2.res_path.path.conv_2.weight",
                  "image_codebook.blocks.group_1.group.block_2.res_path.path.conv_3.weight")},
        {"heads of the multimodal encoder", false, set_config("multimodal_config.num_attention_heads", 4)}}},
      {kLlama,
       {{"unchanged", false, [](Conversion&) {}},
        {"rules: k permuted by the number of q's heads", true,
         reshape_to(kK, {"heads/ranks", "head*kv_heads/heads/2", "2", "hidden"})},
        {"rules: q permuted by the number of k's heads", true,
         reshape_to(kQ, {"kv_heads/ranks", "head*heads/kv_heads/2", "2", "hidden"})},
        {"rules: k not permuted", true, without_steps(kK)},
        {"rules: q not permuted", true, without_steps(kQ)},
        {"rules: k and v exchanged", true, exchange_targets(kK, "{rank}/layers.*.attention.wv.weight")},
        {"rules: q and o exchanged", true, exchange_targets(kQ, "{rank}/layers.*.attention.wo.weight")},
        {"rules: w1 and w3 exchanged", true, exchange_in_map("gates", 0, 1)},
        {"rules: the two norms of a layer exchanged", true,
         exchange_targets("{rank}/layers.*.attention_norm.weight", "{rank}/layers.*.ffn_norm.weight")},
        {"layers exchanged: down of 0 and 1", false,
         exchange("model.layers.0.mlp.down_proj.weight", "model.layers.1.mlp.down_proj.weight")},
        {"output and embedding exchanged", false, exchange("lm_head.weight", "model.embed_tokens.weight")},
        {"theta 10000 instead of 500000", false, set_config("rope_theta", 10000.0)},
        {"frequencies scaled by 32 instead of 8", false, set_config("rope_scaling.factor", 32.0)},
        {"frequencies not scaled", false, set_config("rope_scaling", nullptr)},
        {"eps 0.01", false, set_config("rms_norm_eps", 0.01)},
        {"gelu instead of silu", false, set_config("hidden_act", "gelu")}}},
      {kLlama1,
       {{"unchanged", false, [](Conversion&) {}},
        {"rules: q and k exchanged", true, exchange_targets(kQ, kK)},
        {"rules: k and v exchanged", true, exchange_targets(kK, "{rank}/layers.*.attention.wv.weight")},
        {"layers exchanged: q of 0 and 1", false,
         exchange("model.layers.0.self_attn.q_proj.weight", "model.layers.1.self_attn.q_proj.weight")}}},
      {kSwitch,
       {{"unchanged", false, [](Conversion&) {}},
        {"rules: q and k exchanged", true, exchange_in_map("qkv", 0, 1)},
        {"rules: k and v exchanged", true, exchange_in_map("qkv", 1, 2)},
        {"experts exchanged", false,
         exchange("encoder.block.1.layer.1.mlp.experts.expert_0.wi.weight",
                  "encoder.block.1.layer.1.mlp.experts.expert_3.wi.weight")},
        {"experts of two layers exchanged", false,
         exchange("encoder.block.1.layer.1.mlp.experts.expert_1.wo.weight",
                  "encoder.block.3.layer.1.mlp.experts.expert_1.wo.weight")},
        {"norms of a decoder block exchanged", false,
         exchange("decoder.block.1.layer.0.layer_norm.weight", "decoder.block.1.layer.1.layer_norm.weight")},
        {"self- and cross-attention exchanged", false,
         exchange("decoder.block.0.layer.0.SelfAttention.o.weight",
                  "decoder.block.0.layer.1.EncDecAttention.o.weight")}}},
      {kWav2vec,
       {{"unchanged", false, [](Conversion&) {}},
        {"the two norms of a layer exchanged", false,
         exchange("wav2vec2.encoder.layers.0.layer_norm.weight", "wav2vec2.encoder.layers.0.final_layer_norm.weight")},
        {"q and v of a layer exchanged", false,
         exchange("wav2vec2.encoder.layers.1.attention.q_proj.weight",
                  "wav2vec2.encoder.layers.1.attention.v_proj.weight")},
        {"post-norm instead of pre-norm", false, set_config("do_stable_layer_norm", false)},
        {"relu behind the convolutions", false, set_config("feat_extract_activation", "relu")},
        {"heads 4 instead of 5", false, set_config("num_attention_heads", 4)},
        {"quantizer and encoder projected by each other", false, exchange("project_hid.bias", "project_q.bias")}}},
      {kBart,
       {{"unchanged", false, [](Conversion&) {}},
        {"self- and cross-attention exchanged", false,
         exchange("model.decoder.layers.0.self_attn.v_proj.weight",
                  "model.decoder.layers.0.encoder_attn.v_proj.weight")},
        {"positions of encoder and decoder exchanged", false,
         exchange("model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight")},
        {"the embedding scaled", false, set_config("scale_embedding", true)},
        {"heads of the decoder 4 instead of 2", false, set_config("decoder_attention_heads", 4)}}},
      {kWhisper,
       {{"unchanged", false, [](Conversion&) {}},
        {"query of self- and cross-attention exchanged", false,
         exchange("model.decoder.layers.0.self_attn.q_proj.weight",
                  "model.decoder.layers.0.encoder_attn.q_proj.weight")},
        {"heads of the decoder 1 instead of 2", false, set_config("decoder_attention_heads", 1)}}},
      {kMixtral,
       {{"unchanged", false, [](Conversion&) {}},
        {"two experts exchanged", false,
         exchange("model.layers.0.block_sparse_moe.experts.0.w1.weight",
                  "model.layers.0.block_sparse_moe.experts.1.w1.weight")},
        {"w1 and w3 exchanged", false,
         exchange("model.layers.1.block_sparse_moe.experts.0.w1.weight",
                  "model.layers.1.block_sparse_moe.experts.0.w3.weight")},
        {"one expert a token", false, set_config("num_experts_per_tok", 1)},
        {"rules: k not permuted", true, without_steps("{file}/layers.*.attention.wk.weight")}}},
      {kClip,
       {{"unchanged", false, [](Conversion&) {}},
        {"the two norms of the images exchanged", false,
         exchange("vision_model.pre_layrnorm.weight", "vision_model.post_layernorm.weight")},
        {"quick_gelu instead of gelu", false,
         [](Conversion& c) { c.config["text_config"]["hidden_act"] = "quick_gelu"; }},
        {"heads of the text 4 instead of 5", false, set_config("text_config.num_attention_heads", 4)}}},
      {kT5,
       {{"unchanged", false, [](Conversion&) {}},
        {"gate and value of a layer exchanged", false,
         exchange("encoder.block.0.layer.1.DenseReluDense.wi_0.weight",
                  "encoder.block.0.layer.1.DenseReluDense.wi_1.weight")},
        {"silu instead of gelu", false, set_config("dense_act_fn", "silu")},
        {"positions of encoder and decoder exchanged", false,
         exchange("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                  "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight")}}},
  };
  return rows;
}

}  // namespace

TEST_CASE("every mutant is caught, at the layer where it is, and the cause is named where it can be") {
  std::string found;
  for (const auto& [input, list] : mutants()) {
    found += input.rules + "\n";
    for (const Mutant& mutant : list) {
      CAPTURE(input.rules, mutant.name);
      Conversion conversion(input);
      if (mutant.of_rules) mutant.change(conversion);
      conversion.convert();
      if (!mutant.of_rules) mutant.change(conversion);
      const VerifyReport report = conversion.verify();
      const bool unchanged = mutant.name == std::string("unchanged");
      CHECK(report.passed == unchanged);
      CHECK(report.first_divergence.has_value() == !unchanged);
      // The masked heads of the original FLAVA and of transformers have layer norms of different eps; Mixtral's values
      // are as large as 50.
      const double close = input.rules == "flava" ? 1e-3 : input.rules == "mixtral" ? 1e-4 : 2e-5;
      if (unchanged) CHECK(report.max_absolute_diff <= close);
      // The plan follows the rules: bytes cannot tell a mutant of the rules.
      if (mutant.of_rules)
        for (const auto& tensor : report.tensors) CHECK(tensor.fault.empty());
      found +=
          fmt::format("  {}: {}\n", mutant.name,
                      report.first_divergence ? "first at " + report.layers[*report.first_divergence].name : "agrees");
      if (!report.cause.empty()) found += "    " + report.cause + "\n";
    }
  }
  const std::string path = std::string(REMAP_SOURCE_DIR) + "/tests/mutants/verify.txt";
  if (std::getenv("REMAP_UPDATE") != nullptr) std::ofstream(path) << found;
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  CHECK(found == text.str());
}
