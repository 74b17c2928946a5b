// Named sizes solved from shapes, and which rule is wrong where shapes contradict each other.
#include "plan/bind_dims.h"
#include "plan/match_keys.h"
#include "support/catch.h"
#include "support/planning.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

using namespace remap;
using namespace remap::test;

namespace {

struct Tensor {
  std::string key, terms;  // the rule's shape, "" for a rule without one
  Shape shape;
};

// One rule a tensor: the n-th is line 4 + n. `wrong`: the line of the rule without which all else would fit.
struct Bound {
  explicit Bound(const std::vector<Tensor>& list, int wrong_line = 0)
      : planning(body_of(list), tensors_of(list)),
        wrong(wrong_line),
        matches(plan::match_keys(planning.input, choices, active(), planning.scope, planning.diagnostics)),
        dims(plan::bind_dims(planning.input, choices, matches, std::nullopt, trial(), planning.scope,
                             planning.diagnostics)) {}

  static std::string body_of(const std::vector<Tensor>& list) {
    std::string body = "rules:\n";
    for (const Tensor& t : list)
      body += fmt::format("  - {{keep: {}{}}}\n", t.key, t.terms.empty() ? "" : ", shape: [" + t.terms + "]");
    return body;
  }
  static std::vector<MemoryTensor> tensors_of(const std::vector<Tensor>& list) {
    std::vector<MemoryTensor> tensors;
    for (const Tensor& t : list) tensors.push_back({t.key, DType::f32, t.shape, {}});
    return tensors;
  }
  plan::ActiveRules active() const { return plan::ActiveRules(planning.rules.rules.size(), true); }
  plan::Trial trial() {
    return [this](const plan::Choices&, plan::Dims::RuleLine disbelieved) {
      tried.push_back(disbelieved.first);
      Diagnostics found;
      if (disbelieved.first != wrong) found.error("plan-layout", {}, "something else is wrong then");
      return found;
    };
  }
  std::string text() const {
    std::vector<std::string> parts;
    for (const auto& [name, dim] : dims.bound()) parts.push_back(fmt::format("{}={}", name, dim.value));
    return fmt::format("{}", fmt::join(parts, " "));
  }

  ToyPlanning planning;
  plan::Choices choices;
  const int wrong;
  std::vector<int> tried;  // lines
  plan::Matches matches;
  plan::Dims dims;
};

}  // namespace

TEST_CASE("dims are solved from the shapes that rules state") {
  struct Row {
    std::vector<Tensor> tensors;
    const char* bound;
  };
  const Row rows[] = {
      {{{"a", "hidden, ffn", {4, 8}}}, "ffn=8 hidden=4"},
      {{{"a", "_, ffn", {4, 8}}}, "ffn=8"},
      {{{"a", "3*hidden", {12}}}, "hidden=4"},
      {{{"a", "hidden*3", {12}}}, "hidden=4"},
      {{{"a", "hidden + 2", {12}}}, "hidden=10"},
      {{{"a", "hidden - 2", {12}}}, "hidden=14"},
      {{{"a", "20 - hidden", {12}}}, "hidden=8"},
      {{{"a", "hidden / 2", {12}}}, "hidden=24"},
      {{{"a", "24 / hidden", {12}}}, "hidden=2"},
      {{{"a", "2*(hidden + 1)", {12}}}, "hidden=5"},
      // A plain name binds first, wherever it stands.
      {{{"a", "heads*head", {12}}, {"b", "heads", {3}}}, "head=4 heads=3"},
      {{{"a", "3*hidden", {12}}, {"b", "hidden", {4}}}, "hidden=4"},
      // One dim needs another first.
      {{{"a", "x*y", {6}}, {"b", "y*z", {15}}, {"c", "z", {5}}}, "x=2 y=3 z=5"},
  };
  for (const Row& row : rows) {
    const Bound bound(row.tensors);
    CAPTURE(row.tensors.front().terms);
    CHECK(bound.text() == row.bound);
    CHECK(messages(bound.planning.diagnostics).empty());
  }
}

TEST_CASE("a size that the shapes do not tell, and one that they tell otherwise, are reported") {
  using Messages = std::vector<std::string>;
  struct Row {
    std::vector<Tensor> tensors;
    Messages messages;
  };
  const Row rows[] = {
      {{{"a", "x*y", {6}}}, {"plan-dim-unbound: axis 0 of 'a' is 6, which does not tell what 'x*y' is"}},
      {{{"a", "5*x", {6}}}, {"plan-dim-unbound: axis 0 of 'a' is 6, which does not tell what '5*x' is"}},
      {{{"a", "x, y", {6}}}, {"plan-shape-mismatch: 'a' has the shape [6]: 1 axes, where the rule says 2"}},
      {{{"a", "4", {6}}}, {"plan-shape-mismatch: axis 0 of 'a' is 6; '4' says 4"}},
      // Three rules say 4, one says 6: that one is wrong, wherever it stands.
      {{{"a", "x", {6}}, {"b", "x", {4}}, {"c", "x", {4}}, {"d", "x", {4}}},
       {"plan-shape-mismatch: axis 0 of 'a' is 6; 'x' says 4"}},
      {{{"a", "x", {4}}, {"b", "x", {4}}, {"c", "x, x", {6, 4}}, {"d", "x", {4}}},
       {"plan-shape-mismatch: axis 0 of 'c' is 6; 'x' says 4"}},
  };
  for (const Row& row : rows) {
    const Bound bound(row.tensors);
    CHECK(messages(bound.planning.diagnostics) == row.messages);
    CHECK(bound.tried.empty());
  }
}

TEST_CASE("where two rules contradict each other alone, planning without each tells") {
  const struct {
    int wrong;
    const char* message;
  } rows[] = {
      {0, "plan-shape-mismatch: axis 0 of 'b' is 6; 'x' says 4, by rules.yaml:5:23 (one of the two rules is wrong)"},
      {5, "plan-shape-mismatch: axis 0 of 'a' is 4; 'x' says 6"},
      {6, "plan-shape-mismatch: axis 0 of 'b' is 6; 'x' says 4"},
  };
  for (const auto& row : rows) {
    const Bound bound({{"a", "x", {4}}, {"b", "x", {6}}}, row.wrong);
    CHECK(bound.tried == std::vector<int>{6, 5});  // the last first
    CHECK(messages(bound.planning.diagnostics) == std::vector<std::string>{row.message});
  }
}

TEST_CASE("a dim that one rule names alone") {
  Bound bound({{"a", "x, y", {4, 5}}, {"b", "x", {4}}, {"c", "z*x", {8}}});
  CHECK(bound.dims.alone({5, 5}));
  CHECK_FALSE(bound.dims.alone({6, 5}));
  CHECK(bound.dims.alone({7, 5}));
}

TEST_CASE("what a hole took is a value, and an entry of a dim") {
  const std::string body =
      "rules:\n"
      "  - {from: \"{m}.w\", to: \"{m}.w\", shape: [hidden.m]}\n"
      "  - {from: \"x{i:int}\", to: \"x{i}\", shape: [2*i + base]}\n";
  ToyPlanning planning(body, {{"text.w", DType::f32, {4}, {}},
                              {"image.w", DType::f32, {6}, {}},
                              {"x1", DType::f32, {5}, {}},
                              {"x2", DType::f32, {7}, {}}});
  const plan::Choices choices;
  const plan::Matches matches =
      plan::match_keys(planning.input, choices, {true, true}, planning.scope, planning.diagnostics);
  const plan::Dims dims =
      plan::bind_dims(planning.input, choices, matches, std::nullopt, {}, planning.scope, planning.diagnostics);
  CHECK(messages(planning.diagnostics).empty());
  CHECK(planning.scope.dims == std::map<std::string, int64_t>{{"base", 3}, {"hidden.image", 6}, {"hidden.text", 4}});
  CHECK(dims.bound().at("base").origin == "axis 0 of 'x1'");
}
