// Whole conversions at the level of the library, for what the bundled checkpoints do not show: untied heads, half
// precision, any number of threads, and a manifest in place of a checkpoint.
#include <algorithm>
#include <random>

#include "remap/compare.h"
#include "remap/document.h"
#include "remap/execute.h"
#include "remap/manifest_file.h"
#include "remap/report.h"
#include "support/catch.h"
#include "support/checkpoint.h"
#include "support/memory_sink.h"
#include "support/temp_folder.h"

using namespace remap;
using namespace remap::test;

namespace {

const std::string kData = REMAP_TEST_DATA;

struct Result {
  std::optional<Plan> plan;
  std::vector<std::vector<std::byte>> bytes;
  std::string messages;

  const PlannedTensor* find(const std::string& key) const {
    for (const auto& tensor : plan->tensors)
      if (tensor.key == key) return &tensor;
    return nullptr;
  }
  const std::vector<std::byte>& data(const std::string& key) const {
    return bytes[static_cast<size_t>(find(key) - plan->tensors.data())];
  }
};

Result convert(const Rules& rules, const Source& source, std::map<std::string, std::string> set = {}, int threads = 2,
               std::map<std::string, Json> documents = {}) {
  Diagnostics diagnostics;
  Result result;
  PlanOptions options;
  options.set = std::move(set);
  options.documents = std::move(documents);
  options.same = [](const Source& a, size_t ia, const Source& b, size_t ib) { return tensors_equal(a, ia, b, ib); };
  result.plan = make_plan(rules, {{"", &source}}, options, diagnostics);
  for (const auto& d : diagnostics.items()) result.messages += render_text(d);
  if (!result.plan || !source.has_data()) return result;
  MemorySink sink(result.plan->tensors);
  ExecOptions exec;
  exec.threads = threads;
  execute(result.plan->tensors, {&source}, sink, exec);
  result.bytes = sink.all();
  return result;
}

Rules rules(const std::string& name) {
  Diagnostics diagnostics;
  auto loaded = Rules::load(name, diagnostics);
  for (const auto& d : diagnostics.items()) UNSCOPED_INFO(render_text(d));
  REQUIRE(loaded);
  return *loaded;
}

std::vector<std::byte> random_bytes(size_t count) {
  std::mt19937 random(7);
  std::vector<std::byte> bytes(count);
  for (auto& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

}  // namespace

TEST_CASE("a tied head is the embedding and is not written; an untied one is, and the config says so") {
  Checkpoint checkpoint(kData + "/roberta/source/model.pt", "model");
  const Rules roberta = rules("roberta");
  const Result tied = convert(roberta, checkpoint.source());
  REQUIRE(tied.plan);
  CHECK(tied.find("lm_head.decoder.weight") == nullptr);
  CHECK(!tied.plan->config.contains("tie_word_embeddings"));
  CHECK(tied.data("lm_head.bias") == tied.data("lm_head.decoder.bias"));

  checkpoint.at("model.encoder.lm_head.weight").bytes[5] ^= std::byte{1};  // one bit
  const Result untied = convert(roberta, checkpoint.source());
  INFO(untied.messages);
  REQUIRE(untied.plan);
  CHECK(untied.plan->config["tie_word_embeddings"] == Json(false));
  CHECK(untied.data("lm_head.decoder.weight") == checkpoint.at("model.encoder.lm_head.weight").bytes);
  // Told that it is tied, remap looks before it believes.
  const Result told = convert(roberta, checkpoint.source(), {{"lm_head", "tied"}});
  CHECK(told.messages.find("plan-twin-differs") != std::string::npos);
}

TEST_CASE("untied logits are written, with the copies of the embedding that loading needs") {
  Checkpoint checkpoint(kData + "/switch/source/checkpoint_1200", "target");
  const int64_t d_model = 24, vocab = 96;
  const auto logits = random_bytes(static_cast<size_t>(d_model * vocab * 4));
  checkpoint.tensors.push_back({"target/decoder/logits_dense/kernel", DType::f32, {d_model, vocab}, logits});
  const Result result = convert(rules("switch"), checkpoint.source());
  INFO(result.messages);
  REQUIRE(result.plan);
  CHECK(result.plan->config["tie_word_embeddings"] == Json(false));
  for (const char* copy : {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"})
    CHECK(result.data(copy) == result.data("shared.weight"));
  const auto& head = result.data("lm_head.weight");
  for (int64_t v = 0; v < vocab; ++v)
    for (int64_t d = 0; d < d_model; ++d)
      REQUIRE(std::memcmp(head.data() + (v * d_model + d) * 4, logits.data() + (d * vocab + v) * 4, 4) == 0);
}

TEST_CASE("half precision is widened exactly; dtype=keep moves it as it is") {
  Checkpoint checkpoint(kData + "/switch/source/checkpoint_1200", "target");
  for (auto& tensor : checkpoint.tensors) {  // the upper halves of the float32 values are bfloat16 values
    std::vector<std::byte> half;
    for (size_t i = 0; i < tensor.bytes.size(); i += 4)
      half.insert(half.end(), {tensor.bytes[i + 2], tensor.bytes[i + 3]});
    tensor.dtype = DType::bf16;
    tensor.bytes = std::move(half);
  }
  const Rules rule_file = rules("switch");
  const Result wide = convert(rule_file, checkpoint.source());
  REQUIRE(wide.plan);
  CHECK(wide.plan->config["torch_dtype"] == Json("float32"));
  const auto& embedding = checkpoint.at("target/token_embedder/embedding").bytes;
  const auto& shared = wide.data("shared.weight");
  REQUIRE(shared.size() == 2 * embedding.size());
  for (size_t i = 0; i < embedding.size() / 2; ++i) {
    CHECK(std::memcmp(&shared[4 * i + 2], &embedding[2 * i], 2) == 0);
    CHECK((shared[4 * i] == std::byte{0} && shared[4 * i + 1] == std::byte{0}));
  }
  const Result kept = convert(rule_file, checkpoint.source(), {{"dtype", "keep"}});
  REQUIRE(kept.plan);
  CHECK(kept.plan->config["torch_dtype"] == Json("bfloat16"));
  CHECK(kept.data("shared.weight") == embedding);
}

TEST_CASE("the same bytes with any number of threads, and the same plan from a manifest") {
  for (const std::string path : {"/roberta/source/model.legacy.pt", "/switch/source/checkpoint_1200"}) {
    CAPTURE(path);
    const auto source = open_source(kData + path);
    const Rules rule_file = rules(path.starts_with("/switch") ? "switch" : "roberta");
    const Result one = convert(rule_file, *source, {}, 1), many = convert(rule_file, *source, {}, 7);
    REQUIRE(one.plan);
    CHECK(one.bytes == many.bytes);
    TempFolder folder;
    const auto manifest = open_source(folder.write("manifest.json", manifest_to_json(*source)));
    const Result planned = convert(rule_file, *manifest);
    INFO(planned.messages);
    REQUIRE(planned.plan);
    CHECK(planned.plan->tensors == one.plan->tensors);
    CHECK(planned.plan->config == one.plan->config);
  }
}

TEST_CASE(
    "concat inside stack, split inside concat, and parts left to another rule give the values that their definitions "
    "say") {
  TempFolder folder;
  const Rules toy = rules(folder.write("toy.yaml", R"(remap: 1
family: toy
source: {root: ""}
rules:
  - {from: "e.{e}.{w}", to: stacked, concat: {axis: 1, of: {w: [w1, w3]}}, stack: {axis: 1, each: e}}
  - {from: "{rank}.qkv", to: "{p}", split: {axis: 0, into: {p: {q: 2, _: 1}}}, concat: {axis: 0, each: rank}}
  - {from: "{rank}.qkv", to: v, split: {axis: 0, into: {p: {_: 2, "v": 1}}},
     transpose: true, concat: {axis: 1, each: rank}}
)"));
  const auto tensor = [](const std::string& key, const Shape& shape, int first) {
    std::vector<int32_t> values(static_cast<size_t>(element_count(shape)));
    for (size_t i = 0; i < values.size(); ++i) values[i] = first + static_cast<int32_t>(i);
    return MemoryTensor{key, DType::i32, shape, bytes_of(values)};
  };
  const MemorySource source({tensor("e.0.w1", {2, 1}, 0), tensor("e.0.w3", {2, 2}, 10), tensor("e.1.w1", {2, 1}, 20),
                             tensor("e.1.w3", {2, 2}, 30), tensor("2.qkv", {3, 2}, 40), tensor("0.qkv", {3, 2}, 50),
                             tensor("01.qkv", {3, 2}, 60)});
  const Result result = convert(toy, source);
  INFO(result.messages);
  REQUIRE(result.plan);
  CHECK(result.find("stacked")->shape == Shape{2, 2, 3});
  CHECK(result.data("stacked") == bytes_of<int32_t>({0, 10, 11, 20, 30, 31, 1, 12, 13, 21, 32, 33}));
  CHECK(result.data("q") == bytes_of<int32_t>({50, 51, 52, 53, 60, 61, 62, 63, 40, 41, 42, 43}));
  CHECK(result.data("v") == bytes_of<int32_t>({54, 64, 44, 55, 65, 45}));
}

TEST_CASE(
    "files of one checkpoint: interleaved in any order and by any number of threads; copies of a tensor must agree") {
  const std::string folder = kData + "/llama/llama31-two-shards/source";
  const std::map<std::string, Json> params = {{"params", read_document(folder + "/params.json", "json")}};
  const Rules llama = rules("llama");
  const auto source = open_source(folder), expected = open_source(kData + "/llama/llama31-two-shards/expected");
  for (const int threads : {1, 7}) {
    const Result result = convert(llama, *source, {}, threads, params);
    INFO(result.messages);
    REQUIRE(result.plan);
    for (const auto& tensor : result.plan->tensors) {
      CAPTURE(tensor.key);
      CHECK(result.data(tensor.key) == tensor_bytes(*expected, tensor.key));
      CHECK(irreversible_because(*result.plan, tensor).empty());
    }
  }
  Checkpoint checkpoint(folder, "");
  checkpoint.at("consolidated.01.pth/norm.weight").bytes[5] ^= std::byte{1};  // one bit
  const Result differing = convert(llama, checkpoint.source(), {}, 2, params);
  CHECK(!differing.plan);
  CHECK(differing.messages.find("plan-twin-differs") != std::string::npos);
}

TEST_CASE("an output that is tied is left out if it equals the embedding, and written if it does not") {
  const std::string folder = kData + "/llama/llama31-two-shards/source";
  const std::map<std::string, Json> params = {{"params", read_document(folder + "/params.json", "json")}};
  const Rules llama = rules("llama");
  Checkpoint checkpoint(folder, "");
  for (const std::string file : {"consolidated.00.pth/", "consolidated.01.pth/"})
    checkpoint.at(file + "output.weight").bytes = checkpoint.at(file + "tok_embeddings.weight").bytes;
  const Result tied = convert(llama, checkpoint.source(), {}, 2, params);
  INFO(tied.messages);
  REQUIRE(tied.plan);
  CHECK(tied.plan->config["tie_word_embeddings"] == Json(true));
  CHECK(tied.plan->config["rope_scaling"]["factor"] == Json(32.0));
  CHECK(tied.find("lm_head.weight") == nullptr);

  // In the second file only: what the first one shows is not believed.
  checkpoint.at("consolidated.01.pth/output.weight").bytes[5] ^= std::byte{1};
  CHECK(convert(llama, checkpoint.source(), {}, 2, params).messages.find("plan-twin-differs") != std::string::npos);
  checkpoint.at("consolidated.00.pth/output.weight").bytes[5] ^= std::byte{1};
  const Result untied = convert(llama, checkpoint.source(), {{"version", "3.2"}}, 2, params);
  REQUIRE(untied.plan);
  CHECK(untied.plan->config["tie_word_embeddings"] == Json(false));
  CHECK(untied.find("lm_head.weight") != nullptr);
}

TEST_CASE("every target's pieces cover it once: the inverse of a plan is well defined") {
  for (const std::string path : {"/roberta/source/model.2019.pt", "/switch/source/checkpoint_1200"}) {
    const auto source = open_source(kData + path);
    const Result result = convert(rules(path.starts_with("/switch") ? "switch" : "roberta"), *source);
    REQUIRE(result.plan);
    for (const auto& tensor : result.plan->tensors) {
      int64_t covered = 0;
      for (const auto& piece : tensor.pieces) {
        int64_t count = 1;
        for (const auto& axis : piece.axes) count *= axis.extent;
        covered += count;
      }
      CAPTURE(tensor.key);
      CHECK((tensor.fill ? covered == 0 : covered == element_count(tensor.shape)));
      CHECK(irreversible_because(*result.plan, tensor).empty() == !tensor.fill.has_value());
    }
  }
}
