// Forward passes written as data, against what the original libraries and transformers computed: every recorded layer,
// both layouts.
#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <random>

#include <fmt/format.h>

#include "remap/compare.h"
#include "remap/document.h"
#include "remap/execute.h"
#include "remap/values.h"
#include "remap/verify.h"
#include "support/catch.h"
#include "support/memory_sink.h"
#include "support/memory_source.h"
#include "support/model_file.h"
#include "support/source_values.h"
#include "verify/forward.h"
#include "verify/gemm.h"

using namespace remap;
using namespace remap::forward;

namespace {

const std::string kData = REMAP_TEST_DATA;

// The recorded activations of one reference set.
class Recorded {
 public:
  explicit Recorded(const std::string& path) : source_(open_source(kData + path)) {}
  bool has(const std::string& key) const { return source_->manifest().find(key) != Manifest::npos; }
  const Shape& shape(const std::string& key) const { return source_->manifest()[source_->manifest().find(key)].shape; }
  // Row `row` of the first axis.
  std::vector<int64_t> integers(const std::string& key, int64_t row) const {
    const auto bytes = test::tensor_bytes(*source_, key);
    const int64_t n = static_cast<int64_t>(bytes.size()) / 8 / shape(key)[0];
    std::vector<int64_t> values(static_cast<size_t>(n));
    std::memcpy(values.data(), bytes.data() + row * n * 8, static_cast<size_t>(n) * 8);
    return values;
  }
  std::vector<float> floats(const std::string& key, int64_t row) const {
    const auto bytes = test::tensor_bytes(*source_, key);
    const int64_t n = static_cast<int64_t>(bytes.size()) / 4 / shape(key)[0];
    std::vector<float> values(static_cast<size_t>(n));
    std::memcpy(values.data(), bytes.data() + row * n * 4, static_cast<size_t>(n) * 4);
    return values;
  }

 private:
  std::unique_ptr<Source> source_;
};

Tensor tensor(Shape shape, const std::vector<float>& values) {
  NewTensor made(std::move(shape));
  std::copy(values.begin(), values.end(), made.data.get());
  return made;
}

// Largest difference over the rows that count; the last rows of `computed` if fewer were recorded.
double difference(const Record& computed, const std::vector<float>& recorded, bool channels_first = false) {
  const int64_t columns = computed.value.columns(), rows = static_cast<int64_t>(recorded.size()) / columns,
                skipped = computed.value.rows() - rows;
  REQUIRE(rows * columns == static_cast<int64_t>(recorded.size()));
  REQUIRE(skipped >= 0);
  double largest = 0;
  for (int64_t r = 0; r < rows; ++r) {
    if (!computed.keep.empty() && !computed.keep[static_cast<size_t>(r + skipped)]) continue;
    for (int64_t c = 0; c < columns; ++c)
      largest =
          std::max(largest, std::abs(static_cast<double>(computed.value.data[(r + skipped) * columns + c]) -
                                     recorded[static_cast<size_t>(channels_first ? c * rows + r : r * columns + c)]));
  }
  return largest;
}

const Record* find(const ForwardResult& result, const std::string& name) {
  for (const auto& record : result.records)
    if (record.name == name) return &record;
  return nullptr;
}

struct Side {
  ModelFile model;
  std::vector<std::unique_ptr<Source>> sources;
  std::vector<NamedSource> named;
  Json config = Json::object();

  Side(const std::string& name, const std::string& path) : model(test::shipped_model(name)) {
    add("", path);
    if (const std::string file = kData + path + "/config.json"; std::ifstream(file))
      config = read_document(file, "json");
  }
  void add(const std::string& name, const std::string& path) {
    sources.push_back(open_source(kData + path));
    named.push_back({name, sources.back().get()});
  }
  ForwardResult run(const Sample& sample) const { return run_forward(model, named, config, sample); }
};

constexpr double kTolerance = 2e-5;

// Text encoders: cases "sample", "padded" … whose records are CASE.SIDE.hidden.N and CASE.SIDE.logits.
void check_text(const Side& side, const std::string& name, const Recorded& recorded,
                const std::vector<std::string>& cases, const std::string& prefix, const std::string& head,
                const std::vector<std::string>& languages) {
  for (const std::string& one : cases) {
    const std::string inputs = one, records = prefix + one + "." + name + ".";
    for (int64_t b = 0; b < recorded.shape(inputs + ".input_ids")[0]; ++b) {
      Sample sample;
      sample.values["input_ids"] = recorded.integers(inputs + ".input_ids", b);
      sample.values["mask"] = recorded.integers(inputs + ".attention_mask", b);
      sample.values["head"] = head;
      if (!languages.empty())
        sample.values["language"] = languages[static_cast<size_t>(recorded.integers(inputs + ".lang_ids", b)[0])];
      const auto result = side.run(sample);
      size_t compared = 0;
      for (const auto& record : result.records) {
        if (!recorded.has(records + record.name)) continue;
        CAPTURE(records, record.name, b);
        CHECK(difference(record, recorded.floats(records + record.name, b)) <= kTolerance);
        ++compared;
      }
      CHECK(compared > 0);
    }
  }
}

}  // namespace

TEST_CASE("the matrix product is right with every set of instructions that this machine has", "[verify]") {
  std::minstd_rand random(1);
  std::uniform_real_distribution<float> values(-1, 1);
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{1, 1, 1}, {3, 5, 7}, {12, 48, 72}, {5, 130, 257}, {2, 9, 0}}) {
    std::vector<float> x(static_cast<size_t>(m * k)), w(static_cast<size_t>(n * k));
    for (float& value : x) value = values(random);
    for (float& value : w) value = values(random);
    for (const GemmKernel kernel : gemm_kernels()) {
      // The columns in two calls, which leave those of the other alone.
      std::vector<float> out(static_cast<size_t>(m * n), 7);
      const int64_t half = n / 2;
      kernel(out.data(), x.data(), w.data(), m, n, k, half, n);
      for (int64_t i = 0; i < m * n; ++i)
        if (i % n < half) REQUIRE(out[static_cast<size_t>(i)] == 7);
      kernel(out.data(), x.data(), w.data(), m, n, k, 0, half);
      for (int64_t i = 0; i < m * n; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < k; ++j)
          sum += double{x[static_cast<size_t>(i / n * k + j)]} * double{w[static_cast<size_t>(i % n * k + j)]};
        REQUIRE(std::abs(out[static_cast<size_t>(i)] - sum) < 1e-4);
      }
    }
  }
}

TEST_CASE("RoBERTa: fairseq's and transformers' forward passes, layer by layer") {
  const Recorded recorded("/roberta/activations.safetensors");
  const std::vector<std::string> cases = {"sample", "padded", "long"};
  for (const char* file : {"model.pt", "model.2019.pt", "model.dictconfig.pt"})
    check_text(Side("fairseq_roberta", std::string("/roberta/source/") + file), "fairseq", recorded, cases, "", "mlm",
               {});
  check_text(Side("roberta", "/roberta/expected"), "hf", recorded, cases, "", "mlm", {});
  check_text(Side("fairseq_roberta", "/roberta/source-mnli/model.2019b.pt"), "fairseq", recorded, cases, "mnli.",
             "mnli", {});
  check_text(Side("roberta", "/roberta/expected-mnli"), "hf", recorded, cases, "mnli.", "mnli", {});
}

TEST_CASE("X-MOD: fairseq's and transformers' forward passes, layer by layer, in every language") {
  const Recorded recorded("/xmod/activations.safetensors");
  const std::vector<std::string> languages = {"en_XX", "de_DE", "zh_CN", "sw_KE"},
                                 cases = {"sample.en_XX", "sample.de_DE", "sample.zh_CN",
                                          "sample.sw_KE", "padded",       "long"};
  check_text(Side("fairseq_xmod", "/xmod/source/model.pt"), "fairseq", recorded, cases, "", "mlm", languages);
  check_text(Side("xmod", "/xmod/expected"), "hf", recorded, cases, "", "mlm", languages);
  check_text(Side("fairseq_xmod", "/xmod/source-mnli/model.pt"), "fairseq", recorded, cases, "mnli.", "mnli",
             languages);
  check_text(Side("xmod", "/xmod/expected-mnli"), "hf", recorded, cases, "mnli.", "mnli", languages);
}

TEST_CASE("data2vec-audio: fairseq's and transformers' forward passes, from the convolutions to the logits") {
  struct Row {
    const char *ours, *recorded;
    bool channels_first;
  };
  const std::vector<Row> fairseq = {{"conv.0", "conv_layers.0", true},         {"conv.3", "conv_layers.3", true},
                                    {"features", "feature_layer_norm", false}, {"projection", "projection", false},
                                    {"pos_conv.0", "pos_conv.0", true},        {"pos_conv.2", "pos_conv.2", true},
                                    {"hidden.0", "encoder_layer_norm", false}, {"hidden.1", "layers.0", false},
                                    {"hidden.2", "layers.1", false},           {"logits", "logits", false}};
  const std::vector<Row> hf = {{"features", "extract_features", false},
                               {"hidden.0", "hidden_states.0", false},
                               {"hidden.1", "hidden_states.1", false},
                               {"hidden.2", "hidden_states.2", false},
                               {"logits", "logits", false}};
  for (const bool ctc : {false, true}) {
    const std::string suffix = ctc ? "-ctc" : "";
    const Recorded recorded("/data2vec-audio/activations" + suffix + ".safetensors");
    for (const bool target : {false, true}) {
      const Side side(target ? "data2vec_audio" : "fairseq_data2vec_audio",
                      target ? "/data2vec-audio/expected" + suffix : "/data2vec-audio/source" + suffix + "/model.pt");
      for (const std::string one : {"single", "padded"})
        for (int64_t b = 0; b < recorded.shape(one + ".input_values")[0]; ++b) {
          const auto wave = recorded.floats(one + ".input_values", b);
          Sample sample;
          sample.tensors["wave"] = tensor({static_cast<int64_t>(wave.size()), 1}, wave);
          sample.values["wave_mask"] = one == "padded" ? Json(recorded.integers(one + ".attention_mask", b))
                                                       : Json(std::vector<int>(wave.size(), 1));
          const auto result = side.run(sample);
          for (const Row& row : target ? hf : fairseq) {
            const std::string key = one + (target ? ".hf." : ".fairseq.") + row.recorded;
            if (!recorded.has(key)) continue;
            CAPTURE(key, b);
            const Record* record = find(result, row.ours);
            REQUIRE(record != nullptr);
            CHECK(difference(*record, recorded.floats(key, b), row.channels_first) <= kTolerance);
          }
        }
    }
  }
}

TEST_CASE(
    "Llama: Meta's unmerged files and transformers' folder, float16 rounded and not, grouped queries, scaled "
    "frequencies") {
  struct Row {
    std::string set, source, version;
    bool exact;  // float16 as it is; else both sides have bfloat16
  };
  const std::vector<Row> rows = {{"one-shard", "/source", "2", false},
                                 {"two-shards", "/source/13B", "1", false},
                                 {"two-shards", "/source/13B", "1", true},
                                 {"llama31-two-shards", "/source", "3.1", false}};
  for (const Row& row : rows) {
    const std::string folder = "/llama/" + row.set;
    const Recorded recorded(folder + "/activations.safetensors");
    for (const bool target : {false, true}) {
      const Side side(target ? "llama" : "llama_meta",
                      folder + (target ? (row.exact ? "/expected-f16" : "/expected") : row.source));
      ForwardOptions options;
      if (!target) {
        options.documents["params"] = read_document(kData + folder + row.source + "/params.json", "json");
        const Source* source = side.named.front().source;
        for (size_t t = 0; t < source->manifest().size() && !row.exact; ++t)
          options.rounding[{source, t}] = DType::bf16;
      }
      for (int64_t b = 0; b < recorded.shape("input_ids")[0]; ++b) {
        Sample sample;
        sample.values["input_ids"] = recorded.integers("input_ids", b);
        sample.values["mask"] = std::vector<int>(sample.values["input_ids"].size(), 1);
        sample.values["version"] = row.version;
        const auto result = run_forward(side.model, side.named, side.config, sample, options);
        const size_t layers = result.records.size() - 3;  // hidden.0 … hidden.N, the norm, the logits
        size_t compared = 0;
        for (const auto& record : result.records) {
          // transformers calls the normalised output its last hidden state.
          std::string name = record.name;
          if (name == "last_hidden_state")
            name = target ? fmt::format("hidden_states.{}", layers) : "norm";
          else if (name == fmt::format("hidden.{}", layers) && target)
            continue;
          else if (name.starts_with("hidden."))
            name.replace(0, 6, "hidden_states");
          const std::string key = (target ? "" : "meta.") + std::string(row.exact ? "f16." : "") + name;
          if (!recorded.has(key)) continue;
          CAPTURE(row.set, key, b);
          CHECK(difference(record, recorded.floats(key, b)) <= kTolerance);
          ++compared;
        }
        CHECK(compared == (row.exact && !target ? 1 : target ? layers + 2 : layers + 3));
      }
    }
  }
}

TEST_CASE("Switch Transformers: encoder, experts and decoder of both layouts") {
  const Recorded recorded("/switch/activations.safetensors");
  for (const bool target : {false, true}) {
    const Side side(target ? "switch_transformers" : "t5x_switch",
                    target ? "/switch/expected" : "/switch/source/checkpoint_1200");
    for (int64_t b = 0; b < 2; ++b) {
      Sample sample;
      sample.values["input_ids"] = recorded.integers("input_ids", b);
      sample.values["mask"] = recorded.integers("attention_mask", b);
      sample.values["decoder_input_ids"] = recorded.integers("decoder_input_ids", b);
      const auto result = side.run(sample);
      size_t compared = 0;
      for (const auto& record : result.records) {
        if (!recorded.has(record.name)) continue;
        CAPTURE(target, record.name, b);
        CHECK(difference(record, recorded.floats(record.name, b)) <= kTolerance);
        ++compared;
      }
      CHECK(compared >= 10);
    }
  }
}

TEST_CASE("FLAVA: text, image, both together, every head, and the codebook") {
  const Recorded recorded("/flava/activations.safetensors");
  for (const bool target : {false, true}) {
    Side side(target ? "flava" : "flava_mmf", target ? "/flava/expected" : "/flava/source/model.pt");
    if (!target) {
      side.add("codebook", "/flava/source/encoder.pkl");
      side.config = read_document(kData + "/flava/source/config_input.json", "json");
    }
    for (int64_t b = 0; b < 2; ++b) {
      Sample sample;
      sample.values["input_ids"] = recorded.integers("input.input_ids", b);
      sample.values["text_mask"] = recorded.integers("input.attention_mask", b);
      sample.values["token_type_ids"] = recorded.integers("input.token_type_ids", b);
      sample.tensors["image"] = tensor({3, 32, 32}, recorded.floats("input.pixel_values", b));
      sample.tensors["codebook_image"] = tensor({3, 16, 16}, recorded.floats("input.codebook_pixel_values", b));
      const auto result = side.run(sample);
      size_t compared = 0;
      for (const auto& record : result.records) {
        const std::string key = (target ? "hf." : "orig.") + record.name;
        if (!recorded.has(key)) continue;
        CAPTURE(key, b);
        CHECK(difference(record, recorded.floats(key, b)) <= kTolerance);
        ++compared;
      }
      CHECK(compared >= 20);
      const auto row =
          recorded.floats(target ? "hf.contrastive.logits_per_image" : "orig.contrastive.logits_per_image", b);
      CHECK(std::abs(find(result, "contrastive")->value.data[0] - row[static_cast<size_t>(b)]) <= kTolerance);
    }
  }
}

// Both the plan and the source's forward pass find their tensors through the key table. What a fault in it would do, a
// source does here that gives one tensor for another.
TEST_CASE("a fault in what plan and verify share is seen by the recorded activations, and not by verify") {
  const std::string layer = "model.encoder.sentence_encoder.layers.0.self_attn.";
  const auto real = open_source(kData + "/roberta/source/model.pt");
  std::vector<test::MemoryTensor> tensors;
  for (const auto& info : real->manifest().tensors()) {
    const std::string taken = info.key == layer + "q_proj.weight"   ? layer + "k_proj.weight"
                              : info.key == layer + "k_proj.weight" ? layer + "q_proj.weight"
                                                                    : info.key;
    tensors.push_back({info.key, info.dtype, info.shape, test::tensor_bytes(*real, taken)});
  }
  const test::MemorySource faulty(std::move(tensors), real->metadata());
  const std::vector<NamedSource> sources = {{"", &faulty}};

  Diagnostics found;
  const auto rules = Rules::load(std::string(REMAP_SOURCE_DIR) + "/rules/roberta.yaml", found);
  REQUIRE(rules);
  PlanOptions options;
  options.same = tensors_equal;
  options.values = tensor_values;
  const auto plan = make_plan(*rules, sources, options, found);
  REQUIRE(plan);
  test::MemorySink sink(plan->tensors);
  execute(plan->tensors, {&faulty}, sink);
  std::vector<test::MemoryTensor> made;
  for (size_t i = 0; i < plan->tensors.size(); ++i)
    made.push_back({plan->tensors[i].key, plan->tensors[i].dtype, plan->tensors[i].shape, sink.bytes(i)});
  CHECK(verify(*rules, *plan, sources, test::MemorySource(made), plan->config, {}).passed);

  const Recorded recorded("/roberta/activations.safetensors");
  Sample sample;
  sample.values["input_ids"] = recorded.integers("sample.input_ids", 0);
  sample.values["mask"] = recorded.integers("sample.attention_mask", 0);
  sample.values["head"] = "mlm";
  double largest = 0;
  for (const auto& record :
       run_forward(test::shipped_model("fairseq_roberta"), sources, Json::object(), sample).records)
    if (const std::string name = "sample.fairseq." + record.name; recorded.has(name))
      largest = std::max(largest, static_cast<double>(difference(record, recorded.floats(name, 0))));
  CHECK(largest > 100 * kTolerance);
}
