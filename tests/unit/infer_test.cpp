// `remap infer` on pairs of layouts: what it proposes is planned, run and compared, with weights and from lists of tensors alone.
#include "remap/infer.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>

#include "plan/rules_file.h"
#include "remap/compare.h"
#include "remap/document.h"
#include "remap/manifest_file.h"
#include "remap/source.h"
#include "remap/values.h"
#include "support/catch.h"
#include "support/memory_source.h"
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

std::optional<Plan> planned(const std::string& text, const std::vector<NamedSource>& sources) {
  Diagnostics diagnostics;
  auto impl = std::make_shared<Rules::Impl>();
  auto set = lang::parse_rules(std::make_shared<lang::SourceText>("rules.yaml", text), diagnostics);
  if (!set) return std::nullopt;
  impl->set = std::move(*set);
  return make_plan(Rules::of(std::move(impl)), sources, {}, diagnostics);
}
std::optional<Plan> planned(const std::string& text, const Source& source) { return planned(text, {{"", &source}}); }

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
    CHECK(result.rules.text.find("(rotary)") == std::string::npos);   // the projections keep their names, or are fused and marked so
  }
}

namespace {

// A converted checkpoint, and the rule file that ships for it.
struct Shipped {
  std::string rules, source, target;
  std::string second, second_name, document;   // a further checkpoint, params.json
};

// What a proposal from lists gives, beside the plan of the rules that ship.
struct Compared {
  InferredRules proposal;
  std::optional<Plan> plan, shipped;
  size_t right = 0;                    // from the same tensors, or others that hold the same bytes
  std::vector<std::string> unmarked;   // from others, and nothing says that this may be wrong
};

Compared compare_with_shipped(const Shipped& row, bool json) {
  Compared result;
  const test::TempFolder folder;
  std::vector<std::unique_ptr<Source>> checkpoints, lists;
  std::vector<NamedSource> real, listed_sources;
  const auto list = [&](const std::string& name, const Source& source) { return listed(folder, name, json ? manifest_to_json(source) : manifest_to_text(source.manifest())); };
  const auto add = [&](const std::string& path, const std::string& name) {
    checkpoints.push_back(open_source(kData + "/" + path));
    lists.push_back(list("s" + name, *checkpoints.back()));
    real.push_back({name, checkpoints.back().get()});
    listed_sources.push_back({name, lists.back().get()});
  };
  add(row.source, "");
  if (!row.second.empty()) add(row.second, row.second_name);
  const auto target = list("t", *open_source(kData + "/" + row.target));
  Diagnostics diagnostics;
  result.proposal = infer_rules(listed_sources, *target, {"mine"}, diagnostics);
  INFO(text_of(diagnostics) << result.proposal.text);
  result.plan = planned(result.proposal.text, listed_sources);
  PlanOptions options;
  options.same = tensors_equal;
  options.values = tensor_values;
  if (!row.document.empty()) options.documents["params"] = read_document(kData + "/" + row.document, "json");
  if (row.rules == "flava") options.config = read_json(kData + "/flava/source/config_input.json");
  if (row.rules == "llama" && row.source.find("31") == std::string::npos) options.set["version"] = "2";
  const auto rules = Rules::load(std::string(REMAP_SOURCE_DIR) + "/rules/" + row.rules + ".yaml", diagnostics);
  REQUIRE(rules);
  result.shipped = make_plan(*rules, real, options, diagnostics);
  INFO(text_of(diagnostics));
  REQUIRE(result.shipped);
  REQUIRE(result.plan);
  const auto refs_of = [&](const Plan& plan, const PlannedTensor& tensor) {
    std::vector<std::pair<uint32_t, size_t>> refs;
    for (const auto& piece : tensor.pieces) refs.emplace_back(piece.source, real[piece.source].source->manifest().find((*plan.sources[piece.source].manifest)[piece.tensor].key));
    std::sort(refs.begin(), refs.end());
    refs.erase(std::unique(refs.begin(), refs.end()), refs.end());
    return refs;
  };
  const auto same_bytes = [&](const auto& a, const auto& b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [&](const auto& x, const auto& y) { return tensors_equal(*real[x.first].source, x.second, *real[y.first].source, y.second); });
  };
  const auto lines = lines_of(result.proposal.text);
  std::map<std::string, const PlannedTensor*> given;
  for (const auto& tensor : result.plan->tensors) given[tensor.key] = &tensor;
  for (const auto& tensor : result.shipped->tensors) {
    if (!given.contains(tensor.key)) {
      if (result.proposal.text.find("# open: nothing gives '" + tensor.key + "'") == std::string::npos) result.unmarked.push_back(tensor.key);
      continue;
    }
    const PlannedTensor& own = *given[tensor.key];
    const bool alike = own.dtype == tensor.dtype && own.shape == tensor.shape;
    const auto refs = refs_of(*result.plan, own), wanted = refs_of(*result.shipped, tensor);
    result.right += alike && (refs == wanted || same_bytes(refs, wanted));
    const bool marked = lines[static_cast<size_t>(result.plan->rules[own.rule].place.line) - 2].find("# check") != std::string::npos;
    if (!(alike && refs == wanted) && !marked) result.unmarked.push_back(tensor.key);
  }
  return result;
}

}  // namespace

TEST_CASE("by names: a source of several files, cut along different axes") {
  const std::string meta = "llama/two-shards/source/13B", newer = "llama/llama31-two-shards/source";
  for (const auto& row : {Shipped{"llama", meta, "llama/two-shards/expected", "", "", meta + "/params.json"}, Shipped{"llama", newer, "llama/llama31-two-shards/expected", "", "", newer + "/params.json"}})
    for (const bool json : {true, false}) {
      INFO(row.source << (json ? " json" : " text"));
      const auto result = compare_with_shipped(row, json);
      INFO(result.proposal.text);
      CHECK_FALSE(result.proposal.by_values);
      CHECK(result.proposal.targets == 21);
      CHECK(result.proposal.reproduced == 21);
      CHECK(result.plan->tensors.size() == 21);
      CHECK(result.right == 21);
      CHECK(result.proposal.rules <= 10);
      CHECK(result.proposal.text.find("source: {format: torch, files: \"consolidated.{rank}.pth\"}") != std::string::npos);
      // Where names and shapes decide all, the same elements are read; the order of the rows of q and k is marked.
      const auto lines = lines_of(result.proposal.text);
      for (size_t i = 0; i < result.plan->tensors.size(); ++i) {
        const PlannedTensor &own = result.plan->tensors[i], &shipped = result.shipped->tensors[i];
        INFO(own.key);
        if (own.key.find("q_proj") == std::string::npos && own.key.find("k_proj") == std::string::npos) CHECK(own.pieces == shipped.pieces);
        else CHECK(lines[static_cast<size_t>(result.plan->rules[own.rule].place.line) - 2].find("# check: the order of the rows of q and k (rotary)") != std::string::npos);
      }
    }
}

TEST_CASE("by names: what is wrong for a checkpoint of an original library is marked or open") {
  const std::vector<Shipped> rows = {{"roberta", "roberta/source/model.pt", "roberta/expected", "", "", ""},
                                     {"roberta", "roberta/source-mnli/model.pt", "roberta/expected-mnli", "", "", ""},
                                     {"xmod", "xmod/source/model.pt", "xmod/expected", "", "", ""},
                                     {"data2vec-audio", "data2vec-audio/source/model.pt", "data2vec-audio/expected", "", "", ""},
                                     {"data2vec-audio", "data2vec-audio/source-ctc/model.pt", "data2vec-audio/expected-ctc", "", "", ""},
                                     {"flava", "flava/source/model.pt", "flava/expected", "flava/source/encoder.pkl", "codebook", ""},
                                     {"switch", "switch/source/checkpoint_1200", "switch/expected", "", "", ""}};
  for (const auto& row : rows)
    for (const bool json : {true, false}) {
      INFO(row.source << (json ? " json" : " text"));
      const auto result = compare_with_shipped(row, json);
      INFO(result.proposal.text);
      CHECK(result.unmarked == std::vector<std::string>{});
      CHECK(10 * result.right >= 9 * result.shipped->tensors.size());
      CHECK(3 * result.proposal.marked <= 2 * result.proposal.rules);
      CHECK(result.proposal.text.find("(rotary)") == std::string::npos);
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

namespace {

// Matrices of distinct numbers, and what conversions do to them.
struct Matrix {
  Shape shape;
  std::vector<float> values;
};
Matrix fresh(Shape shape) {
  static float next = 1;
  Matrix m{shape, std::vector<float>(static_cast<size_t>(element_count(shape)))};
  for (auto& v : m.values) v = next++;
  return m;
}
Matrix constant(Shape shape, float value) { return {shape, std::vector<float>(static_cast<size_t>(element_count(shape)), value)}; }
Matrix transposed(const Matrix& m) {
  Matrix t{{m.shape[1], m.shape[0]}, m.values};
  for (int64_t i = 0; i < m.shape[0]; ++i)
    for (int64_t j = 0; j < m.shape[1]; ++j) t.values[static_cast<size_t>(j * m.shape[0] + i)] = m.values[static_cast<size_t>(i * m.shape[1] + j)];
  return t;
}
Matrix joined(const std::vector<Matrix>& parts) {
  Matrix whole = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) {
    whole.shape[0] += parts[i].shape[0];
    whole.values.insert(whole.values.end(), parts[i].values.begin(), parts[i].values.end());
  }
  return whole;
}
Matrix stacked(const std::vector<Matrix>& parts) {
  Matrix whole = joined(parts);
  whole.shape = parts[0].shape;
  whole.shape.insert(whole.shape.begin(), static_cast<int64_t>(parts.size()));
  return whole;
}
// As Meta's rows to Hugging Face's: [blocks, columns, rows] from [blocks, rows, columns] of the first axis.
Matrix regrouped(const Matrix& m, int64_t blocks, int64_t rows) {
  Matrix r = m;
  const int64_t columns = m.shape[0] / blocks / rows, width = element_count(m.shape) / m.shape[0];
  for (int64_t b = 0; b < blocks; ++b)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        for (int64_t w = 0; w < width; ++w) r.values[static_cast<size_t>(((b * columns + j) * rows + i) * width + w)] = m.values[static_cast<size_t>(((b * rows + i) * columns + j) * width + w)];
  return r;
}

class Checkpoint {
 public:
  void add(const std::string& key, const Matrix& m) {
    test::MemoryTensor tensor{key, DType::f32, m.shape, std::vector<std::byte>(m.values.size() * 4)};
    std::memcpy(tensor.bytes.data(), m.values.data(), tensor.bytes.size());
    tensors_.push_back(std::move(tensor));
  }
  test::MemorySource source() const { return test::MemorySource(tensors_); }

 private:
  std::vector<test::MemoryTensor> tensors_;
};

}  // namespace

TEST_CASE("by values: every operation, with constants and tied tensors that values alone do not decide") {
  Checkpoint from, to;
  const auto embed = fresh({50, 16});
  from.add("transformer.wte.weight", embed);
  to.add("model.embed_tokens.weight", embed);
  to.add("lm_head.weight", embed);
  to.add("model.types.weight", constant({2, 16}, 0));
  for (int l = 0; l < 3; ++l) {
    const std::string s = fmt::format("transformer.h.{}.", l), t = fmt::format("model.layers.{}.", l);
    const Matrix q = fresh({16, 16}), k = fresh({8, 16}), v = fresh({8, 16}), o = fresh({16, 16}), conv = fresh({16, 3, 2});
    from.add(s + "attn.c_attn.weight", joined({q, k, v}));
    from.add(s + "attn.c_attn.bias", constant({32}, 0));
    to.add(t + "self_attn.q_proj.weight", q), to.add(t + "self_attn.k_proj.weight", k), to.add(t + "self_attn.v_proj.weight", v);
    to.add(t + "self_attn.q_proj.bias", constant({16}, 0)), to.add(t + "self_attn.k_proj.bias", constant({8}, 0)), to.add(t + "self_attn.v_proj.bias", constant({8}, 0));
    from.add(s + "attn.c_proj.weight", o);
    to.add(t + "self_attn.o_proj.weight", transposed(o));
    const Matrix rotary = fresh({16, 5});
    from.add(s + "attn.rel.weight", rotary);
    to.add(t + "self_attn.rel_proj.weight", regrouped(rotary, 2, 4));
    for (const char* norm : {"1", "2"}) {
      from.add(s + "ln_" + norm + ".weight", constant({16}, 1));
      to.add(t + (*norm == '1' ? "input_layernorm.weight" : "post_attention_layernorm.weight"), constant({16}, 1));
    }
    std::vector<Matrix> both, down;
    for (int e = 0; e < 4; ++e) {
      const Matrix gate = fresh({12, 16}), up = fresh({12, 16}), out = fresh({16, 12});
      from.add(fmt::format("{}moe.{}.gate.weight", s, e), gate), from.add(fmt::format("{}moe.{}.up.weight", s, e), up), from.add(fmt::format("{}moe.{}.down.weight", s, e), out);
      both.push_back(joined({gate, up})), down.push_back(transposed(out));
    }
    to.add(t + "mlp.experts.gate_up_proj", stacked(both));
    to.add(t + "mlp.experts.down_proj", stacked(down));
    std::vector<Matrix> adapters;
    for (int e = 0; e < 3; ++e) adapters.push_back(fresh({6, 16})), to.add(fmt::format("{}adapter_{}.weight", t, e), adapters.back());
    from.add(s + "adapters", stacked(adapters));
    from.add(s + "conv", conv);
    to.add(t + "conv.weight", {{16, 6}, conv.values});
  }
  from.add("transformer.step", fresh({1}));
  const auto source = from.source(), target = to.source();
  const auto result = propose(source, target);
  INFO(text_of(result.diagnostics) << result.rules.text);
  CHECK(result.diagnostics.empty());
  CHECK(result.rules.open_targets.empty());
  CHECK(result.rules.open_sources == std::vector<std::string>{"transformer.step"});
  CHECK(result.rules.rules <= 15);
  for (const char* what : {"copy_of: model.embed_tokens.weight", "fill: 0", "split: {axis: 0, each: e}", "transpose: true, stack", "concat: {axis: 0, of: {part: [gate, up]}}, stack", "reshape: [16, 6]", "permute: [0, 2, 1, 3]", "because: \"open: "})
    CHECK(result.rules.text.find(what) != std::string::npos);
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
