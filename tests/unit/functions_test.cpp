// Every function of the expression language and every part of a forward pass: its value, and what it says of arguments
// that it cannot take. Every row of both tables has to be here.
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "support/catch.h"
#include "support/memory_source.h"
#include "verify/part_table.h"
#include "verify/runner.h"

using namespace remap;

namespace {

test::MemoryTensor tensor(const std::string& key, Shape shape, const std::vector<float>& values) {
  test::MemoryTensor t{key, DType::f32, std::move(shape), std::vector<std::byte>(values.size() * sizeof(float))};
  std::memcpy(t.bytes.data(), values.data(), t.bytes.size());
  return t;
}

const test::MemorySource& checkpoint() {
  static const test::MemorySource source({
      tensor("bands.weight", {1, 2, 1}, {2, 10}),
      tensor("fc.bias", {2}, {10, 20}),
      tensor("fc.weight", {2, 3}, {1, 0, 0, 0, 1, 0}),
      tensor("heads.nli.w", {2}, {1, 2}),
      tensor("heads.qa.w", {2}, {1, 2}),
      tensor("image.weight", {1, 1, 1, 2}, {1, 1}),
      tensor("layers.0.w", {2}, {1, 2}),
      tensor("layers.2.w", {2}, {1, 3}),
      tensor("layers.10.w", {2}, {1, 2}),
      tensor("norm.bias", {3}, {0, 0, 1}),
      tensor("norm.weight", {3}, {1, 1, 2}),
      tensor("rank.0.w", {1, 2}, {1, 2}),
      tensor("rank.1.w", {1, 2}, {3, 4}),
      tensor("table", {3, 2}, {0, 1, 10, 11, 20, 21}),
  });
  return source;
}

const std::vector<NamedSource>& sources() {
  static const std::vector<NamedSource> list = {{"", &checkpoint()}};
  return list;
}

lang::Expression parsed(const std::string& text) {
  Diagnostics diagnostics;
  lang::YamlNode node;
  node.kind = lang::YamlNode::Kind::scalar;
  node.text = text;
  node.line = node.column = 1;
  auto expression =
      lang::parse_expression(text, lang::span_of(std::make_shared<lang::SourceText>("test.yaml", text), node),
                             diagnostics, forward::forward_functions());
  if (!expression) throw Error(diagnostics.items().front());
  return *expression;
}

// "[1,2]", "[2,3]: 1 2 3 4 5 6" of a tensor, or "1:1: a message".
std::string result_of(const std::string& text, lang::Scope& scope) {
  try {
    const lang::Value value = lang::evaluate_known(parsed(text), scope);
    const forward::Tensor* t = forward::tensor_in(value);
    if (t == nullptr) return value.json.dump();
    std::string shown = fmt::format("{}:", to_string(t->shape));
    for (int64_t i = 0; i < t->size(); ++i) shown += fmt::format(" {:.4g}", t->data[i]);
    return shown;
  } catch (const Error& e) {
    const auto* place = std::get_if<TextPlace>(&e.diagnostic().place);
    return fmt::format("{}:{}: {}", place == nullptr ? 0 : place->line, place == nullptr ? 0 : place->column,
                       e.diagnostic().message);
  }
}

struct Row {
  const char *expression, *result;
};

bool is_message(std::string_view result) { return result.starts_with("1:"); }

// The functions that some row calls first.
std::set<std::string> called(const std::vector<Row>& rows, bool messages) {
  std::set<std::string> names;
  for (const Row& row : rows)
    if (is_message(row.result) == messages)
      names.insert(std::string(row.expression).substr(0, std::string_view(row.expression).find('(')));
  return names;
}

std::set<std::string> names_of(const std::vector<lang::FunctionRow>& table) {
  std::set<std::string> names;
  for (const auto& row : table) names.emplace(row.name);
  return names;
}

const std::vector<Row> kFunctions = {
    {"before_last(['a 1', 'b c 2'], ' ')", R"(["a","b c"])"},
    {"before_last(['a'], ' ')", R"(1:1: "a" does not hold " ")"},
    {"before_last('a b', ' ')", "1:1: 'before_last' needs a list of strings and a separator"},
    {"by_index(['a', 'b'])", R"({"0":"a","1":"b"})"},
    {"by_index('a')", R"(1:1: 'by_index' needs a list; found "a")"},
    {"captures('heads.{h}.w', 'h')", R"(["nli","qa"])"},
    {"captures('layers.{i:int}.w', 'i')", R"(["0","2","10"])"},  // 2 before 10
    {"captures('heads.{h.w', 'h')", "1:1: '{' is not closed"},
    {"column([[1, 2], [3, 4]], 1)", "[2,4]"},
    {"column([[1, 2], [3, 4]], -2)", "[1,3]"},
    {"column([[1], []], 0)", "1:1: [] has no entry 0"},
    {"column([1], 'x')", R"(1:1: 'column' needs an integer as argument 2; found "x")"},
    {"count('layers.*.w')", "3"},
    {"count('**.w')", "1"},  // neither an index nor a hole
    {"count('re:(')", "1:1: not an expression: '(' is not closed"},
    {"counts('{p:layers|heads}.{i}.w', 'p')", "[2,3]"},
    {"counts('{p:layers|heads}.*.w', 'q')",
     "1:1: '{p:layers|heads}.*.w' has no hole '{q}' whose texts could be told apart"},
    {"exists('layers.0.**')", "true"},
    {"exists('layers.1.w')", "false"},
    {"exists(1)", "1:1: 'exists' needs a string; found 1"},
    {"index_of(['x', 'y'])", R"({"x":0,"y":1})"},
    {"index_of(['x', 'x'])", R"(1:1: "x" is twice in the list)"},
    {"index_of([1])", "1:1: 'index_of' needs a list of strings"},
    {"indices('layers.*.w')", "[0,2,10]"},
    {"indices('heads.{h}.w')", "1:1: 'heads.{h}.w' has no '*' whose values could be listed"},
    {"int('12')", "12"},
    {"int(-2.9)", "-2"},
    {"int('1.5')", R"(1:1: "1.5" is not an integer)"},
    {"int(1e300)", "1:1: 1e+300 is not an integer"},
    {"inverted(by_index(['cat', 'dog']))", R"({"cat":0,"dog":1})"},
    {"inverted(index_of(['cat', 'dog']))", R"({"0":"cat","1":"dog"})"},
    {"inverted(by_index(['cat', 'cat']))", R"(1:1: 'inverted': "cat" is the value of two names)"},
    {"inverted(by_index([1.5]))", "1:1: 1.5 cannot be a name: 'inverted' needs strings or integers as values"},
    {"inverted(['cat'])", R"(1:1: 'inverted' needs an object; found ["cat"])"},
    {"len('läst')", "5"},  // bytes
    {"len([1, 2])", "2"},
    {"len(true)", "1:1: 'len' needs a list, an object or a string; found true"},
    {"listed(by_index(numbered('x', 11)))[10]", "\"x10\""},
    {"listed([1])", "1:1: 'listed' needs an object, such as a dim that a hole tells apart; found [1]"},
    {"max(1, 2.5)", "2.5"},
    {"max([3, 1])", "3"},
    {"max([])", "1:1: 'max' of an empty list"},
    {"max(1, 'a')", R"(1:1: 'max' needs numbers; found "a")"},
    {"min(1, 2.5)", "1"},
    {"min([null])", "1:1: 'min' needs numbers; found null"},
    {"numbered('x', 2)", R"(["x0","x1"])"},
    {"numbered('x', -1)", "[]"},
    {"numbered('x', 1000001)", "1:1: the list is too long"},
    {"numbered(1, 2)", "1:1: 'numbered' needs a string as argument 1; found 1"},
    {"object(['b', 'a'], [1.5, [2]])", R"({"b":1.5,"a":[2]})"},
    {"object(['b'], [])", "1:1: 'object' needs a list of names and as many values"},
    {"python_list('[(8, 4)] * 2')", "[[8,4],[8,4]]"},
    {"python_list([8])", "1:1: 'python_list' needs a string; found [8]"},
    {"range(3)", "[0,1,2]"},
    {"range(9223372036854775800, 9223372036854775807, 5)", "[9223372036854775800,9223372036854775805]"},
    {"range(1, 2, 0)", "1:1: the step of 'range' must be positive"},
    {"range(100000000)", "1:1: the list is too long"},
    {"same('layers.0.w', 'layers.10.w')", "true"},
    {"same('layers.0.w', 'layers.2.w')", "false"},
    {"same('layers.0.w', 'x')", "1:1: the checkpoint has no tensor 'x'"},
    {"shape('fc.weight')", "[2,3]"},
    {"shape('x')", "1:1: the checkpoint has no tensor 'x'"},
    {"slice([1, 2, 3, 4], 1, -1)", "[2,3]"},
    {"slice([1], 5)", "[]"},
    {"slice({}, 1)", "1:7: '{' has no meaning in an expression"},
    {"slice([1], 0.5)", "1:1: 'slice' needs an integer as argument 2; found 0.5"},
    {"sorted(['b10', 'b9', 'a'])", R"(["a","b9","b10"])"},
    {"sorted([2, 1.5])", "[1.5,2]"},
    {"sorted([1, 'a'])", R"(1:1: 'sorted' needs a list of strings or of numbers; found [1,"a"])"},
    {"sqrt(196)", "14"},
    {"sqrt(-1)", "1:1: -1 is not the square of a whole number"},
    {"values('fc.bias')", "[10.0,20.0]"},
    {"values('x')", "1:1: the checkpoint has no tensor 'x'"},
    // A message points at the call, wherever it stands.
    {"1 + len([max([])])", "1:10: 'max' of an empty list"},
};

// x [2,3]: 1 … 6, image [1,2,2]: 1 … 4, mask: [1,0], ids: [2,0], i: 10, L: 'layers.{i}'.
const std::vector<Row> kParts = {
    {"activation(-1 * x, 'relu')", "[2,3]: 0 0 0 0 0 0"},
    {"activation(x, 'selu')", "1:1: there is no activation function 'selu'"},
    {"argmax(x)", "[2,2]"},
    {"argmax([3, 7, 1])", "1"},
    {"argmax('a')", R"(1:1: 'argmax' needs a list; found "a")"},
    {"attention(rows(x, 0, 1), x, x, 1, 0)", "[1,3]: 2.5 3.5 4.5"},  // all scores 0: the mean
    {"attention(rows(x, 0, 1), x, x, 1, 0, mask)", "[1,3]: 1 2 3"},
    {"attention(x, x, x, 1, 0, 'causal')", "[2,3]: 1 2 3 2.5 3.5 4.5"},
    {"attention(x, x, x, 2, 1)", "1:1: attention: shapes [2,3] and [2,3] do not fit"},
    {"attention(x, x, x, 1, 1, [1])", "1:1: a mask of 1 for 2 keys"},
    {"attention(x, x, x, 1, 'root')", R"(1:1: 'attention' needs a number as argument 5; found "root")"},
    {"concat(x, rows(x, 0, 1))", "[3,3]: 1 2 3 4 5 6 1 2 3"},
    {"concat(x, 1)", "1:1: 'concat' needs a tensor as argument 2; found 1"},
    {"conv1d(weight('table'), 'bands', 1, 0)", "[3,1]: 10 130 250"},
    {"conv1d(x, 'none', 1, 0)", "1:1: the checkpoint has no tensor 'none.weight'"},
    {"conv2d(image, 'image', 1, 0)", "[1,2,1]: 3 7"},
    {"conv2d(x, 'image', 1, 0)", "1:1: conv2d: shapes [2,3] and [1,1,1,2] do not fit"},
    {"embedding('table', ids)", "[2,2]: 20 21 0 1"},
    {"embedding(x, [1])", "[1,3]: 4 5 6"},
    {"embedding('table', [3])", "1:1: embedding: index 3 of a table with 3 rows"},
    {"embedding('table', ['a'])", "1:1: 'embedding' cannot take these arguments"},
    {"entry('table', 1, 0)", "[3]: 0 10 20"},
    {"entry('table', 2, 0)", "1:1: 'table' of shape [3,2] has no part 0 to 1 along axis 2"},
    {"experts(x, x, 2, x)", "[2,3]: 1 2 3 4 5 6"},
    {"experts(x, transposed(rows(transposed(x), 0, 2)), x * (e + 1))", "[2,3]: 1.462 2.924 4.386 5.848 7.311 8.773"},
    {"experts(x, x, rows(transposed(x), 0, 1))", "1:1: an expert's value has another width than its input"},
    {"exponential(0 * rows(x, 0, 1))", "[1,3]: 1 1 1"},
    {"exponential('x')", R"(1:1: 'exponential' needs a tensor; found "x")"},
    {"frame_mask([1, 1, 1, 1, 0, 0], [[8, 2, 2]])", "[1,1,0]"},
    {"frame_mask([1], [[8]])", "1:1: 'frame_mask' cannot take these arguments"},
    {"frame_mask([1], [[8, 2, 0]])",
     "1:1: 'frame_mask' needs convolutions with strides from 1 as argument 2; found [[8,2,0]]"},
    {"inverse_sqrt(16)", "0.25"},
    {"inverse_sqrt('a')", R"(1:1: 'inverse_sqrt' needs a number; found "a")"},
    {"joined('rank.{r}.w', 0)", "[2,2]: 1 2 3 4"},
    {"joined('rank.{r}.w', 1)", "[1,4]: 1 2 3 4"},
    {"joined('rank.{r}.w', 2)", "1:1: 'joined' needs an axis, 0 or 1, as argument 2; found 2"},
    {"joined('rank.*.w', 0)", "1:1: 'rank.*.w' needs exactly one hole, whose numbers order the parts"},
    {"joined('none.{r}', 0)", "1:1: the checkpoint has no tensor 'none.{r}'"},
    {"layer_norm(rows(x, 0, 1), 0)", "[1,3]: -1.225 0 1.225"},
    {"layer_norm(rows(x, 0, 1), 'norm', 0)", "[1,3]: -1.225 0 3.449"},
    {"layer_norm(x, 'fc', 0)", "1:1: layer norm: shapes [2,3] and [2,3] do not fit"},
    {"length(x)", "2"},
    {"length(ids)", "2"},
    {"length()", "1:1: 'length' was given 0 arguments"},
    {"linear(x, 'fc')", "[2,2]: 11 22 14 25"},
    {"linear(-20 * x, 'fc', 'relu')", "[2,2]: 0 0 0 0"},
    {"linear(x, 1)", "1:1: 'linear' needs a string as argument 2; found 1"},
    {"masked(x, mask)", "[2,3]: 1 2 3 0 0 0"},
    {"masked(x, [1])", "1:1: a mask of 1 for 2 rows"},
    {"matrix(x, 3)", "[3,2]: 1 2 3 4 5 6"},
    {"matrix(x, 4)", "1:1: 'matrix' needs a number of rows that divides the tensor's elements as argument 2; found 4"},
    {"max_pool(image)", "[1,1,1]: 4"},
    {"max_pool(x)", "1:1: max pool of [2,3]"},
    {"normalised(weight('heads.nli.w'))", "[2]: 0.4472 0.8944"},
    {"normalised(1)", "1:1: 'normalised' needs a tensor; found 1"},
    {"part('table', 1)", "[2]: 10 11"},
    {"part('table', 1, 3)", "[2,2]: 10 11 20 21"},
    {"part('table', 3)", "1:1: 'table' of shape [3,2] has no part 3 to 4 along axis 0"},
    {"patches(image)", "[4,1]: 1 2 3 4"},
    {"patches(1)", "1:1: 'patches' needs a tensor; found 1"},
    {"positions([7, 1, 8], 1, 2)", "[2,1,3]"},
    {"positions(1, 1, 2)", "1:1: 'positions' needs a list as argument 1; found 1"},
    {"project(x, x)", "[2,2]: 14 32 32 77"},
    {"project(x, x, weight('fc.bias'))", "[2,2]: 24 52 42 97"},
    {"project(x, weight('table'))", "1:1: linear: shapes [2,3] and [3,2] do not fit"},
    {"relative_bias(weight('table'), 1, 2, 4, 'causal')", "[2,1,2]: 0 0 1 1"},
    {"relative_bias('table', 1, 2, 4)", R"(1:1: 'relative_bias' needs a tensor as argument 1; found "table")"},
    {"repeated('a', 2)", R"(["a","a"])"},
    {"repeated('a', -1)", "1:1: 'repeated' needs the length of a list as argument 2; found -1"},
    {"rms_norm(rows(x, 0, 1), 'norm.weight', 0)", "[1,3]: 0.4629 0.9258 2.777"},
    {"rms_norm(x, 'fc.bias', 0)", "1:1: rms norm: shapes [2,3] and [2] do not fit"},
    {"rotary(weight('table'), 1, [0], 'halves')", "[3,2]: 0 1 10 11 20 21"},  // not turned
    {"rotary(x, 1, [1], 'halves')", "1:1: rotary: [2,3] is not 1 heads of 2"},
    {"rotary(x, 1, [1], 'all')", "1:1: 'rotary' turns 'neighbours' or 'halves', not 'all'"},
    {"rotary_frequencies(4, 100)", "[1.0,0.1]"},
    {"rotary_frequencies(4, 100, 2)",
     "1:1: 'rotary_frequencies' needs a head's width and theta, and of a scaling all four numbers"},
    {"rows(x, 1, 2)", "[1,3]: 4 5 6"},
    {"rows(x, 1, 3)", "1:1: rows 1 to 3 of [2,3]"},
    {"sinusoids([0, 2], 4, 0)", "[2,4]: 0 0 0 0 0.9093 0.0002 -0.4161 1"},
    {"sinusoids(1, 4, 0)", "1:1: 'sinusoids' needs a list as argument 1; found 1"},
    {"transposed(x)", "[3,2]: 1 4 2 5 3 6"},
    {"transposed(ids)", "1:1: 'transposed' needs a tensor; found [2,0]"},
    {"weight('fc.bias')", "[2]: 10 20"},
    {"weight_norm('table', 'rank.0.w')", "[3,2]: 0 0.08429 0.4472 0.9272 0.8944 1.77"},
    {"weight_norm('table', 'fc.bias')", "1:1: weight norm: shapes [3,2] and [2] do not fit"},
    {"weight_norm('fc.weight', 'none')", "1:1: the checkpoint has no tensor 'none'"},
    {"weight('{L}.w')", "[2]: 1 2"},
    {"weight('layers.{i-8}.w')", "[2]: 1 3"},
    {"weight('{x}.w')", "1:8: '{x}' in '{x}.w' is not an integer, an integer moved by a number, or a string"},
    {"weight('none')", "1:1: the checkpoint has no tensor 'none'"},
    // The functions of the language are there too, and see the variables.
    {"exists('layers.{i}.w') and len(ids) == 2", "true"},
};

void check(const std::vector<Row>& rows, lang::Scope& scope) {
  for (const Row& row : rows) {
    CAPTURE(row.expression);
    CHECK(result_of(row.expression, scope) == row.result);
  }
}

}  // namespace

TEST_CASE("every function of the language has its value, and says what it needs") {
  lang::KeySpace space;
  space.text = std::make_shared<lang::SourceText>("rules.yaml", "");
  space.sources.push_back({"", "", {""}, '.', ""});
  PlanOptions options;
  options.same = [](const Source&, size_t a, const Source&, size_t b) {
    return checkpoint().tensor(a).bytes == checkpoint().tensor(b).bytes;
  };
  options.values = [](const Source&, size_t) { return Json::array({10.0, 20.0}); };
  Diagnostics diagnostics;
  const layout::KeyTable keys(space, sources(), diagnostics);
  layout::CheckpointScope scope(space, keys, sources(), options);
  check(kFunctions, scope);
  CHECK(called(kFunctions, false) == names_of(lang::function_table()));
  CHECK(called(kFunctions, true).size() >= lang::function_table().size());
  // A part of a forward pass is one of steps only.
  CHECK(result_of("weight('table')", scope) ==
        "1:1: 'weight' cannot be asked here: only steps see the checkpoint's tensors");
}

TEST_CASE("every part of a forward pass has its value, and says what it needs") {
  Diagnostics diagnostics;
  const auto model = forward::parse_model_file(
      std::make_shared<lang::SourceText>("model.yaml", "remap_model: 1\nlet: {L: \"'layers.{i}'\", loop: loop + 1}\n"),
      diagnostics);
  REQUIRE(model);
  forward::Sample sample;
  sample.values = {{"mask", {1, 0}}, {"ids", {2, 0}}, {"i", 10}};
  const auto made = [](Shape shape, int64_t n) {
    forward::NewTensor t(std::move(shape));
    for (int64_t i = 0; i < n; ++i) t.data[static_cast<size_t>(i)] = static_cast<float>(i + 1);
    return t;
  };
  sample.tensors = {{"x", made({2, 3}, 6)}, {"image", made({1, 2, 2}, 4)}};
  forward::Runner scope(*model, sources(), Json::object(), sample, {}, diagnostics);
  REQUIRE(diagnostics.empty());
  check(kParts, scope);
  CHECK(called(kParts, true) == names_of(forward::part_table()));
  auto called_for_values = called(kParts, false);
  called_for_values.erase("exists");
  CHECK(called_for_values == names_of(forward::part_table()));
  CHECK(result_of("loop", scope) == "2:32: 'loop' is defined by itself");
}

TEST_CASE("where no checkpoint is known, what is asked of it is refused by name") {
  class Nothing : public lang::Scope {
    std::optional<lang::Value> lookup(const std::string&) override { return std::nullopt; }
  } scope;
  for (const auto& row : lang::function_table()) {
    if (row.takes != lang::FunctionRow::Takes::key_first) continue;
    CHECK(result_of(fmt::format("{}('a'{})", row.name, row.min_arguments == 2 ? ", 'b'" : ""), scope) ==
          fmt::format("1:1: '{}' cannot be asked here: no checkpoint is known", row.name));
  }
}
