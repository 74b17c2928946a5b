#include "lint/satisfiability.h"

#include <algorithm>

namespace remap::linting {

using lang::Expression;
using lang::ExpressionNode;
using lang::NodeKind;

namespace {

constexpr size_t kMaxAssignments = 1 << 14;
constexpr int kMaxDepth = 16;

bool is_comparison(const ExpressionNode& node) {
  return node.kind == NodeKind::binary && (node.text == "==" || node.text == "!=" || node.text == "in");
}
bool is_condition(const ExpressionNode& node) {
  return is_comparison(node) || (node.kind == NodeKind::binary && (node.text == "and" || node.text == "or")) ||
         (node.kind == NodeKind::unary && node.text == "not") ||
         (node.kind == NodeKind::literal && node.literal.is_boolean()) ||
         (node.kind == NodeKind::call && node.text == "exists");
}

// What a thing is compared with: one literal, or a list of them. Empty if it is anything else.
std::vector<Json> literals_of(const ExpressionNode& node) {
  if (node.kind == NodeKind::literal) return {node.literal};
  std::vector<Json> values;
  if (node.kind != NodeKind::list) return values;
  for (const auto& item : node.children) {
    if (item.kind != NodeKind::literal) return {};
    values.push_back(item.literal);
  }
  return values;
}

}  // namespace

std::string spelled(const ExpressionNode& node) {
  std::string text = node.kind == NodeKind::literal ? node.literal.dump(-1, ' ', false, Json::error_handler_t::replace)
                                                    : std::to_string(static_cast<int>(node.kind)) + node.text;
  if (node.children.empty()) return text;
  text += '(';
  for (const auto& child : node.children) text += spelled(child) + ",";
  return text + ')';
}

const ExpressionNode* Conditions::entry_of(const std::string& name) const {
  for (const auto& [entry, expression] : let_)
    if (entry == name) return &expression.root;
  return nullptr;
}

Conditions::Formula Conditions::formula_of(const ExpressionNode& node, int depth) const {
  using Kind = Formula::Kind;
  if (depth > kMaxDepth) return {Kind::test, true, spelled(node), {true}, {}};
  if (node.kind == NodeKind::literal && node.literal.is_boolean())
    return {Kind::constant, node.literal.get<bool>(), {}, {}, {}};
  if (node.kind == NodeKind::unary && node.text == "not")
    return {Kind::negation, true, {}, {}, {formula_of(node.children[0], depth + 1)}};
  if (node.kind == NodeKind::binary && (node.text == "and" || node.text == "or"))
    return {node.text == "and" ? Kind::all : Kind::any,
            true,
            {},
            {},
            {formula_of(node.children[0], depth + 1), formula_of(node.children[1], depth + 1)}};
  if (is_comparison(node)) {
    const bool turned = node.text != "in" && node.children[0].kind == NodeKind::literal;
    const ExpressionNode &thing = node.children[turned ? 1 : 0], &other = node.children[turned ? 0 : 1];
    const bool fits = node.text == "in" ? other.kind == NodeKind::list : other.kind == NodeKind::literal;
    std::vector<Json> values = fits ? literals_of(other) : std::vector<Json>{};
    if (!values.empty()) {
      Formula test{Kind::test, true, thing.kind == NodeKind::name ? thing.text : spelled(thing), std::move(values), {}};
      return node.text == "!=" ? Formula{Kind::negation, true, {}, {}, {std::move(test)}} : test;
    }
  }
  if (node.kind == NodeKind::name)
    if (const ExpressionNode* entry = entry_of(node.text); entry != nullptr && is_condition(*entry))
      return formula_of(*entry, depth + 1);
  return {Kind::test, true, spelled(node), {true}, {}};
}

void Conditions::collect(const Formula& formula, std::map<std::string, std::vector<Json>>& things) {
  if (formula.kind == Formula::Kind::test) {
    auto& values = things[formula.thing];
    for (const Json& value : formula.values)
      if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
  }
  for (const Formula& part : formula.parts) collect(part, things);
}

bool Conditions::holds(const Formula& formula, const Assignment& assignment) {
  const auto part_holds = [&](const Formula& part) { return holds(part, assignment); };
  switch (formula.kind) {
    case Formula::Kind::constant: return formula.value;
    case Formula::Kind::test:
      return std::find(formula.values.begin(), formula.values.end(), assignment.at(formula.thing)) !=
             formula.values.end();
    case Formula::Kind::all: return std::all_of(formula.parts.begin(), formula.parts.end(), part_holds);
    case Formula::Kind::any: return std::any_of(formula.parts.begin(), formula.parts.end(), part_holds);
    case Formula::Kind::negation: return !holds(formula.parts[0], assignment);
  }
  return true;
}

bool Conditions::can_hold(const std::vector<const Expression*>& conditions) const {
  Formula all{Formula::Kind::all, true, {}, {}, {}};
  for (const Expression* condition : conditions)
    if (condition != nullptr) all.parts.push_back(formula_of(condition->root, 0));
  std::map<std::string, std::vector<Json>> things;
  collect(all, things);
  size_t count = 1;
  for (auto& [thing, values] : things) {
    const auto limit = limits_.find(thing);
    if (limit != limits_.end())
      values = limit->second;
    else
      values.push_back(Json::object());  // any other value: no literal is an object
    if (count > kMaxAssignments / values.size()) return true;
    count *= values.size();
  }
  Assignment assignment;
  for (size_t number = 0; number < count; ++number) {
    size_t rest = number;
    for (const auto& [thing, values] : things) {
      assignment[thing] = values[rest % values.size()];
      rest /= values.size();
    }
    if (holds(all, assignment)) return true;
  }
  return false;
}

}  // namespace remap::linting
