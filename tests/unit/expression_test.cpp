// The expression language: a table of {expression, value} and a table of {expression, message}.
#include "lang/expression.h"
#include "support/catch.h"

using namespace remap;
using namespace remap::lang;

namespace {

class TestScope : public Scope {
 public:
  std::optional<Value> lookup(const std::string& name) override {
    if (name == "hidden") return Value::of(32);
    if (name == "unbound") return Value::missing("a size for the dim 'unbound'");
    return std::nullopt;
  }
  const Json* reference(const std::string& name) override { return name == "meta" ? &meta_ : nullptr; }

 private:
  Json meta_ = Json::parse(R"({"args": null, "cfg": {"model": {"heads": 4, "name": "base", "list": [1, 2, 3]}}})");
};

Expression parsed(const std::string& text) {
  auto source = std::make_shared<SourceText>("test.yaml", text);
  YamlNode node;
  node.kind = YamlNode::Kind::scalar;
  node.text = text;
  node.line = node.column = 1;
  Diagnostics diagnostics;
  auto expression = parse_expression(text, span_of(source, node), diagnostics);
  if (!expression) throw Error(diagnostics.items().front());
  return *expression;
}

std::string message_of(const std::string& text) {
  TestScope scope;
  try {
    return "no error: " + evaluate_present(parsed(text), scope).dump();
  } catch (const Error& e) {
    return e.what();
  }
}

}  // namespace

TEST_CASE("expressions have values") {
  struct Row {
    const char *expression, *value;
  };
  const Row rows[] = {
      {"1 + 2 * 3", "7"},
      {"(1 + 2) * 3", "9"},
      {"7 // 2", "3"},
      {"-7 // 2", "-4"},
      {"-7 % 2", "1"},
      {"8 / 2", "4"},
      {"3 * hidden", "96"},
      {"1e-5", "1e-05"},
      {"2 - 3 - 4", "-5"},
      {"1 if hidden == 32 else 2", "1"},
      {"not true or hidden > 3", "true"},
      {"meta.cfg.model.heads", "4"},
      {"meta.args ?? meta.cfg.model.name", "\"base\""},
      {"meta.cfg.model.bottleneck ?? 2", "2"},
      {"meta.cfg.none.at.all ?? 'x'", "\"x\""},
      {"meta.cfg.model.list[0]", "1"},
      {"meta.cfg.model.list[-1]", "3"},
      {"meta.cfg['model'].heads", "4"},
      {"(unbound ?? 5) + 1", "6"},
      {"range(1, 12, 4)", "[1,5,9]"},
      {"range(3)", "[0,1,2]"},
      {"['a'] + ['b', 'c']", "[\"a\",\"b\",\"c\"]"},
      {"'b' in ['a', 'b']", "true"},
      {"max(3, 128 // 5)", "25"},
      {"len(meta.cfg.model.list)", "3"},
      {"object(['b', 'a'], [1.5, [2]])", "{\"b\":1.5,\"a\":[2]}"},
      {"listed(by_index(numbered('LABEL_', 11)))[10]", "\"LABEL_10\""},
      {"by_index(numbered('LABEL_', 2))", "{\"0\":\"LABEL_0\",\"1\":\"LABEL_1\"}"},
      {"index_of(['x', 'y'])", "{\"x\":0,\"y\":1}"},
      {"int('12') + int(2.9)", "14"},
      {"[1, 2] == [1, 2]", "true"},
      {"'a' + 'b'", "\"ab\""},
      {"sorted(['b10', 'b9', 'a'])", "[\"a\",\"b9\",\"b10\"]"},
      {"sorted([3, 1, 2])", "[1,2,3]"},
      {"slice([1, 2, 3, 4], 1, -1)", "[2,3]"},
      {"slice([1, 2], 5)", "[]"},
      {"column([[1, 2], [3, 4]], 1)", "[2,4]"},
      {"sqrt(196)", "14"},
      {"before_last(['a 1', 'b c 2'], ' ')", "[\"a\",\"b c\"]"},
      {"python_list('[(512, 10, 5)] + [(512, 3, 2)] * 2')", "[[512,10,5],[512,3,2],[512,3,2]]"},
      {"python_list('[(8, 4),(2,1)]*2+[ ]')", "[[8,4],[2,1],[8,4],[2,1]]"},
      {"python_list('(0.9, -1e-3, \"x\",)')", "[0.9,-0.001,\"x\"]"},
  };
  TestScope scope;
  for (const Row& row : rows) {
    CAPTURE(row.expression);
    CHECK(evaluate_present(parsed(row.expression), scope).dump() == row.value);
  }
}

TEST_CASE("mistakes in expressions are named where they are") {
  struct Row {
    const char *expression, *message;
  };
  const Row rows[] = {
      {"1 +", "test.yaml:1:4: error[expression-syntax]: the expression ends where a value was expected"},
      {"(1", "test.yaml:1:3: error[expression-syntax]: ')' was expected to close the parenthesis; found the end"},
      {"1 2", "test.yaml:1:3: error[expression-syntax]: '2' was not expected here"},
      {"a ! b", "test.yaml:1:3: error[expression-syntax]: '!' has no meaning in an expression"},
      {"'open", "test.yaml:1:1: error[expression-syntax]: a string begins here and does not end"},
      {"cout('a')", "test.yaml:1:1: error[expression-syntax]: there is no function 'cout'"},
      {"range()", "test.yaml:1:1: error[expression-syntax]: 'range' was given 0 arguments"},
      {"1 // 0", "test.yaml:1:1: error[expression-value]: division by zero"},
      {"7 / 2", "test.yaml:1:1: error[expression-value]: 7 is not divisible by 2"},
      {"hidden + 'x'", "test.yaml:1:1: error[expression-value]: '+' needs two numbers; found 32 and \"x\""},
      {"1 if hidden else 2",
       "test.yaml:1:6: error[expression-value]: a condition must be true or false; 'hidden' is 32"},
      {"meta.cfg.model.width + 1",
       "test.yaml:1:1: error[expression-missing]: 'meta.cfg.model.width' has no value: meta.cfg.model.width is not "
       "there"},
      {"nowhere + 1", "test.yaml:1:1: error[expression-unknown-name]: nothing is called 'nowhere'"},
      {"9223372036854775807 + 1",
       "test.yaml:1:1: error[expression-value]: the result is too large for a 64-bit integer"},
      {"range(100000000)", "test.yaml:1:1: error[expression-value]: the list is too long"},
      {"python_list('__import__(1)')",
       "test.yaml:1:1: error[expression-value]: \"__import__(1)\" is not a list of a kind that remap reads: a list was "
       "expected at character 1, found '_'"},
      {"python_list('[1, 2')",
       "test.yaml:1:1: error[expression-value]: \"[1, 2\" is not a list of a kind that remap reads: ',' or ']' was "
       "expected at character 6, found the end"},
      {"python_list('[1] * 999999999')",
       "test.yaml:1:1: error[expression-value]: \"[1] * 999999999\" is not a list of a kind that remap reads: it has "
       "more than 100000 entries"},
      {"python_list('[1] * 90000 * 90000')",
       "test.yaml:1:1: error[expression-value]: \"[1] * 90000 * 90000\" is not a list of a kind that remap reads: it "
       "has more than 100000 entries"},
      {"python_list('[1] 2')",
       "test.yaml:1:1: error[expression-value]: \"[1] 2\" is not a list of a kind that remap reads: '+' or '*' was "
       "expected at character 5, found '2'"},
      {"sqrt(195)", "test.yaml:1:1: error[expression-value]: 195 is not the square of a whole number"},
      {"index_of(['x', 'x'])", "test.yaml:1:1: error[expression-value]: \"x\" is twice in the list"},
      {"column([[1], []], 0)", "test.yaml:1:1: error[expression-value]: [] has no entry 0"},
      {"before_last(['a'], ' ')", "test.yaml:1:1: error[expression-value]: \"a\" does not hold \" \""},
      {"omit", "test.yaml:1:1: error[expression-value]: 'omit' is not a value; it can only be what a field is given"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.expression);
    CHECK(message_of(row.expression) == row.message);
  }
}

TEST_CASE("nesting is bounded") {
  CHECK(message_of(std::string(10000, '(')).find("nested too deeply") != std::string::npos);
  CHECK(message_of(std::string("python_list('").append(10000, '[') + "')").find("nested too deeply") !=
        std::string::npos);
  CHECK(message_of(std::string(10000, '-') + "1").find("nested too deeply") != std::string::npos);
}
