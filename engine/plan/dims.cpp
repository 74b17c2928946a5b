#include "plan/dims.h"

#include <fmt/format.h>

namespace remap::plan {

using lang::ExpressionNode;
using lang::NodeKind;

void Dims::state(const lang::Expression& expression, int64_t actual, size_t axis, const std::string& key) {
  if (seen_.emplace(&expression, actual).second) statements_.push_back({&expression, actual, axis, key});
}

void Dims::bind(const Statement& s, const std::string& name, int64_t value) {
  bound_[name] = {name, value, fmt::format("axis {} of '{}'", s.axis, s.key), s.expression->written.place()};
  facts_.dims[name] = value;
}

// Whether the node holds a name without a value.
bool Dims::is_unknown(const ExpressionNode& node) const {
  bool unknown = false;
  lang::visit(node, [&](const ExpressionNode& n) {
    if (n.kind != NodeKind::name || unknown) return;
    try {
      const auto value = facts_.lookup(n.text);
      unknown = !value || value->state != lang::Value::State::present;
    } catch (const Error&) {
      unknown = true;
    }
  });
  return unknown;
}

bool Dims::solve_node(const Statement& s, const ExpressionNode& node, int64_t value) {
  if (node.kind == NodeKind::name) return bind(s, node.text, value), true;
  if (node.kind != NodeKind::binary) return false;
  const bool left_unknown = is_unknown(node.children[0]), right_unknown = is_unknown(node.children[1]);
  if (left_unknown == right_unknown) return false;
  const ExpressionNode& unknown = node.children[left_unknown ? 0 : 1];
  Json known;
  try {
    known = lang::evaluate(*s.expression, node.children[left_unknown ? 1 : 0], facts_).json;
  } catch (const Error&) {
    return false;
  }
  if (!known.is_number_integer()) return false;
  const int64_t k = known.get<int64_t>();
  if (node.text == "*") return k != 0 && value % k == 0 && solve_node(s, unknown, value / k);
  if (node.text == "+") return solve_node(s, unknown, value - k);
  if (node.text == "-") return solve_node(s, unknown, left_unknown ? value + k : k - value);
  if (node.text == "/" && left_unknown) return solve_node(s, unknown, value * k);
  return false;
}

bool Dims::solve(const Statement& s) { return is_unknown(s.expression->root) && solve_node(s, s.expression->root, s.actual); }

void Dims::check(const Statement& s, Diagnostics& diagnostics) {
  const TextPlace place = s.expression->written.place();
  if (is_unknown(s.expression->root)) {
    diagnostics.error("plan-dim-unbound", place, fmt::format("axis {} of '{}' is {}, which does not tell what '{}' is", s.axis, s.key, s.actual, s.expression->text),
                      "bind the names with a shape of their own, or under 'let'");
    return;
  }
  try {
    const Json value = lang::evaluate_present(*s.expression, facts_);
    if (value == Json(s.actual)) return;
    std::vector<std::string> notes;
    lang::visit(s.expression->root, [&](const ExpressionNode& n) {
      if (n.kind != NodeKind::name) return;
      const auto it = bound_.find(n.text);
      if (it != bound_.end()) notes.push_back(fmt::format("{}: '{}' is {} by {}", to_string(Place(it->second.place)), n.text, it->second.value, it->second.origin));
    });
    diagnostics.error("plan-shape-mismatch", place, fmt::format("axis {} of '{}' is {}; '{}' says {}", s.axis, s.key, s.actual, s.expression->text, value.dump()), {}, notes);
  } catch (const Error& e) {
    diagnostics.add(e.diagnostic());
  }
}

void Dims::resolve(Diagnostics& diagnostics) {
  // Plain names first: '3*hidden' must not bind what '[hidden]' says elsewhere.
  for (const Statement& s : statements_)
    if (s.expression->root.kind == NodeKind::name) solve(s);
  for (bool progress = true; progress;) {
    progress = false;
    for (const Statement& s : statements_) progress |= solve(s);
  }
  for (const Statement& s : statements_) check(s, diagnostics);
}

}  // namespace remap::plan
