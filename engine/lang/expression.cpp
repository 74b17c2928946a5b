#include "lang/expression.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "base/checked.h"
#include "base/text.h"
#include "lang/python_list.h"

namespace remap::lang {

TextPlace Written::place(size_t at, size_t length) const { return place_of(*source, node, offset + at, length); }

const std::vector<FunctionRow>& function_table() {
  static const std::vector<FunctionRow> rows = {
      {"before_last", 2, 2, "before_last(list, separator)", "each string of a list up to the last separator in it",
       false},
      {"by_index", 1, 1, "by_index(list)", "{\"0\": first, \"1\": second, …}", false},
      {"captures", 2, 2, "captures(pattern, hole)",
       "the sorted, distinct texts a hole of the pattern takes over all keys", true},
      {"column", 2, 2, "column(list, i)", "entry i of each entry of a list of lists", false},
      {"count", 1, 1, "count(pattern)",
       "how many distinct combinations of indices and holes the pattern takes over all keys", true},
      {"exists", 1, 1, "exists(pattern)", "whether any key matches", true},
      {"index_of", 1, 1, "index_of(list)", "{first: 0, second: 1, …}", false},
      {"indices", 1, 1, "indices(pattern)", "the sorted, distinct values of the pattern's first '*' over all keys",
       true},
      {"int", 1, 1, "int(x)", "a number rounded toward zero, or a string of digits, as an integer", false},
      {"len", 1, 1, "len(x)", "entries of a list or object, bytes of a string", false},
      {"listed", 1, 1, "listed(object)",
       "the values of an object, in natural order of their names; of a dim by hole, its sizes", false},
      {"max", 1, -1, "max(a, b, …)", "the largest number", false},
      {"min", 1, -1, "min(a, b, …)", "the smallest number", false},
      {"numbered", 2, 2, "numbered(prefix, n)", "[prefix0, prefix1, …], n entries", false},
      {"object", 2, 2, "object(names, values)", "{first name: first value, …}", false},
      {"python_list", 1, 1, "python_list(text)",
       "the list that a Python expression of lists, tuples, numbers, strings, + and * writes; parsed, never run",
       false},
      {"range", 1, 3, "range(end) or range(begin, end[, step])", "a list of integers, as in Python", false},
      {"same", 2, 2, "same(key, key)",
       "whether two source tensors hold the same bytes; answered before the plan is final and listed in it", true},
      {"shape", 1, 1, "shape(key)", "the shape of a source tensor, as a list", true},
      {"slice", 2, 3, "slice(list, begin[, end])", "the entries from begin up to end, as list[begin:end] in Python",
       false},
      {"sorted", 1, 1, "sorted(list)", "a list of strings in natural order (layer2 before layer10), or of numbers",
       false},
      {"sqrt", 1, 1, "sqrt(n)", "the whole number whose square is n", false},
      {"values", 1, 1, "values(key)", "the elements of a source tensor of at most 65536, as a flat list", true},
  };
  return rows;
}

void visit(const ExpressionNode& node, const std::function<void(const ExpressionNode&)>& visitor) {
  visitor(node);
  for (const auto& child : node.children) visit(child, visitor);
}

namespace {

constexpr int kMaxNesting = 64;
constexpr int64_t kMaxListLength = 1'000'000;

struct Token {
  enum class Kind { end, number, text, name, symbol } kind = Kind::end;
  std::string text;
  Json value;
  size_t offset = 0, length = 0;
};

struct SyntaxError {
  size_t offset, length;
  std::string message, hint;
};

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::vector<Token> lex(const std::string& s) {
  std::vector<Token> tokens;
  size_t i = 0;
  while (i < s.size()) {
    const char c = s[i];
    if (c == ' ' || c == '\t' || c == '\n') {
      ++i;
      continue;
    }
    Token t;
    t.offset = i;
    if (is_name_start(c)) {
      while (i < s.size() && (is_name_start(s[i]) || is_digit(s[i]))) ++i;
      t.kind = Token::Kind::name;
      t.text = s.substr(t.offset, i - t.offset);
    } else if (is_digit(c)) {
      while (i < s.size() && (is_digit(s[i]) || s[i] == '.' || s[i] == 'e' || s[i] == 'E' ||
                              ((s[i] == '-' || s[i] == '+') && (s[i - 1] == 'e' || s[i - 1] == 'E'))))
        ++i;
      t.kind = Token::Kind::number;
      t.text = s.substr(t.offset, i - t.offset);
      const char* end = t.text.data() + t.text.size();
      int64_t integer = 0;
      double number = 0;
      if (const auto r = std::from_chars(t.text.data(), end, integer); r.ec == std::errc() && r.ptr == end)
        t.value = integer;
      else if (const auto q = std::from_chars(t.text.data(), end, number); q.ec == std::errc() && q.ptr == end)
        t.value = number;
      else
        throw SyntaxError{t.offset, t.text.size(), fmt::format("'{}' is not a number", t.text), ""};
    } else if (c == '\'' || c == '"') {
      const size_t close = s.find(c, i + 1);
      if (close == std::string::npos)
        throw SyntaxError{i, 1, "a string begins here and does not end", fmt::format("close it with {}", c)};
      t.kind = Token::Kind::text;
      t.value = s.substr(i + 1, close - i - 1);
      i = close + 1;
    } else {
      static const std::vector<std::string> kSymbols = {"==", "!=", "<=", ">=", "??", "//", "(", ")", "[", "]",
                                                        ",",  ".",  "+",  "-",  "*",  "/",  "%", "<", ">"};
      const auto it = std::find_if(kSymbols.begin(), kSymbols.end(),
                                   [&](const std::string& x) { return s.compare(i, x.size(), x) == 0; });
      if (it == kSymbols.end()) throw SyntaxError{i, 1, fmt::format("'{}' has no meaning in an expression", c), ""};
      t.kind = Token::Kind::symbol;
      t.text = *it;
      i += it->size();
    }
    t.length = i - t.offset;
    tokens.push_back(std::move(t));
  }
  Token end;
  end.offset = s.size();
  tokens.push_back(end);
  return tokens;
}

// Recursive descent, one function a level of precedence; nesting is bounded.
class Parser {
 public:
  Parser(const std::string& text, const std::vector<FunctionRow>& functions)
      : text_(text), functions_(functions), tokens_(lex(text)) {}

  ExpressionNode whole() {
    ExpressionNode node = conditional();
    if (peek().kind != Token::Kind::end) fail(peek(), fmt::format("'{}' was not expected here", spelled(peek())));
    return node;
  }

 private:
  const Token& peek() const { return tokens_[position_]; }
  Token next() { return tokens_[position_ + 1 < tokens_.size() ? position_++ : position_]; }
  bool is(std::string_view text) const {
    return (peek().kind == Token::Kind::symbol || peek().kind == Token::Kind::name) && peek().text == text;
  }
  bool accept(std::string_view text) {
    if (!is(text)) return false;
    next();
    return true;
  }
  void expect(std::string_view text, const char* why) {
    if (!accept(text))
      fail(peek(), fmt::format("'{}' was expected {}; found {}", text, why,
                               peek().kind == Token::Kind::end ? "the end" : "'" + spelled(peek()) + "'"));
  }
  std::string spelled(const Token& t) const { return text_.substr(t.offset, t.length); }
  [[noreturn]] void fail(const Token& t, const std::string& message, const std::string& hint = {}) const {
    throw SyntaxError{t.offset, std::max<size_t>(t.length, 1), message, hint};
  }
  struct Nesting {
    explicit Nesting(Parser& p) : parser(p) {
      if (++parser.depth_ > kMaxNesting) parser.fail(parser.peek(), "the expression is nested too deeply");
    }
    ~Nesting() { --parser.depth_; }
    Parser& parser;
  };

  ExpressionNode make(NodeKind kind, std::string text, std::vector<ExpressionNode> children, size_t offset,
                      size_t end) {
    return {kind, std::move(text), {}, std::move(children), offset, end - offset};
  }
  size_t end_of_last() const {
    return position_ == 0 ? 0 : tokens_[position_ - 1].offset + tokens_[position_ - 1].length;
  }

  ExpressionNode conditional() {
    Nesting nesting(*this);
    const size_t start = peek().offset;
    ExpressionNode value = disjunction();
    if (!accept("if")) return value;
    ExpressionNode condition = disjunction();
    expect("else", "after the condition of 'if'");
    ExpressionNode otherwise = conditional();
    return make(NodeKind::conditional, "if", {std::move(value), std::move(condition), std::move(otherwise)}, start,
                end_of_last());
  }
  ExpressionNode left_chain(ExpressionNode (Parser::*level)(), const std::vector<std::string_view>& operators) {
    const size_t start = peek().offset;
    ExpressionNode left = (this->*level)();
    while (true) {
      const auto op = std::find_if(operators.begin(), operators.end(), [&](std::string_view o) { return is(o); });
      if (op == operators.end()) return left;
      next();
      ExpressionNode right = (this->*level)();
      left = make(NodeKind::binary, std::string(*op), {std::move(left), std::move(right)}, start, end_of_last());
    }
  }
  ExpressionNode disjunction() { return left_chain(&Parser::conjunction, {"or"}); }
  ExpressionNode conjunction() { return left_chain(&Parser::negation, {"and"}); }
  ExpressionNode negation() {
    Nesting nesting(*this);
    const size_t start = peek().offset;
    if (!accept("not")) return comparison();
    ExpressionNode operand = negation();
    return make(NodeKind::unary, "not", {std::move(operand)}, start, end_of_last());
  }
  ExpressionNode comparison() {
    const size_t start = peek().offset;
    ExpressionNode left = coalesce();
    for (const std::string_view op : {"==", "!=", "<=", ">=", "<", ">", "in"})
      if (accept(op)) {
        ExpressionNode right = coalesce();
        return make(NodeKind::binary, std::string(op), {std::move(left), std::move(right)}, start, end_of_last());
      }
    return left;
  }
  ExpressionNode coalesce() { return left_chain(&Parser::sum, {"??"}); }
  ExpressionNode sum() { return left_chain(&Parser::product, {"+", "-"}); }
  ExpressionNode product() { return left_chain(&Parser::negative, {"*", "//", "/", "%"}); }
  ExpressionNode negative() {
    Nesting nesting(*this);
    const size_t start = peek().offset;
    if (!accept("-")) return postfix();
    ExpressionNode operand = negative();
    return make(NodeKind::unary, "-", {std::move(operand)}, start, end_of_last());
  }
  ExpressionNode postfix() {
    const size_t start = peek().offset;
    ExpressionNode node = primary();
    while (true) {
      if (accept(".")) {
        const Token name = next();
        if (name.kind != Token::Kind::name) fail(name, "a field's name was expected after '.'");
        node = make(NodeKind::member, spelled(name), {std::move(node)}, start, end_of_last());
      } else if (accept("[")) {
        ExpressionNode index = conditional();
        expect("]", "after an index");
        node = make(NodeKind::index, "[]", {std::move(node), std::move(index)}, start, end_of_last());
      } else {
        return node;
      }
    }
  }
  std::vector<ExpressionNode> arguments(std::string_view close) {
    std::vector<ExpressionNode> list;
    if (accept(close)) return list;
    do list.push_back(conditional());
    while (accept(","));
    expect(close, "after the last entry");
    return list;
  }
  ExpressionNode primary() {
    const Token t = next();
    if (t.kind == Token::Kind::number || t.kind == Token::Kind::text) {
      ExpressionNode node = make(NodeKind::literal, {}, {}, t.offset, t.offset + t.length);
      node.literal = t.value;
      return node;
    }
    if (t.kind == Token::Kind::symbol && t.text == "(") {
      ExpressionNode inner = conditional();
      expect(")", "to close the parenthesis");
      return inner;
    }
    if (t.kind == Token::Kind::symbol && t.text == "[") {
      auto items = arguments("]");
      return make(NodeKind::list, {}, std::move(items), t.offset, end_of_last());
    }
    if (t.kind != Token::Kind::name)
      fail(t, t.kind == Token::Kind::end ? "the expression ends where a value was expected"
                                         : fmt::format("a value was expected; found '{}'", spelled(t)));
    if (t.text == "true" || t.text == "false" || t.text == "null") {
      ExpressionNode node = make(NodeKind::literal, {}, {}, t.offset, t.offset + t.length);
      if (t.text != "null") node.literal = t.text == "true";
      return node;
    }
    if (t.text == "omit") return make(NodeKind::omit, {}, {}, t.offset, t.offset + t.length);
    for (const std::string_view reserved : {"if", "else", "and", "or", "not", "in"})
      if (t.text == reserved) fail(t, fmt::format("a value was expected; found '{}'", t.text));
    if (!accept("(")) return make(NodeKind::name, t.text, {}, t.offset, t.offset + t.length);
    auto list = arguments(")");
    check_call(t, list.size());
    return make(NodeKind::call, t.text, std::move(list), t.offset, end_of_last());
  }
  void check_call(const Token& name, size_t count) {
    std::vector<std::string> names;
    for (const FunctionRow& row : functions_) {
      names.emplace_back(row.name);
      if (row.name != name.text) continue;
      if (static_cast<int>(count) < row.min_arguments ||
          (row.max_arguments >= 0 && static_cast<int>(count) > row.max_arguments))
        fail(name, fmt::format("'{}' was given {} arguments", name.text, count),
             fmt::format("it is {}", row.signature));
      return;
    }
    const std::string near = nearest_name(name.text, names);
    fail(name, fmt::format("there is no function '{}'", name.text),
         near.empty() ? fmt::format("there are: {}", join(names, ", ")) : fmt::format("did you mean '{}'?", near));
  }

  const std::string& text_;
  const std::vector<FunctionRow>& functions_;
  std::vector<Token> tokens_;
  size_t position_ = 0;
  int depth_ = 0;
};

// ---------------------------------------------------------------- evaluation

class Evaluator {
 public:
  Evaluator(const Expression& expression, Scope& scope) : expression_(expression), scope_(scope) {}

  Value value(const ExpressionNode& node) {
    switch (node.kind) {
      case NodeKind::literal: return Value::of(node.literal);
      case NodeKind::omit: return {Value::State::omit, {}, {}};
      case NodeKind::name: return name(node);
      case NodeKind::member:
        return member(node, node.children[0].kind == NodeKind::name
                                ? scope_.member_key(node.children[0].text, node.text)
                                : Json(node.text));
      case NodeKind::index: return member(node, present(node.children[1]));
      case NodeKind::call: return call(node);
      case NodeKind::list: {
        Json list = Json::array();
        for (const auto& child : node.children) list.push_back(present(child));
        return Value::of(std::move(list));
      }
      case NodeKind::unary: return unary(node);
      case NodeKind::binary: return binary(node);
      case NodeKind::conditional: return value(condition(node.children[1]) ? node.children[0] : node.children[2]);
    }
    fail(node, "not a value");
  }

  bool condition(const ExpressionNode& node) {
    const Json json = present(node);
    if (!json.is_boolean())
      fail(node, fmt::format("a condition must be true or false; '{}' is {}", text(node), shown(json)));
    return json.get<bool>();
  }

  // Of a further source that was not given, "the source 'params' (params=PATH: …)", how to give it.
  Json present(const ExpressionNode& node) {
    Value v = value(node);
    if (v.state == Value::State::missing)
      fail(node, fmt::format("'{}' has no value: {} is not there", text(node), v.what.empty() ? text(node) : v.what),
           missing_hint(v.what), "expression-missing");
    if (v.state == Value::State::omit) fail(node, "'omit' is not a value; it can only be what a field is given");
    return std::move(v.json);
  }

 private:
  // Who can give what is missing: the user, with --config or as a further source, or the author, with a default.
  static std::string missing_hint(const std::string& what) {
    const auto names = [&](const std::string& root) {
      return what.starts_with(root) || what.find("(nor " + root) != std::string::npos;
    };
    const std::string otherwise =
        "give a default with '?"
        "?'";
    if (names("config.") || names("config[")) return "give it in --config FILE; or, in the rules, " + otherwise;
    if (!names("the source '")) return otherwise;
    // "the source 'x' (x=FILE: what it is)"
    const size_t begin = what.find('('), end = what.find_first_of(":)", begin);
    const bool says_how = what.starts_with("the source '") && end != std::string::npos;
    return (says_how ? "give it as " + what.substr(begin + 1, end - begin - 1) : "give the file") +
           "; or, in the rules, " + otherwise;
  }
  std::string text(const ExpressionNode& node) const { return expression_.text.substr(node.offset, node.length); }
  static std::string shown(const Json& json) {
    std::string s = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    return s.size() > 60 ? s.substr(0, 57) + "…" : s;
  }
  [[noreturn]] void fail(const ExpressionNode& node, const std::string& message, const std::string& hint = {},
                         const std::string& id = "expression-value") const {
    throw Error(id, expression_.written.place(node.offset, node.length), message, hint);
  }

  Value name(const ExpressionNode& node) {
    auto found = scope_.lookup(node.text);
    if (!found)
      fail(node, fmt::format("nothing is called '{}'", node.text),
           "names are dims bound by shapes, entries of 'let', variants, and 'meta' for the checkpoint's metadata",
           "expression-unknown-name");
    return std::move(*found);
  }

  Value member(const ExpressionNode& node, const Json& key) {
    // A path into the metadata is followed by pointer: only what it ends at is copied.
    if (const Json* object = referred(node.children[0])) {
      const Json* part = part_of(*object, key);
      return part != nullptr ? Value::of(*part) : Value::missing(text(node));
    }
    Value object = value(node.children[0]);
    if (object.state == Value::State::missing) return object;
    if (object.state == Value::State::omit) fail(node, "'omit' has no parts");
    const Json* part = part_of(object.json, key);
    return part != nullptr ? Value::of(*part) : Value::missing(text(node));
  }

  const Json* referred(const ExpressionNode& node) {
    if (node.kind == NodeKind::name) return scope_.reference(node.text);
    if (node.kind != NodeKind::member) return nullptr;
    const Json* object = referred(node.children[0]);
    return object == nullptr ? nullptr : part_of(*object, Json(node.text));
  }

  static const Json* part_of(const Json& json, const Json& key) {
    if (json.is_object() && (key.is_string() || key.is_number_integer())) {
      const auto it = json.find(key.is_string() ? key.get<std::string>() : std::to_string(key.get<int64_t>()));
      return it == json.end() ? nullptr : &*it;
    }
    if (json.is_array() && key.is_number_integer()) {
      const int64_t n = static_cast<int64_t>(json.size());
      int64_t i = key.get<int64_t>();
      if (i < 0) i += n;
      return i >= 0 && i < n ? &json[static_cast<size_t>(i)] : nullptr;
    }
    return nullptr;
  }

  Value unary(const ExpressionNode& node) {
    if (node.text == "not") return Value::of(!condition(node.children[0]));
    const Json operand = present(node.children[0]);
    if (operand.is_number_integer()) return arithmetic(node, "-", Json(0), operand);
    if (operand.is_number()) return Value::of(-operand.get<double>());
    fail(node, fmt::format("a number was expected; found {}", shown(operand)));
  }

  Value binary(const ExpressionNode& node) {
    const std::string& op = node.text;
    if (op == "??") {
      Value left = value(node.children[0]);
      const bool absent =
          left.state == Value::State::missing || (left.state == Value::State::present && left.json.is_null());
      if (!absent) return left;
      Value right = value(node.children[1]);
      if (right.state == Value::State::missing && !left.what.empty() && left.what != right.what)
        right.what = left.what + " (nor " + right.what + ")";
      return right;
    }
    if (op == "or") return Value::of(condition(node.children[0]) || condition(node.children[1]));
    if (op == "and") return Value::of(condition(node.children[0]) && condition(node.children[1]));
    const Json left = present(node.children[0]), right = present(node.children[1]);
    if (op == "==") return Value::of(left == right);
    if (op == "!=") return Value::of(left != right);
    if (op == "in") return Value::of(contains(node, left, right));
    if (op == "<" || op == "<=" || op == ">" || op == ">=") return Value::of(ordered(node, op, left, right));
    return arithmetic(node, op, left, right);
  }

  bool contains(const ExpressionNode& node, const Json& item, const Json& container) const {
    if (container.is_array()) return std::find(container.begin(), container.end(), item) != container.end();
    if (container.is_object() && item.is_string()) return container.contains(item.get<std::string>());
    if (container.is_string() && item.is_string())
      return container.get<std::string>().find(item.get<std::string>()) != std::string::npos;
    fail(node, fmt::format("'in' needs a list, an object or a string on its right; found {}", shown(container)));
  }

  bool ordered(const ExpressionNode& node, const std::string& op, const Json& a, const Json& b) const {
    const bool comparable = (a.is_number() && b.is_number()) || (a.is_string() && b.is_string());
    if (!comparable) fail(node, fmt::format("{} and {} cannot be ordered", shown(a), shown(b)));
    if (op == "<") return a < b;
    if (op == "<=") return a <= b;
    if (op == ">") return a > b;
    return a >= b;
  }

  Value arithmetic(const ExpressionNode& node, const std::string& op, const Json& a, const Json& b) const {
    if (op == "+" && a.is_string() && b.is_string()) return Value::of(a.get<std::string>() + b.get<std::string>());
    if (op == "+" && a.is_array() && b.is_array()) {
      Json list = a;
      list.insert(list.end(), b.begin(), b.end());
      if (static_cast<int64_t>(list.size()) > kMaxListLength) fail(node, "the list is too long");
      return Value::of(std::move(list));
    }
    if (!a.is_number() || !b.is_number())
      fail(node, fmt::format("'{}' needs two numbers; found {} and {}", op, shown(a), shown(b)));
    if (a.is_number_integer() && b.is_number_integer())
      return Value::of(integer_arithmetic(node, op, a.get<int64_t>(), b.get<int64_t>()));
    const double x = a.get<double>(), y = b.get<double>();
    if (op == "+") return Value::of(x + y);
    if (op == "-") return Value::of(x - y);
    if (op == "*") return Value::of(x * y);
    if (y == 0) fail(node, "division by zero");
    if (op == "/") return Value::of(x / y);
    if (op == "//") return Value::of(std::floor(x / y));
    return Value::of(x - y * std::floor(x / y));
  }

  int64_t integer_arithmetic(const ExpressionNode& node, const std::string& op, int64_t x, int64_t y) const {
    std::optional<int64_t> result;
    if (op == "+")
      result = checked_add(x, y);
    else if (op == "*")
      result = checked_mul(x, y);
    else if (op == "-") {
      int64_t r = 0;
      if (!__builtin_sub_overflow(x, y, &r)) result = r;
    } else {
      if (y == 0) fail(node, "division by zero");
      if (y == -1) return integer_arithmetic(node, op == "%" ? "*" : "-", 0, op == "%" ? 0 : x);
      const int64_t floor = x / y - ((x % y != 0 && ((x < 0) != (y < 0))) ? 1 : 0);
      if (op == "//") return floor;
      if (op == "%") return x - floor * y;
      if (x % y != 0) fail(node, fmt::format("{} is not divisible by {}", x, y), "'//' rounds down");
      return x / y;
    }
    if (!result) fail(node, "the result is too large for a 64-bit integer");
    return *result;
  }

  Value call(const ExpressionNode& node) {
    std::vector<Json> arguments;
    for (const auto& child : node.children) arguments.push_back(present(child));
    try {
      if (auto answered = scope_.call(node.text, arguments)) return std::move(*answered);
    } catch (const Error& e) {
      if (!std::holds_alternative<std::monostate>(e.diagnostic().place)) throw;
      fail(node, e.diagnostic().message, e.diagnostic().hint, e.diagnostic().id);
    }
    return Value::of(builtin(node, arguments));
  }

  int64_t integer(const ExpressionNode& node, const Json& json) const {
    if (!json.is_number_integer()) fail(node, fmt::format("'{}' needs an integer; found {}", node.text, shown(json)));
    return json.get<int64_t>();
  }

  Json builtin(const ExpressionNode& node, const std::vector<Json>& a) const {
    const std::string& f = node.text;
    if (f == "len") {
      if (a[0].is_string()) return static_cast<int64_t>(a[0].get_ref<const std::string&>().size());
      if (!a[0].is_array() && !a[0].is_object()) fail(node, fmt::format("'len' needs a list; found {}", shown(a[0])));
      return static_cast<int64_t>(a[0].size());
    }
    if (f == "max" || f == "min") {
      const std::vector<Json> list = a.size() == 1 && a[0].is_array() ? a[0].get<std::vector<Json>>() : a;
      if (list.empty()) fail(node, fmt::format("'{}' of an empty list", f));
      for (const auto& x : list)
        if (!x.is_number()) fail(node, fmt::format("'{}' needs numbers; found {}", f, shown(x)));
      return f == "max" ? *std::max_element(list.begin(), list.end()) : *std::min_element(list.begin(), list.end());
    }
    if (f == "int") {
      if (a[0].is_number_integer()) return a[0];
      if (a[0].is_number() && std::abs(a[0].get<double>()) < 9e18) return static_cast<int64_t>(a[0].get<double>());
      if (a[0].is_string()) {
        const auto& s = a[0].get_ref<const std::string&>();
        int64_t n = 0;
        if (const auto r = std::from_chars(s.data(), s.data() + s.size(), n);
            r.ec == std::errc() && r.ptr == s.data() + s.size())
          return n;
      }
      fail(node, fmt::format("{} is not an integer", shown(a[0])));
    }
    if (f == "range") {
      const int64_t begin = a.size() == 1 ? 0 : integer(node, a[0]);
      const int64_t end = integer(node, a[a.size() == 1 ? 0 : 1]);
      const int64_t step = a.size() == 3 ? integer(node, a[2]) : 1;
      if (step <= 0) fail(node, "the step of 'range' must be positive");
      Json list = Json::array();
      for (int64_t i = begin; i < end; i += step) {
        if (static_cast<int64_t>(list.size()) >= kMaxListLength) fail(node, "the list is too long");
        list.push_back(i);
      }
      return list;
    }
    if (f == "numbered") {
      Json list = Json::array();
      if (!a[0].is_string()) fail(node, "'numbered' needs a string and a number");
      const int64_t n = integer(node, a[1]);
      if (n > kMaxListLength) fail(node, "the list is too long");
      for (int64_t i = 0; i < n; ++i) list.push_back(a[0].get<std::string>() + std::to_string(i));
      return list;
    }
    if (f == "by_index" || f == "index_of") {
      if (!a[0].is_array()) fail(node, fmt::format("'{}' needs a list; found {}", f, shown(a[0])));
      Json object = Json::object();
      for (size_t i = 0; i < a[0].size(); ++i) {
        if (f == "by_index")
          object[std::to_string(i)] = a[0][i];
        else if (!a[0][i].is_string())
          fail(node, "'index_of' needs a list of strings");
        else if (!object.emplace(a[0][i].get<std::string>(), i).second)
          fail(node, fmt::format("{} is twice in the list", a[0][i].dump()));
      }
      return object;
    }
    if (f == "sqrt") {
      const int64_t n = integer(node, a[0]),
                    root = n < 0 ? -1 : static_cast<int64_t>(std::sqrt(static_cast<double>(n)) + 0.5);
      if (root < 0 || root > (int64_t{1} << 31) || root * root != n)
        fail(node, fmt::format("{} is not the square of a whole number", n));
      return root;
    }
    if (f == "object") {
      const auto named = [](const Json& names) {
        return std::all_of(names.begin(), names.end(), [](const Json& x) { return x.is_string(); });
      };
      if (!a[0].is_array() || !a[1].is_array() || a[0].size() != a[1].size() || !named(a[0]))
        fail(node, "'object' needs a list of names and as many values");
      Json object = Json::object();
      for (size_t i = 0; i < a[0].size(); ++i) object[a[0][i].get_ref<const std::string&>()] = a[1][i];
      return object;
    }
    if (f == "listed") return listed(node, a[0]);
    if (f == "column") return column(node, a[0], integer(node, a[1]));
    if (f == "slice") return slice(node, a);
    if (f == "sorted") return sorted(node, a[0]);
    if (f == "before_last") return before_last(node, a[0], a[1]);
    if (f == "python_list") {
      if (!a[0].is_string()) fail(node, fmt::format("'python_list' needs a string; found {}", shown(a[0])));
      std::string wrong;
      if (auto list = parse_python_list(a[0].get_ref<const std::string&>(), wrong)) return std::move(*list);
      fail(node, fmt::format("{} is not a list of a kind that remap reads: {}", shown(a[0]), wrong));
    }
    fail(node, fmt::format("'{}' cannot be asked here: no checkpoint is known", f), "", "expression-no-checkpoint");
  }

  Json column(const ExpressionNode& node, const Json& list, int64_t i) const {
    if (!list.is_array()) fail(node, fmt::format("'column' needs a list of lists; found {}", shown(list)));
    Json column = Json::array();
    for (const Json& entry : list) {
      const Json* part = entry.is_array() ? part_of(entry, i) : nullptr;
      if (part == nullptr) fail(node, fmt::format("{} has no entry {}", shown(entry), i));
      column.push_back(*part);
    }
    return column;
  }

  Json listed(const ExpressionNode& node, const Json& object) const {
    if (!object.is_object())
      fail(node,
           fmt::format("'listed' needs an object, such as a dim that a hole tells apart; found {}", shown(object)));
    std::vector<std::string> names;
    for (const auto& [name, value] : object.items()) names.push_back(name);
    std::sort(names.begin(), names.end(), natural_less);
    Json list = Json::array();
    for (const auto& name : names) list.push_back(object.at(name));
    return list;
  }

  Json slice(const ExpressionNode& node, const std::vector<Json>& a) const {
    if (!a[0].is_array()) fail(node, fmt::format("'slice' needs a list; found {}", shown(a[0])));
    const auto size = static_cast<int64_t>(a[0].size());
    const auto bound = [&](const Json& at) {
      return std::clamp<int64_t>(at < 0 ? integer(node, at) + size : integer(node, at), 0, size);
    };
    Json part = Json::array();
    const int64_t end = a.size() == 3 ? bound(a[2]) : size;
    for (int64_t i = bound(a[1]); i < end; ++i) part.push_back(a[0][static_cast<size_t>(i)]);
    return part;
  }

  Json sorted(const ExpressionNode& node, const Json& list) const {
    const auto all = [&](auto is) { return std::all_of(list.begin(), list.end(), is); };
    if (!list.is_array() ||
        (!all([](const Json& x) { return x.is_string(); }) && !all([](const Json& x) { return x.is_number(); })))
      fail(node, fmt::format("'sorted' needs a list of strings or of numbers; found {}", shown(list)));
    Json result = list;
    std::sort(result.begin(), result.end(), [](const Json& a, const Json& b) {
      return a.is_string() ? natural_less(a.get_ref<const std::string&>(), b.get_ref<const std::string&>()) : a < b;
    });
    return result;
  }

  Json before_last(const ExpressionNode& node, const Json& list, const Json& separator) const {
    if (!list.is_array() || !separator.is_string()) fail(node, "'before_last' needs a list of strings and a separator");
    Json result = Json::array();
    for (const Json& entry : list) {
      const size_t at = entry.is_string()
                            ? entry.get_ref<const std::string&>().rfind(separator.get_ref<const std::string&>())
                            : std::string::npos;
      if (at == std::string::npos) fail(node, fmt::format("{} does not hold {}", shown(entry), separator.dump()));
      result.push_back(entry.get_ref<const std::string&>().substr(0, at));
    }
    return result;
  }

  const Expression& expression_;
  Scope& scope_;
};

}  // namespace

std::optional<Expression> parse_expression(const std::string& text, const Written& written, Diagnostics& diagnostics,
                                           const std::vector<FunctionRow>& functions) {
  try {
    Expression expression{text, {}, written};
    expression.root = Parser(text, functions).whole();
    return expression;
  } catch (const SyntaxError& e) {
    diagnostics.error("expression-syntax", written.place(e.offset, e.length), e.message, e.hint);
    return std::nullopt;
  }
}

Value evaluate(const Expression& expression, Scope& scope) {
  return Evaluator(expression, scope).value(expression.root);
}
Value evaluate(const Expression& expression, const ExpressionNode& node, Scope& scope) {
  return Evaluator(expression, scope).value(node);
}
bool evaluate_condition(const Expression& expression, Scope& scope) {
  return Evaluator(expression, scope).condition(expression.root);
}
Json evaluate_present(const Expression& expression, Scope& scope) {
  return Evaluator(expression, scope).present(expression.root);
}

}  // namespace remap::lang
