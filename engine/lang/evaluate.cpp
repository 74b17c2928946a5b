#include <fmt/format.h>

#include "lang/functions.h"
#include "lang/operators.h"

namespace remap::lang {

Value Scope::binary(const std::string& op, const Value& a, const Value& b) {
  throw Error("expression-value", {},
              fmt::format("'{}' is not defined for {}", op, a.state == Value::State::opaque ? a.what : b.what));
}

namespace {

class Evaluator {
 public:
  Evaluator(const Expression& expression, Scope& scope) : expression_(expression), scope_(scope) {}

  Value value(const ExpressionNode& node) {
    switch (node.kind) {
      case NodeKind::literal:
        return at(node, [&] {
          Value literal = Value::of(node.literal);
          if (literal.json.is_string()) scope_.fill(literal.json.get_ref<std::string&>());
          return literal;
        });
      case NodeKind::omit: return {Value::State::omit, {}};
      case NodeKind::name: return at(node, [&] { return name(node); });
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

  // A value that is there: plain data, or opaque.
  Value known(const ExpressionNode& node) {
    Value v = value(node);
    if (v.state == Value::State::missing)
      fail(node, fmt::format("'{}' has no value: {} is not there", text(node), v.what.empty() ? text(node) : v.what),
           missing_hint(v.what), "expression-missing");
    if (v.state == Value::State::omit) fail(node, "'omit' is not a value; it can only be what a field is given");
    return v;
  }

  Json present(const ExpressionNode& node) {
    Value v = known(node);
    if (v.state == Value::State::opaque)
      fail(node, fmt::format("'{}' is {}, where plain data was expected", text(node), v.what));
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
  [[noreturn]] void fail(const ExpressionNode& node, const std::string& message, const std::string& hint = {},
                         const std::string& id = "expression-value") const {
    throw Error(id, expression_.written.place(node.offset, node.length), message, hint);
  }
  // What the scope or a function throws without a place is about this node.
  template <typename F>
  Value at(const ExpressionNode& node, F f) const {
    try {
      return f();
    } catch (const Error& e) {
      if (!std::holds_alternative<std::monostate>(e.diagnostic().place)) throw;
      Diagnostic diagnostic = e.diagnostic();
      diagnostic.place = expression_.written.place(node.offset, node.length);
      throw Error(std::move(diagnostic));
    }
  }

  Value name(const ExpressionNode& node) {
    auto found = scope_.lookup(node.text);
    if (!found)
      fail(node, fmt::format("unknown name '{}'", node.text),
           "names are dims bound by shapes, entries of 'let', variants, and 'meta' for the checkpoint's metadata",
           "expression-unknown-name");
    return std::move(*found);
  }

  Value member(const ExpressionNode& node, const Json& key) {
    // A path into the metadata is followed by pointer: only what it ends at is copied.
    if (const Json* object = referred(node.children[0])) {
      const Json* part = entry_of(*object, key);
      return part != nullptr ? Value::of(*part) : Value::missing(text(node));
    }
    Value object = value(node.children[0]);
    if (object.state == Value::State::missing) return object;
    if (object.state == Value::State::omit) fail(node, "'omit' has no parts");
    if (object.state == Value::State::opaque)
      fail(node, fmt::format("'{}' is {}, which has no parts", text(node.children[0]), object.what));
    const Json* part = entry_of(object.json, key);
    return part != nullptr ? Value::of(*part) : Value::missing(text(node));
  }

  const Json* referred(const ExpressionNode& node) {
    if (node.kind == NodeKind::name) return scope_.reference(node.text);
    if (node.kind != NodeKind::member) return nullptr;
    const Json* object = referred(node.children[0]);
    return object == nullptr ? nullptr : entry_of(*object, Json(node.text));
  }

  Value unary(const ExpressionNode& node) {
    if (node.text == "not") return Value::of(!condition(node.children[0]));
    const Json operand = present(node.children[0]);
    if (operand.is_number_integer())
      return at(node, [&] { return Value::of(find_operator("-")->run("-", 0, operand)); });
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
    const Value a = known(node.children[0]), b = known(node.children[1]);
    if (a.state == Value::State::opaque || b.state == Value::State::opaque)
      return at(node, [&] { return scope_.binary(op, a, b); });
    return at(node, [&] { return Value::of(node.op->run(op, a.json, b.json)); });
  }

  Value call(const ExpressionNode& node) {
    const FunctionRow& function = *node.function;
    const bool last_unevaluated = function.takes == FunctionRow::Takes::last_unevaluated;
    Call call{function, scope_};
    for (size_t i = 0; i + (last_unevaluated ? 1 : 0) < node.children.size(); ++i)
      call.arguments.push_back(known(node.children[i]));
    if (last_unevaluated) call.evaluate_last = [&] { return known(node.children.back()); };
    return at(node, [&] {
      try {
        return function.run(call);
      } catch (const Json::exception&) {  // a list in a list was expected, and so on
        throw Error("expression-value", {}, fmt::format("'{}' cannot take these arguments", function.name),
                    fmt::format("it is {}: {}", function.signature, function.purpose));
      }
    });
  }

  const Expression& expression_;
  Scope& scope_;
};

}  // namespace

Value evaluate(const Expression& expression, Scope& scope) {
  return Evaluator(expression, scope).value(expression.root);
}
Value evaluate(const Expression& expression, const ExpressionNode& node, Scope& scope) {
  return Evaluator(expression, scope).value(node);
}
Value evaluate_known(const Expression& expression, Scope& scope) {
  return Evaluator(expression, scope).known(expression.root);
}
bool evaluate_condition(const Expression& expression, Scope& scope) {
  return Evaluator(expression, scope).condition(expression.root);
}
Json evaluate_present(const Expression& expression, Scope& scope) {
  return Evaluator(expression, scope).present(expression.root);
}

}  // namespace remap::lang
