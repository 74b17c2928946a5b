#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"
#include "lang/functions.h"
#include "lang/operators.h"
#include "remap/nearest.h"

namespace remap::lang {

void visit(const ExpressionNode& node, const std::function<void(const ExpressionNode&)>& visitor) {
  visitor(node);
  for (const auto& child : node.children) visit(child, visitor);
}

namespace {

constexpr int kMaxNesting = 64;
constexpr int kMaxLinks = 1000;

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
        throw SyntaxError{i, 1, "unterminated string", fmt::format("close it with {}", c)};
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
  ExpressionNode binary(std::string_view op, ExpressionNode left, ExpressionNode right, size_t start) {
    ExpressionNode node =
        make(NodeKind::binary, std::string(op), parts(std::move(left), std::move(right)), start, end_of_last());
    node.op = find_operator(op);
    return node;
  }
  // An initializer list would copy them, with all that is below.
  template <typename... Node>
  static std::vector<ExpressionNode> parts(Node... nodes) {
    std::vector<ExpressionNode> list;
    list.reserve(sizeof...(nodes));
    (list.push_back(std::move(nodes)), ...);
    return list;
  }
  // Of a chain such as a + b + c or a.b.c, each makes the tree a level deeper, and who walks it recurses.
  void count_link() {
    if (++n_links_ > kMaxLinks)
      fail(peek(), fmt::format("the expression has more than {} operators", kMaxLinks),
           "cut it into names under 'let'");
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
    return make(NodeKind::conditional, "if", parts(std::move(value), std::move(condition), std::move(otherwise)), start,
                end_of_last());
  }
  ExpressionNode left_chain(ExpressionNode (Parser::*level)(), const std::vector<std::string_view>& operators) {
    const size_t start = peek().offset;
    ExpressionNode left = (this->*level)();
    while (true) {
      const auto op = std::find_if(operators.begin(), operators.end(), [&](std::string_view o) { return is(o); });
      if (op == operators.end()) return left;
      count_link();
      next();
      ExpressionNode right = (this->*level)();
      left = binary(*op, std::move(left), std::move(right), start);
    }
  }
  ExpressionNode disjunction() { return left_chain(&Parser::conjunction, {"or"}); }
  ExpressionNode conjunction() { return left_chain(&Parser::negation, {"and"}); }
  ExpressionNode negation() {
    Nesting nesting(*this);
    const size_t start = peek().offset;
    if (!accept("not")) return comparison();
    ExpressionNode operand = negation();
    return make(NodeKind::unary, "not", parts(std::move(operand)), start, end_of_last());
  }
  ExpressionNode comparison() {
    const size_t start = peek().offset;
    ExpressionNode left = coalesce();
    for (const std::string_view op : {"==", "!=", "<=", ">=", "<", ">", "in"})
      if (accept(op)) {
        ExpressionNode right = coalesce();
        return binary(op, std::move(left), std::move(right), start);
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
    return make(NodeKind::unary, "-", parts(std::move(operand)), start, end_of_last());
  }
  ExpressionNode postfix() {
    const size_t start = peek().offset;
    ExpressionNode node = primary();
    while (true) {
      if (is(".") || is("[")) count_link();
      if (accept(".")) {
        const Token name = next();
        if (name.kind != Token::Kind::name) fail(name, "a field's name was expected after '.'");
        node = make(NodeKind::member, spelled(name), parts(std::move(node)), start, end_of_last());
      } else if (accept("[")) {
        ExpressionNode index = conditional();
        expect("]", "after an index");
        node = make(NodeKind::index, "[]", parts(std::move(node), std::move(index)), start, end_of_last());
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
    const FunctionRow& function = called(t, list.size());
    ExpressionNode node = make(NodeKind::call, t.text, std::move(list), t.offset, end_of_last());
    node.function = &function;
    return node;
  }
  const FunctionRow& called(const Token& name, size_t count) const {
    const auto row = std::find_if(functions_.begin(), functions_.end(),
                                  [&](const FunctionRow& function) { return function.name == name.text; });
    if (row != functions_.end()) {
      if (static_cast<int>(count) < row->min_arguments ||
          (row->max_arguments >= 0 && static_cast<int>(count) > row->max_arguments))
        fail(name, fmt::format("'{}' was given {}", name.text, count_text(count, "argument")),
             fmt::format("it is {}", row->signature));
      return *row;
    }
    std::vector<std::string> names;
    for (const FunctionRow& function : functions_) names.emplace_back(function.name);
    fail(name, fmt::format("there is no function '{}'", name.text),
         did_you_mean(nearest_name(name.text, names), fmt::format("there are: {}", remap::join(names, ", "))));
  }

  const std::string& text_;
  const std::vector<FunctionRow>& functions_;
  std::vector<Token> tokens_;
  size_t position_ = 0;
  int depth_ = 0;
  int n_links_ = 0;
};

}  // namespace

std::optional<Expression> parse_expression(const std::string& text, const TextSpan& written, Diagnostics& diagnostics,
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

}  // namespace remap::lang
