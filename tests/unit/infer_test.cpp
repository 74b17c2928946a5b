// `remap infer` on pairs of layouts: what it proposes is planned, run and compared, with weights and from lists of
// tensors alone.
#include "remap/infer.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>

#include "plan/load_rules.h"
#include "remap/compare.h"
#include "remap/execute.h"
#include "remap/manifest_file.h"
#include "remap/source.h"
#include "remap/values.h"
#include "support/catch.h"
#include "support/child.h"
#include "support/memory_source.h"
#include "support/shipped.h"
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

std::optional<Plan> planned(const std::string& text, const std::vector<NamedSource>& sources,
                            const PlanOptions& options = {}) {
  Diagnostics diagnostics;
  auto impl = std::make_shared<Rules::Impl>();
  auto set = lang::parse_rules(std::make_shared<lang::SourceText>("rules.yaml", text), diagnostics);
  if (!set) return std::nullopt;
  impl->set = std::move(*set);
  return make_plan(Rules::of(std::move(impl)), sources, options, diagnostics);
}
std::optional<Plan> planned(const std::string& text, const Source& source) { return planned(text, {{"", &source}}); }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines = {""};
  for (const char c : text) {
    if (c == '\n')
      lines.emplace_back();
    else
      lines.back() += c;
  }
  return lines;
}

}  // namespace

TEST_CASE(
    "by values: the plan of the proposal is the target, with at most one and a half times the rules of the table") {
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
    const auto source = open_source(kPairs + name + "/source.safetensors"),
               target = open_source(kPairs + name + "/target.safetensors");
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
      if (found == sources)
        ++right;
      else
        CHECK(lines[static_cast<size_t>(plan->rules[given[key]->rule].place.line) - 2].find("# check") !=
              std::string::npos);
    }
    CHECK(10 * right >= 9 * wanted.size());
    CHECK(result.rules.text.find("(rotary)") ==
          std::string::npos);  // the projections keep their names, or are fused and marked so
  }
}

namespace {

// What a proposal from lists gives, beside the plan of the rules that ship.
struct Compared {
  InferredRules proposal;
  std::optional<Plan> plan, shipped;
  size_t right = 0;                   // from the same tensors, or others that hold the same bytes
  std::vector<std::string> unmarked;  // from others, and nothing says that this may be wrong
};

Compared compare_with_shipped(const test::Shipped& row, bool json) {
  Compared result;
  const test::TempFolder folder;
  std::vector<std::unique_ptr<Source>> checkpoints, lists;
  std::vector<NamedSource> real, listed_sources;
  const auto list = [&](const std::string& name, const Source& source) {
    return listed(folder, name, json ? manifest_to_json(source) : manifest_to_text(source.manifest()));
  };
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
  result.shipped = test::shipped_plan(row, real);
  REQUIRE(result.plan);
  const auto refs_of = [&](const Plan& plan, const PlannedTensor& tensor) {
    std::vector<std::pair<uint32_t, size_t>> refs;
    for (const auto& piece : tensor.pieces)
      refs.emplace_back(piece.source, real[piece.source].source->manifest().find(
                                          (*plan.sources[piece.source].manifest)[piece.tensor].key));
    std::sort(refs.begin(), refs.end());
    refs.erase(std::unique(refs.begin(), refs.end()), refs.end());
    return refs;
  };
  const auto same_bytes = [&](const auto& a, const auto& b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [&](const auto& x, const auto& y) {
             return tensors_equal(*real[x.first].source, x.second, *real[y.first].source, y.second);
           });
  };
  const auto lines = lines_of(result.proposal.text);
  std::map<std::string, const PlannedTensor*> given;
  for (const auto& tensor : result.plan->tensors) given[tensor.key] = &tensor;
  for (const auto& tensor : result.shipped->tensors) {
    if (!given.contains(tensor.key)) {
      if (result.proposal.text.find("# open: nothing gives '" + tensor.key + "'") == std::string::npos)
        result.unmarked.push_back(tensor.key);
      continue;
    }
    const PlannedTensor& own = *given[tensor.key];
    const bool alike = own.dtype == tensor.dtype && own.shape == tensor.shape;
    const auto refs = refs_of(*result.plan, own), wanted = refs_of(*result.shipped, tensor);
    result.right += alike && (refs == wanted || same_bytes(refs, wanted));
    const bool marked =
        lines[static_cast<size_t>(result.plan->rules[own.rule].place.line) - 2].find("# check") != std::string::npos;
    if (!(alike && refs == wanted) && !marked) result.unmarked.push_back(tensor.key);
  }
  return result;
}

}  // namespace

TEST_CASE("by names: a source of several files, cut along different axes") {
  for (const auto& row : test::shipped_in_shards())
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
      CHECK(result.proposal.text.find("source: {format: torch, files: \"consolidated.{rank}.pth\"}") !=
            std::string::npos);
      // Where names and shapes decide all, the same elements are read; the order of the rows of q and k is marked.
      const auto lines = lines_of(result.proposal.text);
      for (size_t i = 0; i < result.plan->tensors.size(); ++i) {
        const PlannedTensor &own = result.plan->tensors[i], &shipped = result.shipped->tensors[i];
        INFO(own.key);
        if (own.key.find("q_proj") == std::string::npos && own.key.find("k_proj") == std::string::npos)
          CHECK(own.pieces == shipped.pieces);
        else
          CHECK(lines[static_cast<size_t>(result.plan->rules[own.rule].place.line) - 2].find(
                    "# check: the order of the rows of q and k (rotary)") != std::string::npos);
      }
    }
}

TEST_CASE("by names: what is wrong for a checkpoint of an original library is marked or open") {
  for (const auto& row : test::shipped_whole())
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
Matrix constant(Shape shape, float value) {
  return {shape, std::vector<float>(static_cast<size_t>(element_count(shape)), value)};
}
Matrix transposed(const Matrix& m) {
  Matrix t{{m.shape[1], m.shape[0]}, m.values};
  for (int64_t i = 0; i < m.shape[0]; ++i)
    for (int64_t j = 0; j < m.shape[1]; ++j)
      t.values[static_cast<size_t>(j * m.shape[0] + i)] = m.values[static_cast<size_t>(i * m.shape[1] + j)];
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
        for (int64_t w = 0; w < width; ++w)
          r.values[static_cast<size_t>(((b * columns + j) * rows + i) * width + w)] =
              m.values[static_cast<size_t>(((b * rows + i) * columns + j) * width + w)];
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
    const Matrix q = fresh({16, 16}), k = fresh({8, 16}), v = fresh({8, 16}), o = fresh({16, 16}),
                 conv = fresh({16, 3, 2});
    from.add(s + "attn.c_attn.weight", joined({q, k, v}));
    from.add(s + "attn.c_attn.bias", constant({32}, 0));
    to.add(t + "self_attn.q_proj.weight", q), to.add(t + "self_attn.k_proj.weight", k),
        to.add(t + "self_attn.v_proj.weight", v);
    to.add(t + "self_attn.q_proj.bias", constant({16}, 0)), to.add(t + "self_attn.k_proj.bias", constant({8}, 0)),
        to.add(t + "self_attn.v_proj.bias", constant({8}, 0));
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
      from.add(fmt::format("{}moe.{}.gate.weight", s, e), gate), from.add(fmt::format("{}moe.{}.up.weight", s, e), up),
          from.add(fmt::format("{}moe.{}.down.weight", s, e), out);
      both.push_back(joined({gate, up})), down.push_back(transposed(out));
    }
    to.add(t + "mlp.experts.gate_up_proj", stacked(both));
    to.add(t + "mlp.experts.down_proj", stacked(down));
    std::vector<Matrix> adapters;
    for (int e = 0; e < 3; ++e)
      adapters.push_back(fresh({6, 16})), to.add(fmt::format("{}adapter_{}.weight", t, e), adapters.back());
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
  for (const char* what : {"copy_of: model.embed_tokens.weight", "fill: 0", "split: {axis: 0, each: e}",
                           "transpose: true, stack", "concat: {axis: 0, of: {part: [gate, up]}}, stack",
                           "reshape: [16, 6]", "permute: [0, 2, 1, 3]", "because: \"open: "})
    CHECK(result.rules.text.find(what) != std::string::npos);
}

namespace {

// ------------------------------------------------------------ generated pairs

Matrix permuted(const Matrix& m, const std::vector<size_t>& order) {
  Matrix result{{}, {}};
  for (const size_t axis : order) result.shape.push_back(m.shape[axis]);
  std::vector<int64_t> strides(m.shape.size(), 1);
  for (size_t d = m.shape.size(); d-- > 1;) strides[d - 1] = strides[d] * m.shape[d];
  const int64_t count = element_count(m.shape);
  for (int64_t i = 0; i < count; ++i) {
    int64_t at = 0, rest = i;
    for (size_t d = order.size(); d-- > 0;) {
      at += rest % result.shape[d] * strides[order[d]];
      rest /= result.shape[d];
    }
    result.values.push_back(m.values[static_cast<size_t>(at)]);
  }
  return result;
}
// The stacked axis last but `axis`.
Matrix stacked_at(const std::vector<Matrix>& parts, size_t axis) {
  const Matrix first = stacked(parts);
  std::vector<size_t> order;
  for (size_t d = 1; d < first.shape.size(); ++d) order.push_back(d);
  order.insert(order.begin() + static_cast<std::ptrdiff_t>(axis), 0);
  return permuted(first, order);
}
Matrix rows(const Matrix& m, int64_t begin, int64_t count) {
  const int64_t width = element_count(m.shape) / m.shape[0];
  Matrix part{m.shape, {m.values.begin() + begin * width, m.values.begin() + (begin + count) * width}};
  part.shape[0] = count;
  return part;
}
// A group of rows of each, then the next: heads of q, k and v by turns.
Matrix by_turns(const std::vector<Matrix>& parts, int64_t groups) {
  std::vector<Matrix> all;
  for (int64_t g = 0; g < groups; ++g)
    for (const Matrix& part : parts) all.push_back(rows(part, g * (part.shape[0] / groups), part.shape[0] / groups));
  return joined(all);
}

class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  int64_t roll(int64_t n) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int64_t>((state_ >> 33) % static_cast<uint64_t>(n));
  }
  bool chance(int64_t percent) { return roll(100) < percent; }
  template <typename T>
  T one_of(const std::vector<T>& list) {
    return list[static_cast<size_t>(roll(static_cast<int64_t>(list.size())))];
  }

 private:
  uint64_t state_;
};

// One layer's part of a pair: keys below a prefix on each side. `same` is seeded alike in all layers: sizes, orders.
struct Layer {
  Checkpoint &from, &to;
  std::string s, t;
  int number;
  Dice same, own;
};

void experts_in_ranges(Layer& l) {
  const int64_t experts = 2 + l.same.roll(11), ranges = 1 + l.same.roll(std::min<int64_t>(experts, 3)),
                axis = l.same.roll(3);
  const bool turned = l.same.chance(30), other_size = l.same.chance(30);
  std::vector<int64_t> ends = {experts};
  for (int64_t i = 1; i < ranges; ++i) ends.push_back(1 + l.same.roll(experts - 1));
  std::sort(ends.begin(), ends.end());
  int64_t begin = 0;
  for (size_t r = 0; r < ends.size(); ++r) {
    std::vector<Matrix> parts;
    for (int64_t e = begin; e < ends[r]; ++e) {
      parts.push_back(fresh({other_size ? 6 + static_cast<int64_t>(r) : 6, 5}));
      l.from.add(fmt::format("{}experts.{}.down.weight", l.s, e), parts.back());
      if (turned) parts.back() = transposed(parts.back());
    }
    if (!parts.empty())
      l.to.add(fmt::format("{}kind_{}.down", l.t, "abc"[r]), stacked_at(parts, static_cast<size_t>(axis)));
    begin = ends[r];
  }
}
void fused_experts(Layer& l) {
  const int64_t experts = 2 + l.same.roll(5), cut = 1 + l.same.roll(experts - 1);
  const bool turns = l.same.chance(50);
  std::vector<Matrix> all;
  for (int64_t e = 0; e < experts; ++e) {
    const Matrix gate = fresh({4, 6}), up = fresh({4, 6});
    l.from.add(fmt::format("{}moe.{}.gate.weight", l.s, e), gate),
        l.from.add(fmt::format("{}moe.{}.up.weight", l.s, e), up);
    all.push_back(turns ? by_turns({gate, up}, 4) : joined({gate, up}));
  }
  l.to.add(l.t + "moe.first.gate_up", stacked({all.begin(), all.begin() + cut}));
  l.to.add(l.t + "moe.second.gate_up", stacked({all.begin() + cut, all.end()}));
}
void cut_experts(Layer& l) {
  const bool turns = l.same.chance(50), turned = l.same.chance(50);
  std::vector<Matrix> all;
  const int64_t experts = 2 + l.same.roll(3);
  for (int64_t e = 0; e < experts; ++e) {
    const Matrix gate = fresh({4, 6}), up = fresh({turns ? 8 : 5, 6});
    for (const auto& [name, part] : {std::pair{"gate", gate}, {"up", up}})
      l.to.add(fmt::format("{}cut.{}.{}.weight", l.t, e, name), turned ? transposed(part) : part);
    all.push_back(turns ? by_turns({gate, up}, 4) : joined({gate, up}));
  }
  l.from.add(l.s + "cut.gate_up", stacked(all));
}
// q, k and v by heads, in some order; several query heads may share one of k and v. Either way round.
void heads_by_turns(Layer& l) {
  const int64_t groups = 2 + l.same.roll(3), size = 1 + l.same.roll(3), queries = 1 + l.same.roll(3);
  const bool joins = l.same.chance(50), turned = l.same.chance(30);
  std::vector<size_t> order = {0, 1, 2};
  if (l.same.chance(50)) std::swap(order[0], order[static_cast<size_t>(1 + l.same.roll(2))]);
  Checkpoint &whole = joins ? l.to : l.from, &parts = joins ? l.from : l.to;
  for (const bool bias : {false, true}) {
    const auto matrix = [&](int64_t n) { return bias ? fresh({n}) : fresh({n, 7}); };
    const std::vector<Matrix> all = {matrix(groups * queries * size), matrix(groups * size), matrix(groups * size)};
    const std::string leaf = bias ? "bias" : "weight";
    whole.add((joins ? l.t : l.s) + "attn.qkv." + leaf,
              by_turns({all[order[0]], all[order[1]], all[order[2]]}, groups));
    for (size_t i = 0; i < 3; ++i)
      parts.add(fmt::format("{}attn.{}_proj.{}", joins ? l.s : l.t, "qkv"[i], leaf),
                turned && !bias ? transposed(all[i]) : all[i]);
  }
}
// Experts that hold the same, or zeros: copied from one, or not trained yet.
void equal_experts(Layer& l) {
  const int64_t experts = 2 + l.same.roll(11);
  const bool joins = l.same.chance(50), all_equal = l.same.chance(30);
  const Matrix one = fresh({3, 5});
  std::vector<Matrix> all;
  for (int64_t e = 0; e < experts; ++e) {
    const int64_t kind = all_equal ? 0 : l.number == 0 ? 2 : l.own.roll(4);
    all.push_back(kind == 0 ? one : kind == 1 && e > 0 ? constant({3, 5}, 0) : fresh({3, 5}));
    (joins ? l.from : l.to)
        .add(fmt::format("{}same.expert_{}.wo", joins ? l.s : l.t, e), joins ? all.back() : transposed(all.back()));
  }
  (joins ? l.to : l.from).add((joins ? l.t : l.s) + "same.wo", stacked(all));
}
void experts_to_two_places(Layer& l) {
  const int64_t experts = 3 + l.same.roll(5), cut = 1 + l.same.roll(experts - 1);
  std::vector<Matrix> all;
  for (int64_t e = 0; e < experts; ++e) {
    all.push_back(fresh({4, 3}));
    l.to.add(e < cut ? fmt::format("{}left.{}.w", l.t, e) : fmt::format("{}right.{}.w", l.t, e - cut), all.back());
  }
  l.from.add(l.s + "both.w", stacked(all));
}
void experts_out_of_order(Layer& l) {
  std::vector<Matrix> all;
  for (int e = 0; e < 4; ++e) l.from.add(fmt::format("{}shuffled.{}.w", l.s, e), all.emplace_back(fresh({2, 3})));
  const auto first = static_cast<size_t>(l.same.roll(4));
  std::swap(all[first], all[(first + 1) % 4]);
  l.to.add(l.t + "shuffled", stacked(all));
}
// Counters are equal scalars; norms that are not trained are ones and zeros.
void batch_norms(Layer& l) {
  const auto norm = [&](const std::string& s, const std::string& t, bool trained) {
    for (const auto& [leaf, value] :
         {std::pair{"weight", 1.f}, {"bias", 0.f}, {"running_mean", 0.f}, {"running_var", 1.f}}) {
      const Matrix m = trained ? fresh({6}) : constant({6}, value);
      l.from.add(l.s + s + leaf, m), l.to.add(l.t + t + leaf, m);
    }
    l.from.add(l.s + s + "num_batches_tracked", constant({}, 7)),
        l.to.add(l.t + t + "num_batches_tracked", constant({}, 7));
  };
  for (int i = 1; i <= 2; ++i) {
    const Matrix conv = fresh({6, 4, 3, 3});
    l.from.add(fmt::format("{}conv{}.weight", l.s, i), conv),
        l.to.add(fmt::format("{}layer.{}.convolution.weight", l.t, i - 1), conv);
    norm(fmt::format("bn{}.", i), fmt::format("layer.{}.normalization.", i - 1), l.own.chance(60));
  }
  const Matrix shortcut = fresh({6, 4, 1, 1});
  l.from.add(l.s + "downsample.0.weight", shortcut), l.to.add(l.t + "shortcut.convolution.weight", shortcut);
  norm("downsample.1.", "shortcut.normalization.", true);
}
void biases_of_zeros(Layer& l) {
  const std::vector<Matrix> weights = {fresh({4, 6}), fresh({4, 6}), fresh({4, 6})},
                            biases = {constant({4}, 0), fresh({4}), constant({4}, 0)};
  l.from.add(l.s + "att.in_proj_weight", joined(weights)), l.from.add(l.s + "att.in_proj_bias", joined(biases));
  for (size_t i = 0; i < 3; ++i)
    l.to.add(fmt::format("{}att.{}_proj.weight", l.t, "qkv"[i]), weights[i]),
        l.to.add(fmt::format("{}att.{}_proj.bias", l.t, "qkv"[i]), biases[i]);
  for (const auto& [s, t] :
       {std::pair{"ln_1.weight", "input_layernorm.weight"}, {"ln_2.weight", "post_attention_layernorm.weight"}})
    l.from.add(l.s + s, constant({6}, 1)), l.to.add(l.t + t, constant({6}, 1));
}

// What the text's plan gives as the target has it, asked of no part of infer.
std::set<std::string> reproduced(const std::string& text, const Source& source, const test::MemorySource& target,
                                 std::set<std::string>& unexpected) {
  struct Memory : Sink {
    std::vector<std::vector<std::byte>> buffers;
    TensorPlace place(size_t index) const override { return {index, 0}; }
    std::byte* memory(size_t file) override { return buffers[file].data(); }
  } sink;
  std::set<std::string> keys;
  PlanOptions options;
  options.same = tensors_equal;
  const auto plan = planned(text, {{"", &source}}, options);
  if (!plan) return keys;
  for (const auto& tensor : plan->tensors) sink.buffers.emplace_back(static_cast<size_t>(data_bytes(tensor)));
  execute(plan->tensors, {&source}, sink);
  for (size_t i = 0; i < plan->tensors.size(); ++i) {
    const PlannedTensor& tensor = plan->tensors[i];
    const size_t t = target.manifest().find(tensor.key);
    if (t == Manifest::npos) {
      unexpected.insert(tensor.key);
      continue;
    }
    const TensorInfo& info = target.manifest()[t];
    if (info.dtype == tensor.dtype && info.shape == tensor.shape && sink.buffers[i] == target.tensor(t).bytes)
      keys.insert(tensor.key);
  }
  return keys;
}

// A proposal is the target bit for bit, or names every tensor that it does not give.
void check_proof(const test::MemorySource& source, const test::MemorySource& target) {
  const auto result = propose(source, target);
  INFO(text_of(result.diagnostics) << result.rules.text);
  CHECK(result.diagnostics.empty());
  std::set<std::string> unexpected;
  const auto given = reproduced(result.rules.text, source, target, unexpected);
  std::set<std::string> missing;
  for (const auto& tensor : target.manifest().tensors())
    if (!given.contains(tensor.key)) missing.insert(tensor.key);
  CHECK(missing == std::set<std::string>(result.rules.open_targets.begin(), result.rules.open_targets.end()));
  CHECK(unexpected == std::set<std::string>(result.rules.unexpected.begin(), result.rules.unexpected.end()));
  CHECK(result.rules.reproduced == given.size());
  for (const auto& key : missing) {
    std::string shown = key;
    std::replace_if(
        shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, '?');
    INFO(key);
    CHECK(result.rules.text.find("'" + shown + "'") != std::string::npos);
  }
  CHECK(result.rules.text == propose(source, target).rules.text);
}

}  // namespace

TEST_CASE(
    "by values: generated layers of experts, heads by turns, equal bytes and counters are found whole, one rule for "
    "all layers") {
  struct Row {
    const char* name;
    void (*add)(Layer&);
    size_t rules;  // at most, for all layers
  };
  const std::vector<Row> rows = {{"experts in ranges", experts_in_ranges, 3},
                                 {"fused experts", fused_experts, 2},
                                 {"cut experts", cut_experts, 1},
                                 {"heads by turns", heads_by_turns, 2},
                                 {"equal experts", equal_experts, 1},
                                 {"to two places", experts_to_two_places, 1},
                                 {"out of order", experts_out_of_order, 1},
                                 {"batch norms", batch_norms, 6},
                                 {"biases of zeros", biases_of_zeros, 3}};
  const std::vector<std::string> sources = {"layers.{}.", "net.stages.0.layers.{}."},
                                 targets = {"model.layers.{}.", "encoder.layer.{}.body."};
  for (uint64_t seed = 0; seed < 120; ++seed) {
    Dice dice(seed);
    const auto layers = dice.one_of<int>({1, 2, 3, 11}), first = dice.one_of<int>({0, 0, 1});
    const std::string s = dice.one_of(sources), t = dice.one_of(targets);
    // One kind alone, or two beside each other.
    std::vector<Row> chosen = {rows[seed % rows.size()]};
    if (seed >= 2 * rows.size())
      chosen.push_back(
          rows[(seed + 1 + static_cast<uint64_t>(dice.roll(static_cast<int64_t>(rows.size()) - 1))) % rows.size()]);
    Checkpoint from, to;
    size_t most = 0;
    std::string what;
    for (const Row& row : chosen) {
      for (int i = 0; i < layers; ++i) {
        Layer layer{from,
                    to,
                    fmt::format(fmt::runtime(s), i + first),
                    fmt::format(fmt::runtime(t), i),
                    i,
                    Dice(seed + 1000),
                    Dice(seed + 1000 * static_cast<uint64_t>(i + 2))};
        row.add(layer);
      }
      most += row.rules;
      what += std::string(row.name) + ", ";
    }
    const auto source = from.source(), target = to.source();
    const auto result = propose(source, target);
    INFO(seed << ": " << what << layers << " layers\n" << text_of(result.diagnostics) << result.rules.text);
    CHECK(result.diagnostics.empty());
    CHECK(result.rules.holds());
    CHECK(result.rules.reproduced == result.rules.targets);
    CHECK(result.rules.rules <= most);
    check_proof(source, target);
  }
}

TEST_CASE("by values: what is held twice, under a key that no rule can say") {
  const Matrix twice = fresh({2, 3});
  for (const char* key : {"${v}.weight", "{e}", "x*y"}) {
    Checkpoint from, to;
    from.add(key, twice), from.add("a", twice);
    to.add("a", twice);
    INFO(key);
    check_proof(from.source(), to.source());
    check_proof(to.source(), from.source());
  }
}

TEST_CASE("by values: whatever the target is, what the proposal does not give is named") {
  const std::vector<std::string> words = {"a",          "b.0",        "b.1",        "b.2",  "b.10", "layers.0.w",
                                          "layers.1.w", "layers.3.w", "layers.1.x", "x*y",  "{e}",  "q \"r\"",
                                          "re:z",       "${v}",       "d\ne",       "true", "0",    "7.7"};
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Dice dice(seed);
    std::vector<Matrix> known;
    const auto matrix = [&]() -> Matrix {
      if (!known.empty() && dice.chance(50)) {
        Matrix old = dice.one_of(known);
        const int64_t what = dice.roll(6);
        if (what == 0 && old.shape.size() == 2) return transposed(old);
        if (what == 1 && old.shape.size() == 2 && old.shape[0] > 1)
          return rows(old, dice.roll(old.shape[0] - 1), 1 + dice.roll(2) % old.shape[0]);
        if (what == 2 && !old.shape.empty()) return joined({old, old});
        if (what == 3 && !old.shape.empty()) return stacked({old, old});
        if (what == 4)
          std::rotate(old.values.begin(), old.values.begin() + static_cast<std::ptrdiff_t>(old.values.size() / 3),
                      old.values.end());
        return old;
      }
      Shape shape = dice.one_of<Shape>({{4}, {2, 3}, {4, 3}, {3, 4}, {2, 2, 3}, {6}, {}, {1}});
      return dice.chance(30) ? constant(shape, static_cast<float>(dice.roll(2))) : fresh(shape);
    };
    Checkpoint sides[2];
    for (Checkpoint& side : sides) {
      std::set<std::string> keys;
      for (int64_t i = 0; i < 1 + dice.roll(10); ++i)
        keys.insert(dice.one_of(words) + (dice.chance(20) ? ".weight" : ""));
      for (const auto& key : keys) {
        known.push_back(matrix());
        side.add(key, known.back());
      }
    }
    INFO(seed);
    check_proof(sides[0].source(), sides[1].source());
  }
}

TEST_CASE("by values: several named sources") {
  const auto model = open_source(kData + "/flava/source/model.pt"),
             codebook = open_source(kData + "/flava/source/encoder.pkl"),
             target = open_source(kData + "/flava/expected");
  Diagnostics diagnostics;
  const auto result = infer_rules({{"", model.get()}, {"codebook", codebook.get()}}, *target, {"mine"}, diagnostics);
  INFO(text_of(diagnostics) << result.text);
  CHECK(result.open_targets.empty());
  CHECK(2 * result.rules <= 3 * 34);
  CHECK(result.text.find("source: codebook") != std::string::npos);
}

TEST_CASE("the same inputs give the same text") {
  const std::string pair = kPairs + "molmo2";
  const auto first = propose(pair + "/source.safetensors", pair + "/target.safetensors"),
             second = propose(pair + "/source.safetensors", pair + "/target.safetensors");
  CHECK(first.rules.text == second.rules.text);
}

TEST_CASE("lists that have little to do with each other are answered, and all of it is open or marked") {
  const test::TempFolder folder;
  const auto from = listed(folder, "s", "a.b F32 [2,3]\nc F32 [4]\n\"d{e}*\" F32 [5]\n\"\\\\1 x\" F32 [0]\n"),
             to = listed(folder, "t", "x F32 [7,7]\ny.z F32 [4]\n\"d{e}*\" F32 [5]\n\"q r\" F32 [0]\n");
  const auto result = propose(*from, *to);
  INFO(text_of(result.diagnostics) << result.rules.text);
  CHECK(result.rules.targets == 4);
  CHECK(result.rules.reproduced < 4);
  CHECK(result.rules.text.find("# open: nothing gives 'x'") != std::string::npos);
  CHECK(result.rules.text.find("# check: only its shape says so") != std::string::npos);
}

TEST_CASE("layers that count from another number keep whole subtrees in one rule") {
  const test::TempFolder folder;
  std::string source, target;
  for (int layer = 0; layer < 3; ++layer) {
    target += fmt::format("block.{}.first.w F32 [{}]\n", layer, layer == 0 ? 9 : 8);
    source += fmt::format("layers.{}.last.w F32 [7]\n", layer);
    for (const char* name : {"q", "k", "v", "o"}) {
      source += fmt::format("layers.{}.attn.{}.w F32 [4,5]\n", layer, name);
      target += fmt::format("block.{}.attn.{}.w F32 [4,5]\n", layer + 1, name);
    }
  }
  const auto from = listed(folder, "s", source), to = listed(folder, "t", target);
  const auto result = propose(*from, *to);
  INFO(text_of(result.diagnostics) << result.rules.text);
  CHECK(result.rules.text.find("block.{i+1}.attn.**") != std::string::npos);
  CHECK(result.rules.reproduced == 12);
}

TEST_CASE("signs of infer's own are characters of keys like others") {
  const test::TempFolder folder;
  std::string source, target;
  for (const char* key : {"a#.0.w", "a#.1.w", "a1.0.w", "a2.0.w", "x.#", "x.0", "x.1"}) {
    source += fmt::format("\"old.{}\" F32 [4]\n", key);
    target += fmt::format("\"new.{}\" F32 [4]\n", key);
  }
  const auto from = listed(folder, "s", source), to = listed(folder, "t", target);
  const auto result = propose(*from, *to);
  INFO(text_of(result.diagnostics) << result.rules.text);
  CHECK(result.rules.reproduced == 7);
}

TEST_CASE("nothing on one side") {
  const test::TempFolder folder;
  const auto none = listed(folder, "s", "{\"remap_manifest\": 1, \"format\": \"torch\", \"tensors\": []}"),
             one = listed(folder, "t", "x F32 [7,7]\n");
  CHECK(propose(*none, *one).rules.open_targets == std::vector<std::string>{"x"});
  CHECK(propose(*one, *none).rules.targets == 0);
}

TEST_CASE("a hundred thousand tensors by name") {
  const test::TempFolder folder;
  const auto seconds_for = [&](int layers) {
    std::string source, target;
    for (int layer = 0; layer < layers; ++layer)
      for (int expert = 0; expert < 512; ++expert)
        for (const auto& [from, to] :
             {std::pair{"w1", "gate_proj"}, std::pair{"w2", "down_proj"}, std::pair{"w3", "up_proj"}}) {
          const char* shape = from == std::string("w2") ? "[64,128]" : "[128,64]";
          source += fmt::format("layers.{}.moe.experts.{}.{}.weight BF16 {}\n", layer, expert, from, shape);
          target += fmt::format("model.layers.{}.mlp.experts.{}.{}.weight BF16 {}\n", layer, expert, to, shape);
        }
    const auto from = listed(folder, "s", source), to = listed(folder, "t", target);
    const double begin = test::processor_seconds();
    const auto result = propose(*from, *to);
    INFO(result.rules.text);
    CHECK(result.rules.open_targets.empty());
    CHECK(result.rules.rules <= 3);
    return test::processor_seconds() - begin;
  };
  const double few = std::max(seconds_for(6), seconds_for(6)), many = seconds_for(48);
  INFO(few << " s, " << many << " s");
  CHECK(many < 24 * few);  // eight times the tensors: 64 times, if pairs were looked at
}
