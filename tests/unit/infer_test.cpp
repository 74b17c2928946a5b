// `remap infer` on pairs of layouts: what it proposes is planned, run and compared, with weights and from lists of tensors alone.
#include "remap/infer.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>

#include "plan/rules_file.h"
#include "remap/manifest_file.h"
#include "remap/source.h"
#include "support/catch.h"
#include "support/temp_folder.h"

namespace fs = std::filesystem;
using namespace remap;

namespace {

const std::string kData = REMAP_TEST_DATA;
const std::string kPairs = kData + "/mapping-pairs/";

std::vector<std::string> pairs() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kPairs))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

Json read_json(const std::string& path) {
  std::ifstream in(path);
  return Json::parse(in);
}

struct Proposal {
  InferredRules rules;
  Diagnostics diagnostics;
};

Proposal propose(const Source& source, const Source& target) {
  Proposal result;
  InferOptions options;
  options.family = "mine";
  result.rules = infer_rules({{"", &source}}, target, options, result.diagnostics);
  return result;
}
Proposal propose(const std::string& source, const std::string& target) {
  const auto from = open_source(source), to = open_source(target);
  return propose(*from, *to);
}

std::string text_of(const Diagnostics& diagnostics) {
  std::string text;
  for (const auto& d : diagnostics.items()) text += d.id + ": " + d.message + "\n";
  return text;
}

// The rules that transformers' table has for a pair.
size_t hand_written(const Json& info) {
  size_t count = 0;
  for (const auto& [name, n] : info["rule_sets_used"].items()) count += n.get<size_t>();
  return count;
}

// A list of the tensors as a file, in place of the checkpoint.
std::unique_ptr<Source> listed(const test::TempFolder& folder, const std::string& name, const Source& source) {
  return open_source(folder.write(name + ".tsv", manifest_to_text(source.manifest())));
}
std::unique_ptr<Source> listed(const test::TempFolder& folder, const std::string& name, const std::string& text) {
  return open_source(folder.write(name + ".tsv", text));
}

std::optional<Plan> planned(const std::string& text, const Source& source) {
  Diagnostics diagnostics;
  auto impl = std::make_shared<Rules::Impl>();
  auto set = lang::parse_rules(std::make_shared<lang::SourceText>("rules.yaml", text), diagnostics);
  if (!set) return std::nullopt;
  impl->set = std::move(*set);
  return make_plan(Rules::of(std::move(impl)), {{"", &source}}, {}, diagnostics);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines = {""};
  for (const char c : text) {
    if (c == '\n') lines.emplace_back();
    else lines.back() += c;
  }
  return lines;
}

}  // namespace

TEST_CASE("by values: the plan of the proposal is the target, with at most one and a half times the rules of the table") {
  REQUIRE(pairs().size() == 10);
  for (const auto& name : pairs()) {
    INFO(name);
    const auto result = propose(kPairs + name + "/source.safetensors", kPairs + name + "/target.safetensors");
    INFO(text_of(result.diagnostics) << result.rules.text);
    CHECK(result.diagnostics.empty());
    CHECK(result.rules.by_values);
    CHECK(result.rules.reproduced == result.rules.targets);
    CHECK(result.rules.open_targets.empty());
    CHECK(result.rules.open_sources.empty());
    CHECK(2 * result.rules.rules <= 3 * hand_written(read_json(kPairs + name + "/info.json")));
  }
}

TEST_CASE("by names: nine tensors of ten are right, and what is wrong or open is marked") {
  const test::TempFolder folder;
  for (const auto& name : pairs()) {
    INFO(name);
    const auto source = open_source(kPairs + name + "/source.safetensors"), target = open_source(kPairs + name + "/target.safetensors");
    const auto from = listed(folder, "s", *source), to = listed(folder, "t", *target);
    const auto result = propose(*from, *to);
    INFO(text_of(result.diagnostics) << result.rules.text);
    CHECK_FALSE(result.rules.by_values);
    std::map<std::string, std::set<std::string>> wanted;
    for (const auto& tensor : target->manifest().tensors()) wanted[tensor.key] = {tensor.key};
    const Json info = read_json(kPairs + name + "/info.json");
    for (const auto& edge : info["edges"])
      for (const auto& key : edge[2]) wanted[key] = edge[1].get<std::set<std::string>>();
    const auto plan = planned(result.rules.text, *from);
    REQUIRE(plan);
    const auto lines = lines_of(result.rules.text);
    std::map<std::string, const PlannedTensor*> given;
    for (const auto& tensor : plan->tensors) given[tensor.key] = &tensor;
    size_t right = 0;
    for (const auto& [key, sources] : wanted) {
      INFO(key);
      if (!given.contains(key)) {
        CHECK(result.rules.text.find("# open: nothing gives '" + key + "'") != std::string::npos);
        continue;
      }
      std::set<std::string> found;
      for (const auto& piece : given[key]->pieces) found.insert(from->manifest()[piece.tensor].key);
      if (found == sources) ++right;
      else CHECK(lines[static_cast<size_t>(plan->rules[given[key]->rule].place.line) - 2].find("# check") != std::string::npos);
    }
    CHECK(10 * right >= 9 * wanted.size());
  }
}

TEST_CASE("by values: checkpoints of the original libraries, and what the original scripts made of them") {
  struct Row {
    std::string source, target;
    size_t rules;  // of the hand-written file
  };
  const std::vector<Row> rows = {{"roberta/source/model.pt", "roberta/expected", 27},
                                 {"roberta/source/model.2019.pt", "roberta/expected", 27},
                                 {"roberta/source-mnli/model.pt", "roberta/expected-mnli", 27},
                                 {"xmod/source/model.pt", "xmod/expected", 25},
                                 {"data2vec-audio/source/model.pt", "data2vec-audio/expected", 17},
                                 {"data2vec-audio/source-ctc/model.pt", "data2vec-audio/expected-ctc", 17},
                                 {"switch/source/checkpoint_1200", "switch/expected", 18}};
  for (const auto& row : rows) {
    INFO(row.source);
    const auto result = propose(kData + "/" + row.source, kData + "/" + row.target);
    INFO(text_of(result.diagnostics) << result.rules.text);
    CHECK(result.diagnostics.empty());
    CHECK(result.rules.open_targets.empty());
    CHECK(2 * result.rules.rules <= 3 * row.rules);
  }
}

TEST_CASE("by values: several named sources") {
  const auto model = open_source(kData + "/flava/source/model.pt"), codebook = open_source(kData + "/flava/source/encoder.pkl"), target = open_source(kData + "/flava/expected");
  Diagnostics diagnostics;
  const auto result = infer_rules({{"", model.get()}, {"codebook", codebook.get()}}, *target, {"mine"}, diagnostics);
  INFO(text_of(diagnostics) << result.text);
  CHECK(result.open_targets.empty());
  CHECK(2 * result.rules <= 3 * 34);
  CHECK(result.text.find("source: codebook") != std::string::npos);
}

TEST_CASE("the same inputs give the same text") {
  const std::string pair = kPairs + "molmo2";
  const auto first = propose(pair + "/source.safetensors", pair + "/target.safetensors"), second = propose(pair + "/source.safetensors", pair + "/target.safetensors");
  CHECK(first.rules.text == second.rules.text);
}

TEST_CASE("lists that have little to do with each other are answered, and all of it is open or marked") {
  const test::TempFolder folder;
  const auto from = listed(folder, "s", "a.b F32 [2,3]\nc F32 [4]\n\"d{e}*\" F32 [5]\n\"\\\\1 x\" F32 [0]\n"), to = listed(folder, "t", "x F32 [7,7]\ny.z F32 [4]\n\"d{e}*\" F32 [5]\n\"q r\" F32 [0]\n");
  const auto result = propose(*from, *to);
  INFO(text_of(result.diagnostics) << result.rules.text);
  CHECK(result.rules.targets == 4);
  CHECK(result.rules.reproduced < 4);
  CHECK(result.rules.text.find("# open: nothing gives 'x'") != std::string::npos);
  CHECK(result.rules.text.find("# check: only its shape says so") != std::string::npos);
}

TEST_CASE("nothing on one side") {
  const test::TempFolder folder;
  const auto none = listed(folder, "s", "{\"remap_manifest\": 1, \"format\": \"torch\", \"tensors\": []}"), one = listed(folder, "t", "x F32 [7,7]\n");
  CHECK(propose(*none, *one).rules.open_targets == std::vector<std::string>{"x"});
  CHECK(propose(*one, *none).rules.targets == 0);
}

TEST_CASE("a hundred thousand tensors by name") {
  const test::TempFolder folder;
  std::string source, target;
  for (int layer = 0; layer < 48; ++layer)
    for (int expert = 0; expert < 512; ++expert)
      for (const auto& [from, to] : {std::pair{"w1", "gate_proj"}, std::pair{"w2", "down_proj"}, std::pair{"w3", "up_proj"}}) {
        const char* shape = from == std::string("w2") ? "[64,128]" : "[128,64]";
        source += fmt::format("layers.{}.moe.experts.{}.{}.weight BF16 {}\n", layer, expert, from, shape);
        target += fmt::format("model.layers.{}.mlp.experts.{}.{}.weight BF16 {}\n", layer, expert, to, shape);
      }
  const auto from = listed(folder, "s", source), to = listed(folder, "t", target);
  const auto begin = std::chrono::steady_clock::now();
  const auto result = propose(*from, *to);
  INFO(result.rules.text);
  CHECK(result.rules.open_targets.empty());
  CHECK(result.rules.rules <= 3);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));
}
