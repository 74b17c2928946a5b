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
      {"'open", "test.yaml:1:1: error[expression-syntax]: unterminated string"},
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
      {"nowhere + 1", "test.yaml:1:1: error[expression-unknown-name]: unknown name 'nowhere'"},
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

// An expression as Lisp would write it.
std::string tree(const ExpressionNode& node) {
  std::string text = node.kind == NodeKind::literal ? node.literal.dump() : node.kind == NodeKind::omit ? "omit" : "";
  if (node.kind == NodeKind::name) text = node.text;
  if (!text.empty()) return text;
  text = "(" + (node.kind == NodeKind::list ? "list" : node.kind == NodeKind::member ? "." + node.text : node.text);
  for (const auto& child : node.children) text += " " + tree(child);
  return text + ")";
}

TEST_CASE("operators bind as the grammar says") {
  struct Row {
    const char *expression, *tree;
  };
  const Row rows[] = {
      {"a or b and not c", "(or a (and b (not c)))"},
      {"not a == b", "(not (== a b))"},
      {"a == b ?? c + d * -e", "(== a (?? b (+ c (* d (- e)))))"},
      {"a - b - c", "(- (- a b) c)"},
      {"a ?? b ?? c", "(?? (?? a b) c)"},
      {"a // b / c % d", "(% (/ (// a b) c) d)"},
      {"-a.b[0].c", "(- (.c ([] (.b a) 0)))"},
      {"a if b else c if d else e", "(if a b (if c d e))"},
      {"(a if b else c) + 1", "(+ (if a b c) 1)"},
      {"[1, 'x', [], null] + len(a)", R"((+ (list 1 "x" (list) null) (len a)))"},
      {"a.if", "(.if a)"},  // a field may be called what is a word of the language elsewhere
      {"\"it's\" in a", R"((in "it's" a))"},
      {"omit", "omit"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.expression);
    CHECK(tree(parsed(row.expression).root) == row.tree);
  }
}

TEST_CASE("what cannot be parsed is named where it is, with what helps") {
  struct Row {
    const char *expression, *message, *hint;
  };
  const Row rows[] = {
      {"", "1:1: the expression ends where a value was expected", ""},
      {"a +* b", "1:4: a value was expected; found '*'", ""},
      {"a < b < c", "1:7: '<' was not expected here", ""},
      {"a if b", "1:7: 'else' was expected after the condition of 'if'; found the end", ""},
      {"[1, 2", "1:6: ']' was expected after the last entry; found the end", ""},
      {"a[1", "1:4: ']' was expected after an index; found the end", ""},
      {"a.1", "1:3: a field's name was expected after '.'", ""},
      {"1.2.3", "1:1: '1.2.3' is not a number", ""},
      {"1 + else", "1:5: a value was expected; found 'else'", ""},
      {"a = b", "1:3: '=' has no meaning in an expression", ""},
      {"a == \"b", "1:6: unterminated string", "close it with \""},
      {"lenn(a)", "1:1: there is no function 'lenn'", "did you mean 'len'?"},
      {"1 + range(1, 2, 3, 4)", "1:5: 'range' was given 4 arguments", "it is range(end) or range(begin, end[, step])"},
      {"len()", "1:1: 'len' was given 0 arguments", "it is len(x)"},
      {"captures('a')", "1:1: 'captures' was given 1 argument", "it is captures(pattern, hole)"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.expression);
    try {
      parsed(row.expression);
      FAIL_CHECK("it was parsed");
    } catch (const Error& e) {
      const auto& place = std::get<TextPlace>(e.diagnostic().place);
      CHECK(std::to_string(place.line) + ":" + std::to_string(place.column) + ": " + e.diagnostic().message ==
            row.message);
      CHECK(e.diagnostic().hint == row.hint);
    }
  }
}

TEST_CASE("a place is exact where the text stands as it is, and that of the scalar where it does not") {
  struct Row {
    const char* yaml;
    int line, column, end_column;  // of what begins at the third byte of the text, two bytes long
  };
  const Row rows[] = {
      {"abcdef", 1, 3, 5},         {"'abcdef'", 1, 4, 6}, {"  \"abcdef\"  # said", 1, 6, 8},
      {"\"ab\\x63def\"", 1, 1, 2},                   // an escape moves what follows
      {"abc\n  def", 1, 1, 2},                       // so does a fold
      {"|\n  abcdef", 1, 1, 2},    {"ab", 1, 3, 5},  // just past the end
  };
  for (const Row& row : rows) {
    CAPTURE(row.yaml);
    const auto source = std::make_shared<SourceText>("test.yaml", row.yaml);
    Diagnostics diagnostics;
    const auto node = parse_yaml(*source, diagnostics);
    REQUIRE(node);
    const TextPlace expected{"test.yaml", row.line, row.column, row.end_column, std::string(source->line(1))};
    CHECK(place_of(*source, *node, 2, 2) == expected);
    CHECK(span_of(source, *node).place(2, 2) == expected);
    CHECK(span_of(source, *node, 1).place(1, 2) == expected);
    CHECK(span_of(source, *node).from(2).place(0, 2) == expected);
  }
}

namespace {

// A value, or "column: a message".
std::string result_of(const std::string& text, Scope& scope) {
  try {
    return evaluate_present(parsed(text), scope).dump();
  } catch (const Error& e) {
    return std::to_string(std::get<TextPlace>(e.diagnostic().place).column) + ": " + e.diagnostic().message;
  }
}

// Its 't' is a thing that only it can add.
class OpaqueScope : public Scope {
 public:
  std::optional<Value> lookup(const std::string& name) override {
    return name == "t" ? std::optional(Value::opaque(1, "a thing")) : std::nullopt;
  }
  Value binary(const std::string& op, const Value& a, const Value& b) override {
    return op == "+" ? Value::of("added") : Scope::binary(op, a, b);
  }
};

}  // namespace

TEST_CASE("what is not plain data goes where the scope takes it, and nowhere else") {
  struct Row {
    const char *expression, *result;
  };
  const Row rows[] = {
      {"1 + t", "\"added\""},
      {"t + t", "\"added\""},
      {"len('x') if true else t", "1"},
      {"2 * t", "1: '*' is not defined for a thing"},
      {"t == t", "1: '==' is not defined for a thing"},
      {"1 + len(t)", "5: 'len' needs plain data; found a thing"},
      {"t.a", "1: 't' is a thing, which has no parts"},
      {"[t]", "2: 't' is a thing, where plain data was expected"},
      {"-t", "2: 't' is a thing, where plain data was expected"},
      {"t and true", "1: 't' is a thing, where plain data was expected"},
      {"t ?? 1", "1: 't ?? 1' is a thing, where plain data was expected"},
  };
  OpaqueScope scope;
  for (const Row& row : rows) {
    CAPTURE(row.expression);
    CHECK(result_of(row.expression, scope) == row.result);
  }
  CHECK(evaluate(parsed("t ?? 1"), scope).state == Value::State::opaque);
}

TEST_CASE("nesting is bounded") {
  CHECK(message_of(std::string(10000, '(')).find("nested too deeply") != std::string::npos);
  CHECK(message_of(std::string("python_list('").append(10000, '[') + "')").find("nested too deeply") !=
        std::string::npos);
  CHECK(message_of(std::string(10000, '-') + "1").find("nested too deeply") != std::string::npos);
  // A chain is a tree that leans to the left.
  for (const char* link : {" + 1", " or true", " ?? 1", ".a", "[0]"}) {
    const auto chain = [&](int n) {
      std::string text = "hidden";
      for (int i = 0; i < n; ++i) text += link;
      return message_of(text);
    };
    CHECK(chain(1000).find("operators") == std::string::npos);
    CHECK(chain(1001).find("the expression has more than 1000 operators") != std::string::npos);
    CHECK(chain(200'000).find("the expression has more than 1000 operators") != std::string::npos);
  }
}
