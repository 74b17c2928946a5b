// The expression language of rule and schema files: pure, no loops, no side effects, errors with positions.
//
//   or, and, not, == != < <= > >= in, ??, + -, * / // %, unary -, a.b, a[i], f(x), x if c else y,
//   [1, 2], 'text', 12, 1e-5, true, null
//
// Values are JSON, or missing. Looking up a path that is not there gives missing; `a ?? b` is b where a is missing or
// null; any other use of a missing value is an error. `omit` is a value too: the field it is given to is left out.
// Arithmetic on integers is exact and checked; `/` on integers must divide exactly, `//` rounds down.
#pragma once

#include <any>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lang/yaml_tree.h"
#include "remap/metadata.h"

namespace remap::lang {

struct Value {
  enum class State { present, missing, omit, opaque };
  State state = State::present;
  Json json;
  std::string what = {};  // missing: the path that was looked for; opaque: what it is, "a tensor"
  std::any held = {};     // opaque: not JSON; only the scope that made it knows what to do with it
  static Value missing(std::string what) { return {State::missing, {}, std::move(what)}; }
  static Value of(Json json) { return {State::present, std::move(json)}; }
  static Value opaque(std::any held, std::string what) { return {State::opaque, {}, std::move(what), std::move(held)}; }
};

struct FunctionRow;
struct OperatorRow;

enum class NodeKind { literal, omit, name, member, index, call, list, unary, binary, conditional };

struct ExpressionNode {
  NodeKind kind = NodeKind::literal;
  std::string text;  // name, member name, function or operator
  Json literal;
  std::vector<ExpressionNode> children;
  size_t offset = 0, length = 0;          // in the expression's text
  const FunctionRow* function = nullptr;  // of a call
  const OperatorRow* op = nullptr;        // of a binary node; none: 'or', 'and', '??'
};

struct Expression {
  std::string text;
  ExpressionNode root;
  TextSpan written;
};

class KeyFacts;

// What an expression can see. What its functions throw without a place gets that of the expression's part.
class Scope {
 public:
  virtual ~Scope() = default;
  // nullopt for a name it does not know.
  virtual std::optional<Value> lookup(const std::string& name) = 0;
  // A value that outlives the evaluation, for following paths without copying; nullptr if there is none.
  virtual const Json* reference(const std::string&) { return nullptr; }
  // The key that `base.member` looks up; "member" itself, unless it stands for something where `base` is looked into.
  virtual Json member_key(const std::string& base, const std::string& member) const {
    static_cast<void>(base);
    return member;
  }
  // Fills in what a string literal holds beside plain characters, if the scope knows such things.
  virtual void fill(std::string& literal) { static_cast<void>(literal); }
  // The value of `a op b` where one of them is opaque. Throws Error if it has none, as it does by default.
  virtual Value binary(const std::string& op, const Value& a, const Value& b);
  // The checkpoint that functions about keys ask; nullptr if none is known.
  virtual KeyFacts* key_facts() { return nullptr; }
};

// Throws Error "expression-…" at the part that has no value.
Value evaluate(const Expression& expression, Scope& scope);
Value evaluate(const Expression& expression, const ExpressionNode& node, Scope& scope);
// Throws if the value is missing or omit.
Value evaluate_known(const Expression& expression, Scope& scope);
// These two throw if it is opaque, too.
bool evaluate_condition(const Expression& expression, Scope& scope);
Json evaluate_present(const Expression& expression, Scope& scope);

// Names and functions used anywhere in the expression.
void visit(const ExpressionNode& node, const std::function<void(const ExpressionNode&)>& visitor);

// The functions of the language: lang/functions.h.
const std::vector<FunctionRow>& function_table();

// nullopt and a diagnostic if `text` is not an expression or calls a function that is not in `functions`, which must
// outlive the expression.
std::optional<Expression> parse_expression(const std::string& text, const TextSpan& written, Diagnostics& diagnostics,
                                           const std::vector<FunctionRow>& functions = function_table());

}  // namespace remap::lang
