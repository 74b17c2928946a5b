// Every rule of every rule file left out, given twice, and exchanged with every other one: planning has to catch it
// with some bundled checkpoint of the family, or one changed as the test says. What names and shapes cannot tell is
// listed in tests/mutants.
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "plan/load_rules.h"
#include "remap/compare.h"
#include "remap/document.h"
#include "remap/values.h"
#include "support/catch.h"
#include "support/checkpoint.h"
#include "support/exchanged.h"

using namespace remap;
using namespace remap::test;

namespace {

const std::string kData = REMAP_TEST_DATA;

// What one plan is made from.
struct Input {
  std::vector<std::shared_ptr<const Source>> sources;  // the first has no name
  std::vector<std::string> names = {""};
  PlanOptions options;
};

Input input(std::shared_ptr<const Source> source) {
  Input in;
  in.sources = {std::move(source)};
  in.options.same = tensors_equal;
  in.options.values = remap::tensor_values;
  return in;
}
Input input(const std::string& path) { return input(std::shared_ptr<const Source>(open_source(kData + path))); }
Input input(const Checkpoint& checkpoint) {
  return input(std::make_shared<MemorySource>(checkpoint.tensors, checkpoint.metadata));
}

Input input(const Checkpoint& checkpoint, const std::map<std::string, std::string>& set) {
  Input in = input(checkpoint);
  in.options.set = set;
  return in;
}

void flip_a_bit(Checkpoint& checkpoint, const std::string& key) { checkpoint.at(key).bytes[5] ^= std::byte{1}; }

std::vector<Input> roberta_inputs() {
  Checkpoint untied(kData + "/roberta/source/model.pt", "model");
  flip_a_bit(untied, "model.encoder.lm_head.weight");
  untied.add("model.classification_heads.other.dense.weight", {32, 32});
  return {input("/roberta/source/model.pt"), input("/roberta/source-mnli/model.pt"),
          input("/roberta/source/model.2019.pt"), input("/xlmr/source/model.0122.pt"),
          input(untied, {{"head", "mlm"}})};
}

std::vector<Input> xmod_inputs() {
  Checkpoint untied(kData + "/xmod/source/model.pt", "model"), pre_norm = untied;
  flip_a_bit(untied, "model.encoder.lm_head.weight");
  untied.add("model.classification_heads.other.dense.weight", {24, 24});
  untied.add("model.encoder.sentence_encoder.layers.0.fc1_weight", {64, 24});  // fairseq 0.12.2
  Json& args = pre_norm.metadata["cfg"]["model"];
  args["encoder_normalize_before"] = args["adapter_layer_norm"] = true;
  for (const char* part : {"weight", "bias"}) {
    pre_norm.add(std::string("model.encoder.sentence_encoder.layer_norm.") + part, {24});
    for (int layer = 0; layer < 2; ++layer)
      pre_norm.add(fmt::format("model.encoder.sentence_encoder.layers.{}.adapter_layer_norm.{}", layer, part), {24});
  }
  return {input("/xmod/source/model.pt"), input("/xmod/source-mnli/model.pt"), input(untied, {{"head", "mlm"}}),
          input(pre_norm)};
}

std::vector<Input> audio_inputs() {
  Checkpoint with_bias(kData + "/data2vec-audio/source/model.pt", "model");
  for (int layer = 0; layer < 4; ++layer)
    with_bias.add(fmt::format("model.feature_extractor.conv_layers.{}.0.bias", layer), {16});
  return {input("/data2vec-audio/source/model.pt"), input("/data2vec-audio/source-ctc/model.pt"), input(with_bias)};
}

std::vector<Input> flava_inputs() {
  Input in = input("/flava/source/model.pt");
  in.sources.push_back(open_source(kData + "/flava/source/encoder.pkl"));
  in.names.push_back("codebook");
  in.options.config = read_document(kData + "/flava/source/config_input.json", "json");
  return {in};
}

std::vector<Input> switch_inputs() {
  Checkpoint untied(kData + "/switch/source/checkpoint_1200", "target");
  untied.add("target/decoder/logits_dense/kernel", {24, 96});
  return {input("/switch/source/checkpoint_1200"), input(untied)};
}

std::vector<Input> llama_inputs() {
  const std::string by_columns = "/llama/two-shards/source/13B", by_rows = "/llama/llama31-two-shards/source";
  Checkpoint tied(kData + by_rows, "");
  for (const std::string file : {"consolidated.00.pth/", "consolidated.01.pth/"})
    tied.at(file + "output.weight").bytes = tied.at(file + "tok_embeddings.weight").bytes;
  std::vector<Input> inputs = {input(by_columns), input(by_rows), input(tied)};
  for (Input& in : inputs) in.options.documents["params"] = read_document(kData + by_rows + "/params.json", "json");
  inputs[0].options.documents["params"] = read_document(kData + by_columns + "/params.json", "json");
  inputs[0].options.set["version"] = "1";
  return inputs;
}

std::vector<Input> speech_inputs(const std::string& pretrained, const std::string& fine_tuned) {
  std::vector<Input> inputs = {input(pretrained), input(fine_tuned)};
  const std::string letters = kData + fine_tuned.substr(0, fine_tuned.rfind('/')) + "/dict.ltr.txt";
  inputs[1].options.documents["dict"] = read_document(letters, "lines");
  return inputs;
}

// As fairseq before 0.9 saves attention, and with what the release 0.12.2 saves beside a layer.
Input fused_with_copies(const std::string& path, int64_t hidden, int64_t ffn) {
  Checkpoint other(kData + path, "model");
  const std::string layer = "model.encoder.layers.0.";
  std::erase_if(other.tensors, [&](const MemoryTensor& tensor) {
    return tensor.key.starts_with(layer + "self_attn.") && tensor.key.find("out_proj") == std::string::npos;
  });
  other.add(layer + "self_attn.in_proj_weight", {3 * hidden, hidden});
  other.add(layer + "self_attn.in_proj_bias", {3 * hidden});
  other.add(layer + "fc1_weight", {ffn, hidden});
  return input(other);
}

std::vector<Input> bart_inputs() {
  const std::string plain = "/bart/source/model.2019f.pt";
  Input none = input(plain);
  none.options.set["head"] = "none";
  return {input(plain), input("/bart/source-mnli/model.0122.pt"), none};
}

std::vector<Input> xl_inputs() {
  Checkpoint untied(kData + "/xlmr-xl/source-xl/model.0122.pt", "model");
  flip_a_bit(untied, "model.encoder.lm_head.weight");
  return {input("/xlmr-xl/source-xl/model.0122.pt"), input("/xlmr-xl/source-xl-mnli/model.pt"), input(untied)};
}

// The experts of the bundled files, apart.
std::vector<Input> mixtral_inputs() {
  Input stacked = input("/mixtral/source");
  stacked.options.documents["params"] = read_document(kData + "/mixtral/source/params.json", "json");
  Checkpoint apart(kData + "/mixtral/source", "");
  std::vector<MemoryTensor> tensors;
  for (auto& tensor : apart.tensors) {
    const size_t moe = tensor.key.find("block_sparse_moe.w");
    if (moe == std::string::npos) {
      if (const size_t gate = tensor.key.find("block_sparse_moe.gate"); gate != std::string::npos)
        tensor.key.replace(gate, 16, "feed_forward");
      tensors.push_back(tensor);
      continue;
    }
    const std::string before = tensor.key.substr(0, moe), w = tensor.key.substr(moe + 17);
    for (int e = 0; e < 4; ++e) {
      MemoryTensor one = tensor;
      one.key = fmt::format("{}feed_forward.experts.{}.{}.weight", before, e, w);
      one.shape = w == "w2" ? Shape{32, 40} : Shape{40, 32};
      const size_t size = tensor.bytes.size() / 4;
      one.bytes.assign(tensor.bytes.begin() + static_cast<std::ptrdiff_t>(e * size),
                       tensor.bytes.begin() + static_cast<std::ptrdiff_t>((e + 1) * size));
      tensors.push_back(one);
    }
  }
  apart.tensors = std::move(tensors);
  Input other = input(apart);
  other.options.documents["params"] = read_document(kData + "/mixtral/experts/params.json", "json");
  return {stacked, other};
}

// Without the optimizer's arrays, which are not there.
std::vector<Input> t5x_inputs(const std::vector<std::string>& paths) {
  std::vector<Input> inputs;
  for (const auto& path : paths) inputs.push_back(input(Checkpoint(kData + path, "target")));
  inputs.push_back(inputs.back());
  inputs.back().options.set["part"] = "encoder";
  return inputs;
}

// TensorFlow checkpoints with their settings, each once as it is.
std::vector<Input> tensorflow_inputs(const std::vector<std::string>& paths, const std::string& settings) {
  std::vector<Input> inputs;
  for (const auto& path : paths) {
    inputs.push_back(input(path));
    if (!settings.empty())
      inputs.back().options.documents["settings"] = read_document(kData + path + "/" + settings, "json");
  }
  return inputs;
}

std::vector<Input> bert_inputs() {
  std::vector<Input> inputs =
      tensorflow_inputs({"/bert/pretraining/source", "/bert/sharded/source"}, "bert_config.json");
  const Input trained = inputs.front();
  for (const char* head : {"mlm", "next-sentence", "none"}) {
    inputs.push_back(trained);
    inputs.back().options.set["head"] = head;
  }
  Checkpoint heads(kData + "/bert/pretraining/source", "");
  heads.add("output_weights", {2, 32});
  heads.add("output_bias", {2});
  heads.add("cls/squad/output_weights", {2, 32});
  heads.add("cls/squad/output_bias", {2});
  for (const char* head : {"classifier", "tokens", "squad", "mlm"}) {
    inputs.push_back(input(heads, {{"head", head}}));
    inputs.back().options.documents = trained.options.documents;
  }
  return inputs;
}

std::vector<Input> bert_tf2_inputs() {
  auto inputs = tensorflow_inputs({"/bert/tf2/source"}, "bert_config.json");
  Checkpoint model(kData + "/bert/tf2/source",
                   "");  // saved as the root of the graph: the optimizer stands beside layers
  for (auto& tensor : model.tensors)
    if (tensor.key.starts_with("model/")) tensor.key.erase(0, 6);
  inputs.push_back(input(model));
  inputs.back().options.documents = inputs.front().options.documents;
  return inputs;
}

std::vector<Input> electra_inputs() {
  std::vector<Input> inputs;
  for (const std::string model : {"discriminator", "generator"}) {
    inputs.push_back(input("/electra/small/source"));
    inputs.back().options.set["model"] = model;
    inputs.back().options.config = read_document(kData + "/electra/small/source/config-" + model + ".json", "json");
  }
  return inputs;
}

std::vector<Input> with_choices(std::vector<Input> inputs, const std::string& name,
                                const std::vector<std::string>& values) {
  const Input first = inputs.front();
  for (const auto& value : values) {
    inputs.push_back(first);
    inputs.back().options.set[name] = value;
  }
  return inputs;
}

std::vector<Input> mesh_inputs() {
  Checkpoint released(kData + "/t5-tf/v1_0/source", "");
  released.add("decoder/block_000/layer_001/EncDecAttention/relative_attention_bias", {3, 32});
  auto inputs = tensorflow_inputs({"/t5-tf/v1_1/source", "/t5-tf/v1_0/source"}, "");
  inputs.push_back(input(released));
  return with_choices(std::move(inputs), "part", {"encoder"});
}

std::string plan_errors(const std::shared_ptr<const Rules::Impl>& impl, const Input& in) {
  std::vector<NamedSource> sources;
  for (size_t i = 0; i < in.sources.size(); ++i) sources.push_back({in.names[i], in.sources[i].get()});
  Diagnostics diagnostics;
  const auto plan = make_plan(Rules::of(impl), sources, in.options, diagnostics);
  return plan ? "" : diagnostics.items().front().message;
}

// Rules that one line of the file stands for ('linear' is two).
using Group = std::vector<size_t>;

std::vector<Group> groups_of(const std::vector<lang::Rule>& rules) {
  std::vector<Group> groups;
  for (size_t r = 0; r < rules.size(); ++r) {
    const bool same =
        r > 0 && rules[r].place.line == rules[r - 1].place.line && rules[r].place.column == rules[r - 1].place.column;
    if (!same) groups.emplace_back();
    groups.back().push_back(r);
  }
  return groups;
}

bool has_target(const lang::Rule& rule) { return rule.kind != lang::Rule::Kind::drop; }

// Both rules of a group end in ".weight" and ".bias": the module's name says enough.
std::string name_of(const std::vector<lang::Rule>& rules, const Group& group) {
  std::string name = rules[group.front()].from.text;
  if (group.size() == 2 && name.ends_with(".weight")) name.erase(name.size() - 7);
  return name.empty() ? rules[group.front()].summary : name;
}

class Family {
 public:
  Family(const std::string& name, std::vector<Input> inputs) : inputs_(std::move(inputs)) {
    Diagnostics diagnostics;
    const auto rules = Rules::load(std::string(REMAP_SOURCE_DIR) + "/rules/" + name + ".yaml", diagnostics);
    REQUIRE(rules);
    original_ = std::make_shared<Rules::Impl>(rules->impl());
    for (const Input& in : inputs_) REQUIRE(plan_errors(original_, in) == "");
  }

  std::string survivors() {
    const auto& rules = original_->set.rules;
    const auto groups = groups_of(rules);
    std::string text;
    size_t exchanged = 0;
    for (const Group& group : groups) {
      if (survives([&](auto& set) {
            set.rules.erase(set.rules.begin() + static_cast<std::ptrdiff_t>(group.front()),
                            set.rules.begin() + static_cast<std::ptrdiff_t>(group.back()) + 1);
          }))
        text += "left out: " + name_of(rules, group) + "\n";
      if (survives([&](auto& set) {
            for (const size_t r : group) set.rules.push_back(set.rules[r]);
          }))
        text += "twice: " + name_of(rules, group) + "\n";
    }
    for (size_t a = 0; a < groups.size(); ++a)
      for (size_t b = a + 1; b < groups.size(); ++b) {
        if (groups[a].size() != groups[b].size() || !has_target(rules[groups[a][0]]) ||
            !has_target(rules[groups[b][0]]))
          continue;
        ++exchanged;
        if (exchange_survives(groups[a], groups[b]))
          text += fmt::format("exchanged: {} and {}\n", name_of(rules, groups[a]), name_of(rules, groups[b]));
      }
    for (const auto& [name, table] : original_->set.tables) {
      const std::vector<std::pair<std::string, std::string>> entries(table.begin(), table.end());
      for (size_t a = 0; a < entries.size(); ++a)
        for (size_t b = a + 1; b < entries.size(); ++b)
          if (survives([&, &n = name](auto& set) { set.tables.at(n) = test::exchanged(set.tables.at(n), a, b); }))
            text += fmt::format("exchanged: {} and {} in maps.{}\n", entries[a].second, entries[b].second, name);
    }
    return fmt::format(
               "{} rules left out, given twice, and {} pairs exchanged. Planning catches all but these; only comparing "
               "outputs can:\n\n",
               groups.size(), exchanged) +
           text;
  }

 private:
  // No checkpoint shows the change.
  template <typename Change>
  bool survives(Change change) const {
    auto mutant = std::make_shared<Rules::Impl>(*original_);
    change(mutant->set);
    return std::all_of(inputs_.begin(), inputs_.end(),
                       [&](const Input& in) { return plan_errors(mutant, in).empty(); });
  }

  bool exchange_survives(const Group& a, const Group& b) const {
    const auto& set = original_->set;
    // An exchange that the parser would refuse is caught before any checkpoint is read.
    Diagnostics diagnostics;
    const auto fits = [&](const lang::Rule& rule, const lang::Rule& other) {
      std::vector<std::string> extra;
      if (rule.split) extra.push_back(rule.split->hole);
      lang::check_expansion(other.to, rule.from, extra, set.tables, diagnostics);
    };
    for (size_t i = 0; i < a.size(); ++i) {
      fits(set.rules[a[i]], set.rules[b[i]]);
      fits(set.rules[b[i]], set.rules[a[i]]);
    }
    if (diagnostics.has_errors()) return false;
    return survives([&](auto& mutant) {
      for (size_t i = 0; i < a.size(); ++i) std::swap(mutant.rules[a[i]].to, mutant.rules[b[i]].to);
    });
  }

  std::vector<Input> inputs_;
  std::shared_ptr<Rules::Impl> original_;
};

std::string read(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void check(const std::string& name, std::vector<Input> inputs) {
  const std::string found = Family(name, std::move(inputs)).survivors();
  const std::string path = std::string(REMAP_SOURCE_DIR) + "/tests/mutants/" + name + ".txt";
  if (std::getenv("REMAP_UPDATE") != nullptr) std::ofstream(path) << found;
  CHECK(found == read(path));
  CHECK(found.find("left out:") == std::string::npos);
  CHECK(found.find("twice:") == std::string::npos);
}

}  // namespace

TEST_CASE("mutants of roberta.yaml") { check("roberta", roberta_inputs()); }
TEST_CASE("mutants of xmod.yaml") { check("xmod", xmod_inputs()); }
TEST_CASE("mutants of data2vec-audio.yaml") { check("data2vec-audio", audio_inputs()); }
TEST_CASE("mutants of flava.yaml") { check("flava", flava_inputs()); }
TEST_CASE("mutants of llama.yaml") { check("llama", llama_inputs()); }
TEST_CASE("mutants of switch.yaml") { check("switch", switch_inputs()); }
TEST_CASE("mutants of wav2vec2.yaml") {
  check("wav2vec2", speech_inputs("/wav2vec2/source-large/model.2020.pt", "/wav2vec2/source-base-ctc/model.2020.pt"));
}
TEST_CASE("mutants of hubert.yaml") {
  auto inputs = speech_inputs("/hubert/source-base/model.fp16.pt", "/hubert/source-base-ctc/model.legacy.pt");
  Checkpoint with_bias(kData + "/hubert/source-base/model.fp16.pt", "model");
  for (int layer = 0; layer < 4; ++layer)
    with_bias.add(fmt::format("model.feature_extractor.conv_layers.{}.0.bias", layer), {16});
  inputs.push_back(input(with_bias));
  check("hubert", inputs);
}
TEST_CASE("mutants of bart.yaml") { check("bart", bart_inputs()); }
TEST_CASE("mutants of mbart.yaml") {
  const std::string path = "/mbart/source-ft/model.args.pt";
  check("mbart", {input("/mbart/source/model.2019f.pt"), input(path), fused_with_copies(path, 16, 24)});
}
TEST_CASE("mutants of m2m100.yaml") {
  const std::string path = "/m2m100/source/model.args.pt";
  check("m2m100", {input(path), fused_with_copies(path, 16, 24)});
}
TEST_CASE("mutants of xlmr-xl.yaml") { check("xlmr-xl", xl_inputs()); }
TEST_CASE("mutants of whisper.yaml") { check("whisper", {input("/whisper/model.pt")}); }
TEST_CASE("mutants of mixtral.yaml") { check("mixtral", mixtral_inputs()); }
TEST_CASE("mutants of mistral.yaml") {
  Input dense = input("/mistral/source");
  dense.options.documents["params"] = read_document(kData + "/mistral/source/params.json", "json");
  check("mistral", {dense});
}
TEST_CASE("mutants of xlmr.yaml") { check("xlmr", roberta_inputs()); }
TEST_CASE("mutants of clip.yaml") {
  const std::string path = kData + "/clip/source-openclip/open_clip_pytorch_model.bin";
  Checkpoint traced(path, "");
  traced.add("context_length", {});
  traced.add("attn_mask", {12, 12});
  std::vector<Input> inputs = {input("/clip/source-openclip/open_clip_pytorch_model.bin"), input(traced)};
  for (Input& in : inputs)
    in.options.documents["open_clip"] = read_document(kData + "/clip/source-openclip/open_clip_config.json", "json");
  check("clip", inputs);
}
TEST_CASE("mutants of t5.yaml") {
  check("t5", t5x_inputs({"/t5/t5_1_0/source/checkpoint_1000", "/t5/t5_1_1/source/checkpoint_1100000"}));
}
TEST_CASE("mutants of umt5.yaml") { check("umt5", t5x_inputs({"/t5/umt5/source/checkpoint_1000000"})); }
TEST_CASE("mutants of bert.yaml") { check("bert", bert_inputs()); }
TEST_CASE("mutants of bert-tf2.yaml") { check("bert-tf2", bert_tf2_inputs()); }
TEST_CASE("mutants of electra.yaml") { check("electra", electra_inputs()); }
TEST_CASE("mutants of albert.yaml") {
  check("albert",
        with_choices(tensorflow_inputs({"/albert/v1/source"}, "albert_config.json"), "head", {"mlm", "none"}));
}
TEST_CASE("mutants of t5-mesh.yaml") { check("t5-mesh", mesh_inputs()); }
