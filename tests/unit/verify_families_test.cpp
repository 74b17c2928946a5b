// The forward passes of further families against what the original libraries and transformers recorded: the source's
// over the original tensors, the target's over what the rules make of them.
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>

#include <fmt/format.h>

#include "remap/compare.h"
#include "remap/document.h"
#include "remap/execute.h"
#include "remap/values.h"
#include "support/catch.h"
#include "support/memory_sink.h"
#include "support/memory_source.h"
#include "support/model_file.h"
#include "support/source_values.h"
#include "verify/forward.h"

using namespace remap;
using namespace remap::forward;

namespace {

const std::string kData = REMAP_TEST_DATA "/", kRoot = REMAP_SOURCE_DIR "/";
// Where values are as large as 50, the libraries differ by more than that from each other (tests/data/mixtral).
double tolerance_of(const std::vector<float>& recorded) {
  double largest = 0;
  for (const float value : recorded) largest = std::max(largest, static_cast<double>(std::abs(value)));
  return std::max(2e-5, 1e-5 * largest);
}

// Recorded inputs and activations: the first axis counts samples.
class Recorded {
 public:
  explicit Recorded(const std::string& path) : source_(open_source(kData + path)) {}
  bool has(const std::string& key) const { return source_->manifest().find(key) != Manifest::npos; }
  Shape shape(const std::string& key) const { return info(key).shape; }
  int64_t samples(const std::string& key) const { return info(key).shape[0]; }
  std::vector<int64_t> integers(const std::string& key, int64_t row) const {
    const auto bytes = test::tensor_bytes(*source_, key);
    const bool wide = info(key).dtype == DType::i64;
    const size_t size = wide ? 8 : 4, n = bytes.size() / size / static_cast<size_t>(samples(key));
    std::vector<int64_t> values(n);
    for (size_t i = 0; i < n; ++i) {
      const std::byte* at = bytes.data() + (static_cast<size_t>(row) * n + i) * size;
      int32_t narrow = 0;
      if (wide)
        std::memcpy(&values[i], at, 8);
      else
        std::memcpy(&narrow, at, 4), values[i] = narrow;
    }
    return values;
  }
  std::vector<float> floats(const std::string& key, int64_t row) const {
    const auto bytes = test::tensor_bytes(*source_, key);
    const size_t n = bytes.size() / 4 / static_cast<size_t>(samples(key));
    std::vector<float> values(n);
    std::memcpy(values.data(), bytes.data() + static_cast<size_t>(row) * n * 4, n * 4);
    return values;
  }

 private:
  const TensorInfo& info(const std::string& key) const {
    INFO(key);
    REQUIRE(has(key));
    return source_->manifest()[source_->manifest().find(key)];
  }
  std::unique_ptr<Source> source_;
};

// What a record is called in the file; "": it is not there.
struct RecordedAs {
  std::string name;
  bool channels_first = false;
  std::vector<int64_t> columns = {};  // of the record that were recorded; empty: all
};

struct Set {
  std::string rules, source, activations, prefix;  // prefix: of the case in the file of activations
  std::map<std::string, std::string> choices;
  std::function<Sample(const Recorded&, const std::string& prefix, int64_t row)> sample;
  std::string batch;  // an input, for the number of samples
  std::function<RecordedAs(const Recorded&, const std::string& record, bool target, int64_t layers)> names;
  size_t least;  // so many records are compared on each side
};

struct Converted {
  std::unique_ptr<Source> source;
  std::vector<NamedSource> named;
  std::unique_ptr<test::MemorySource> target;
  Json config, given = Json::object();  // of the target; of the user
  ForwardOptions options;
  std::string source_model, target_model;

  explicit Converted(const Set& set) {
    Diagnostics found;
    const auto rules = Rules::load(kRoot + "rules/" + set.rules + ".yaml", found);
    for (const auto& d : found.items()) UNSCOPED_INFO(d.message);
    REQUIRE(rules);
    source = open_source(kData + set.source, rules->open_options(0));
    named = {{"", source.get()}};
    PlanOptions plan_options;
    plan_options.same = tensors_equal;
    plan_options.values = tensor_values;
    plan_options.set = set.choices;
    if (const std::string params = kData + set.source + "/params.json"; std::ifstream(params))
      plan_options.documents["params"] = options.documents["params"] = read_document(params, "json");
    const std::string folder = set.source.substr(0, set.source.rfind('/') + 1);
    if (const std::string settings = kData + folder + "open_clip_config.json"; std::ifstream(settings))
      plan_options.documents["open_clip"] = options.documents["open_clip"] = read_document(settings, "json");
    for (const char* name : {"bert_config.json", "albert_config.json"})
      if (const std::string settings = kData + set.source + "/" + name; std::ifstream(settings))
        plan_options.documents["settings"] = options.documents["settings"] = read_document(settings, "json");
    if (const auto model = set.choices.find("model"); model != set.choices.end())
      plan_options.config = given = read_document(kData + set.source + "/config-" + model->second + ".json", "json");
    if (const std::string letters = kData + folder + "dict.ltr.txt"; std::ifstream(letters))
      plan_options.documents["dict"] = read_document(letters, "lines");
    const auto plan = make_plan(*rules, named, plan_options, found);
    for (const auto& d : found.items()) UNSCOPED_INFO(d.message);
    REQUIRE(plan);
    test::MemorySink sink(plan->tensors);
    execute(plan->tensors, {source.get()}, sink);
    std::vector<test::MemoryTensor> made;
    for (size_t i = 0; i < plan->tensors.size(); ++i)
      made.push_back({plan->tensors[i].key, plan->tensors[i].dtype, plan->tensors[i].shape, sink.bytes(i)});
    target = std::make_unique<test::MemorySource>(std::move(made));
    config = plan->config;
    std::tie(source_model, target_model) = passes_of(kRoot + "rules/" + set.rules + ".yaml");
  }

  ForwardResult run(bool of_target, const Sample& sample) const {
    if (of_target) return run_forward(test::shipped_model(target_model), {{"", target.get()}}, config, sample);
    return run_forward(test::shipped_model(source_model), named, given, sample, options);
  }

 private:
  // verify: {source: NAME, target: NAME}
  static std::pair<std::string, std::string> passes_of(const std::string& path) {
    std::ifstream file(path);
    std::string line, last;
    while (std::getline(file, line))
      if (line.starts_with("verify:")) last = line;
    const auto word = [&](const std::string& field) {
      const size_t begin = last.find(field + ": ") + field.size() + 2;
      return last.substr(begin, last.find_first_of(",}", begin) - begin);
    };
    return {word("source"), word("target")};
  }
};

double difference(const Record& computed, const std::vector<float>& recorded, const RecordedAs& as) {
  const int64_t all = computed.value.columns(), columns = as.columns.empty() ? all : std::ssize(as.columns),
                rows = std::ssize(recorded) / columns, skipped = computed.value.rows() - rows;
  REQUIRE(rows * columns == std::ssize(recorded));
  REQUIRE(skipped >= 0);
  double largest = 0;
  for (int64_t r = 0; r < rows; ++r) {
    if (!computed.keep.empty() && !computed.keep[static_cast<size_t>(r + skipped)]) continue;
    for (int64_t c = 0; c < columns; ++c) {
      const double mine = computed.value.data[(r + skipped) * all + (as.columns.empty() ? c : as.columns[c])];
      largest = std::max(
          largest, std::abs(mine - recorded[static_cast<size_t>(as.channels_first ? c * rows + r : r * columns + c)]));
    }
  }
  return largest;
}

Tensor tensor(Shape shape, const std::vector<float>& values) {
  NewTensor made(std::move(shape));
  std::copy(values.begin(), values.end(), made.data.get());
  return made;
}

int64_t number_after(const std::string& text, const std::string& prefix) {
  return text.starts_with(prefix) ? std::stoll(text.substr(prefix.size())) : -1;
}

// ---------------------------------------------------------------- inputs

Sample wave(const Recorded& recorded, const std::string& prefix, int64_t row) {
  Sample sample;
  const auto values = recorded.floats(prefix + "input_values", row);
  sample.tensors["wave"] = tensor({std::ssize(values), 1}, values);
  sample.values["wave_mask"] = std::vector<int>(values.size(), 1);
  return sample;
}

Sample tokens(const Recorded& recorded, const std::string& prefix, int64_t row) {
  Sample sample;
  for (const char* name : {"input_ids", "decoder_input_ids"})
    if (recorded.has(prefix + name)) sample.values[name] = recorded.integers(prefix + name, row);
  sample.values["mask"] = recorded.has(prefix + "attention_mask")
                              ? Json(recorded.integers(prefix + "attention_mask", row))
                              : Json(std::vector<int>(sample.values["input_ids"].size(), 1));
  if (recorded.has(prefix + "decoder_attention_mask"))
    sample.values["decoder_mask"] = recorded.integers(prefix + "decoder_attention_mask", row);
  else
    sample.values["decoder_mask"] = std::vector<int>(sample.values["decoder_input_ids"].size(), 1);
  return sample;
}

auto tokens_for(const std::string& head) {
  return [head](const Recorded& recorded, const std::string& prefix, int64_t row) {
    Sample sample = tokens(recorded, prefix, row);
    sample.values["head"] = head;
    return sample;
  };
}

// TensorFlow's sets: inputs are apart from what was recorded.
auto tensorflow_tokens(const Json& values) {
  return [values](const Recorded& recorded, const std::string&, int64_t row) {
    Sample sample = tokens(recorded, "input/", row);
    if (recorded.has("input/token_type_ids"))
      sample.values["token_type_ids"] = recorded.integers("input/token_type_ids", row);
    for (const auto& [name, value] : values.items()) sample.values[name] = value;
    return sample;
  };
}

Sample image_and_text(const Recorded& recorded, const std::string&, int64_t row) {
  Sample sample;
  const Shape shape = recorded.shape("pixel_values");
  sample.tensors["pixel_values"] = tensor({shape[1], shape[2], shape[3]}, recorded.floats("pixel_values", row));
  sample.values["input_ids"] = recorded.integers("input_ids", row);
  return sample;
}

Sample spectrum(const Recorded& recorded, const std::string& prefix, int64_t row) {
  Sample sample;
  const Shape shape = recorded.shape(prefix + "input_features");
  sample.tensors["input_features"] = tensor({shape[1], shape[2]}, recorded.floats(prefix + "input_features", row));
  sample.values["decoder_input_ids"] = recorded.integers(prefix + "decoder_input_ids", row);
  return sample;
}

// ---------------------------------------------------------------- names

// `before`: transformers calls the normalised output of the last layer its last hidden state.
auto speech_names(bool before) {
  return [before](const Recorded&, const std::string& record, bool target, int64_t layers) -> RecordedAs {
    const int64_t layer = number_after(record, "hidden."), conv = number_after(record, "conv.");
    const std::string side = target ? "hf." : "fairseq.";
    if (record == "last_hidden_state")
      return {target ? fmt::format("hf.hidden_states.{}", layers) : std::string("fairseq.x")};
    if (layer >= 0 && target) return {layer == layers && before ? "" : fmt::format("hf.hidden_states.{}", layer)};
    if (layer == 0) return {before ? "" : "fairseq.encoder_layer_norm"};
    if (layer > 0) return {fmt::format("fairseq.layers.{}", layer - 1)};
    if (conv >= 0) return {fmt::format("{}conv_layers.{}", side, conv), true};
    if (record == "features") return {side + "feature_layer_norm"};
    return {side + record, record == "pos_conv"};
  };
}

RecordedAs stack_names(const Recorded&, const std::string& record, bool target, int64_t) {
  return {(target ? "hf." : "fairseq.") + record};
}

auto whisper_names(const std::string& source) {
  return [source](const Recorded& recorded, const std::string& record, bool target, int64_t) -> RecordedAs {
    RecordedAs as{(target ? "hf." : source) + record};
    if (record == "logits")
      for (int64_t i = 0; i < recorded.samples("logit_ids"); ++i)
        as.columns.push_back(recorded.integers("logit_ids", i).front());
    return as;
  };
}

RecordedAs decoder_names(const Recorded&, const std::string& record, bool target, int64_t layers) {
  const std::string side = target ? "" : "mistral.";
  if (record == "last_hidden_state") return {target ? fmt::format("hidden_states.{}", layers) : "mistral.norm"};
  const int64_t layer = number_after(record, "hidden.");
  if (layer >= 0) return {layer == layers && target ? "" : fmt::format("{}hidden_states.{}", side, layer)};
  return {record == "logits" ? side + record : ""};
}

RecordedAs clip_names(const Recorded&, const std::string& record, bool target, int64_t) {
  return {record == "logits_per_image" ? "" : (target ? "hf." : "open_clip.") + record};  // of every image and text
}

RecordedAs t5_names(const Recorded& recorded, const std::string& record, bool target, int64_t) {
  return {!target && recorded.has("t5x/" + record) ? "t5x/" + record : record};
}

// What the original code computed, and transformers with the activation that does the same.
auto tensorflow_names(const std::string& as_original) {
  return [as_original](const Recorded&, const std::string& record, bool target, int64_t) -> RecordedAs {
    return {target ? as_original + record : "tf/" + record};
  };
}

// Mesh TensorFlow was not run: transformers alone recorded, and its last hidden state is normalised.
RecordedAs mesh_names(const Recorded& recorded, const std::string& record, bool, int64_t) {
  if (record == "decoder.logits") return {"logits"};
  const std::string stack = record.substr(0, 8);  // "encoder." or "decoder."
  int64_t last = 0;
  while (recorded.has(fmt::format("{}hidden.{}", stack, last + 1))) ++last;
  const std::string of_last = fmt::format("{}hidden.{}", stack, last);
  if (record == stack + "last_hidden_state") return {of_last};
  return {record == of_last ? "" : record};
}

RecordedAs same_names(const Recorded&, const std::string& record, bool, int64_t) { return {record}; }

const std::vector<Set>& sets() {
  static const std::vector<Set> rows = {
      {"wav2vec2",
       "wav2vec2/source-base-ctc/model.2020.pt",
       "wav2vec2/activations-base-ctc.safetensors",
       "single.",
       {},
       wave,
       "input_values",
       speech_names(false),
       3},
      {"wav2vec2",
       "wav2vec2/source-large/model.2020.pt",
       "wav2vec2/activations-large.safetensors",
       "single.",
       {{"weight_norm", "g_v"}},
       wave,
       "input_values",
       speech_names(true),
       6},
      {"hubert",
       "hubert/source-base-ctc/model.legacy.pt",
       "hubert/activations-base-ctc.safetensors",
       "single.",
       {},
       wave,
       "input_values",
       speech_names(false),
       3},
      {"bart",
       "bart/source/model.2019f.pt",
       "bart/activations.safetensors",
       "padded.",
       {},
       tokens_for("lm"),
       "input_ids",
       stack_names,
       5},
      {"bart",
       "bart/source-mnli/model.0122.pt",
       "bart/activations.safetensors",
       "mnli.sample.",
       {},
       tokens_for("mnli"),
       "input_ids",
       stack_names,
       5},
      {"mbart",
       "mbart/source/model.2019f.pt",
       "mbart/activations.safetensors",
       "padded.",
       {},
       tokens,
       "input_ids",
       stack_names,
       5},
      {"mbart",
       "mbart/source-ft/model.args.pt",
       "mbart/activations.safetensors",
       "ft.sample.",
       {},
       tokens,
       "input_ids",
       stack_names,
       5},
      {"m2m100",
       "m2m100/source/model.args.pt",
       "m2m100/activations.safetensors",
       "padded.",
       {},
       tokens,
       "input_ids",
       stack_names,
       5},
      {"xlmr-xl",
       "xlmr-xl/source-xl/model.0122.pt",
       "xlmr-xl/activations.safetensors",
       "xl.padded.",
       {},
       tokens_for("mlm"),
       "input_ids",
       stack_names,
       4},
      {"xlmr-xl",
       "xlmr-xl/source-xl-mnli/model.pt",
       "xlmr-xl/activations.safetensors",
       "xl-mnli.sample.",
       {},
       tokens_for("mnli"),
       "input_ids",
       stack_names,
       4},
      {"whisper",
       "whisper/model.pt",
       "whisper/activations-v3.safetensors",
       "short.",
       {},
       spectrum,
       "input_features",
       whisper_names("openai."),
       5},
      {"mixtral", "mixtral/source", "mixtral/activations.safetensors", "", {}, tokens, "input_ids", decoder_names, 3},
      {"clip",
       "clip/source-openclip/open_clip_pytorch_model.bin",
       "clip/activations.safetensors",
       "",
       {},
       image_and_text,
       "pixel_values",
       clip_names,
       8},
      {"mistral", "mistral/source", "mistral/activations.safetensors", "", {}, tokens, "input_ids", decoder_names, 3},
      {"t5",
       "t5/t5_1_0/source/checkpoint_1000",
       "t5/t5_1_0/activations.safetensors",
       "",
       {},
       tokens,
       "input_ids",
       t5_names,
       6},
      {"t5",
       "t5/t5_1_1/source/checkpoint_1100000",
       "t5/t5_1_1/activations.safetensors",
       "",
       {},
       tokens,
       "input_ids",
       t5_names,
       6},
      {"umt5",
       "t5/umt5/source/checkpoint_1000000",
       "t5/umt5/activations.safetensors",
       "",
       {},
       tokens,
       "input_ids",
       t5_names,
       6},
      {"bert",
       "bert/pretraining/source",
       "bert/pretraining/activations.safetensors",
       "",
       {{"gelu", "tanh"}},
       tensorflow_tokens({{"head", "pretraining"}, {"gelu", "tanh"}}),
       "input/input_ids",
       tensorflow_names("gelu_new/"),
       3},
      {"bert",
       "bert/pretraining/source",
       "bert/pretraining/activations.safetensors",
       "",
       {},
       tensorflow_tokens({{"head", "pretraining"}, {"gelu", "erf"}}),
       "input/input_ids",
       same_names,
       6},
      {"bert-tf2",
       "bert/tf2/source",
       "bert/tf2/activations.safetensors",
       "",
       {},
       tensorflow_tokens({{"gelu", "erf"}}),
       "input/input_ids",
       same_names,
       4},
      {"electra",
       "electra/small/source",
       "electra/small/activations-discriminator.safetensors",
       "",
       {{"model", "discriminator"}},
       tensorflow_tokens({{"model", "discriminator"}}),
       "input/input_ids",
       tensorflow_names(""),
       2},
      {"electra",
       "electra/small/source",
       "electra/small/activations-generator.safetensors",
       "",
       {{"model", "generator"}},
       tensorflow_tokens({{"model", "generator"}}),
       "input/input_ids",
       tensorflow_names(""),
       2},
      {"albert",
       "albert/v1/source",
       "albert/v1/activations.safetensors",
       "",
       {{"gelu", "tanh"}},
       tensorflow_tokens({{"head", "pretraining"}, {"gelu", "tanh"}}),
       "input/input_ids",
       tensorflow_names("gelu_new/"),
       6},
      {"t5-mesh",
       "t5-tf/v1_0/source",
       "t5-tf/v1_0/activations.safetensors",
       "",
       {},
       tensorflow_tokens(Json::object()),
       "input/input_ids",
       mesh_names,
       7},
      {"t5-mesh",
       "t5-tf/v1_1/source",
       "t5-tf/v1_1/activations.safetensors",
       "",
       {},
       tensorflow_tokens(Json::object()),
       "input/input_ids",
       mesh_names,
       7},
  };
  return rows;
}

// hidden.N of a stack that has a norm at its end: transformers recorded it after that, as `out` or `features`.
bool is_normed_later(const ForwardResult& result, const std::string& name) {
  const size_t at = name.find("hidden.");
  if (at == std::string::npos) return false;
  const std::string stack = name.substr(0, at),
                    next = fmt::format("{}hidden.{}", stack, std::stoll(name.substr(at + 7)) + 1);
  const auto find = [&](const std::string& other) -> const Record* {
    for (const auto& record : result.records)
      if (record.name == other) return &record;
    return nullptr;
  };
  const Record *out = find(stack + "out"), *last = find(name);
  if (find(next) != nullptr) return false;
  if (out == nullptr) out = find("features");
  return out != nullptr && std::memcmp(out->value.data, last->value.data, sizeof(float)) != 0;
}

}  // namespace

TEST_CASE("forward passes of further families agree with the recorded activations, layer by layer, on both sides") {
  for (const Set& set : sets()) {
    const Recorded recorded(set.activations);
    const Converted converted(set);
    for (const bool target : {false, true})
      for (int64_t row = 0; row < recorded.samples(set.prefix + set.batch); ++row) {
        const auto result = converted.run(target, set.sample(recorded, set.prefix, row));
        int64_t layers = 0;
        for (const auto& record : result.records) layers = std::max(layers, number_after(record.name, "hidden."));
        size_t compared = 0;
        for (const auto& record : result.records) {
          const RecordedAs as = set.names(recorded, record.name, target, layers);
          if (as.name.empty() || !recorded.has(set.prefix + as.name)) continue;
          if (target && is_normed_later(result, record.name)) continue;
          CAPTURE(set.rules, set.source, target, record.name, as.name, row);
          const auto values = recorded.floats(set.prefix + as.name, row);
          CHECK(difference(record, values, as) <= tolerance_of(values));
          ++compared;
        }
        CAPTURE(set.rules, set.source, target);
        CHECK(compared >= set.least);
      }
  }
}
