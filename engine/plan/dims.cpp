#include "plan/dims.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/checked.h"

namespace remap::plan {

using lang::ExpressionNode;
using lang::NodeKind;

namespace {

// The expression's holes are names while a statement is looked at.
class HolesInScope {
 public:
  HolesInScope(layout::CheckpointScope& scope, const std::map<std::string, Json>& holes) : scope_(scope) {
    scope_.holes = holes;
  }
  ~HolesInScope() { scope_.holes.clear(); }
  HolesInScope(const HolesInScope&) = delete;

 private:
  layout::CheckpointScope& scope_;
};

}  // namespace

void Dims::state(RuleLine rule, const lang::Expression& expression, int64_t actual, size_t axis,
                 const RuleMatches& matches, std::pair<size_t, size_t> range, std::map<std::string, Json> holes) {
  const auto [it, fresh] = index_.emplace(std::tuple(&expression, actual, holes), statements_.size());
  if (fresh) statements_.push_back({rule, &expression, actual, std::move(holes), axis, &matches, {}});
  Statement& statement = statements_[it->second];
  if (!statement.seen.empty() && statement.seen.back().second == range.first)
    statement.seen.back().second = range.second;
  else
    statement.seen.push_back(range);
  statement.n_seen += range.second - range.first;
}

void Dims::bind(const Statement& s, const std::string& name, int64_t value) {
  bound_[name] = {name, value, fmt::format("axis {} of '{}'", s.axis, s.first_key()), s.expression->written.place()};
  scope_.dims[name] = value;
}

// "hidden", or "hidden.text" for hidden.m and hidden[m] where m is text; "" if the node is not a dim.
std::string Dims::dim_name(const Statement& s, const ExpressionNode& node) const {
  if (node.kind == NodeKind::name) return scope_.is_defined(node.text) ? "" : node.text;
  if ((node.kind != NodeKind::index && node.kind != NodeKind::member) || node.children[0].kind != NodeKind::name)
    return "";
  const std::string& base = node.children[0].text;
  if (scope_.is_defined(base)) return "";
  try {
    const Json key = node.kind == NodeKind::member ? scope_.member_key(base, node.text)
                                                   : lang::evaluate(*s.expression, node.children[1], scope_).json;
    return key.is_null() ? "" : fmt::format("{}.{}", base, key.is_string() ? key.get<std::string>() : key.dump());
  } catch (const Error&) {
    return "";
  }
}

// Whether the node holds a name without a value.
bool Dims::is_unknown(const Statement& s, const ExpressionNode& node) const {
  if (node.kind == NodeKind::name || node.kind == NodeKind::index || node.kind == NodeKind::member) {
    try {
      return lang::evaluate(*s.expression, node, scope_).state != lang::Value::State::present;
    } catch (const Error&) {
      return true;
    }
  }
  return std::any_of(node.children.begin(), node.children.end(),
                     [&](const ExpressionNode& child) { return is_unknown(s, child); });
}

bool Dims::solve_node(const Statement& s, const ExpressionNode& node, int64_t value) {
  if (const std::string name = dim_name(s, node); !name.empty()) return bind(s, name, value), true;
  if (node.kind != NodeKind::binary) return false;
  const bool left_unknown = is_unknown(s, node.children[0]), right_unknown = is_unknown(s, node.children[1]);
  if (left_unknown == right_unknown) return false;
  const ExpressionNode& unknown = node.children[left_unknown ? 0 : 1];
  Json known;
  try {
    known = lang::evaluate(*s.expression, node.children[left_unknown ? 1 : 0], scope_).json;
  } catch (const Error&) {
    return false;
  }
  if (!known.is_number_integer()) return false;
  const int64_t k = known.get<int64_t>();
  if (node.text == "*") return k != 0 && value % k == 0 && solve_node(s, unknown, value / k);
  if (node.text == "+") return solve_node(s, unknown, value - k);
  if (node.text == "-") return solve_node(s, unknown, left_unknown ? value + k : k - value);
  if (node.text != "/") return false;
  if (!left_unknown) return value > 0 && k % value == 0 && solve_node(s, unknown, k / value);  // as '/' itself: exactly
  const auto whole = checked_mul(value, k);
  return whole && solve_node(s, unknown, *whole);
}

bool Dims::solve(const Statement& s) {
  const HolesInScope holes(scope_, s.holes);
  return is_unknown(s, s.expression->root) && solve_node(s, s.expression->root, s.actual);
}

// A size that hangs on an entry of 'let' which has no value: that is what to say, once.
bool Dims::report_cause(const Statement& s, Diagnostics& diagnostics) {
  try {
    lang::evaluate_present(*s.expression, scope_);
  } catch (const Error& e) {
    const auto* place = std::get_if<TextPlace>(&e.diagnostic().place);
    const TextPlace own = s.expression->written.place();
    if (place == nullptr || (place->file == own.file && place->line == own.line)) return false;
    if (causes_.insert(e.diagnostic().message).second) diagnostics.add(e.diagnostic());
    return true;
  }
  return false;
}

// One finding for every tensor that the statement is about.
// `places`: of the first mismatch in each rule. Two axes that are exchanged are one mistake, and told at one place.
void Dims::check(const Statement& s, bool certain, std::map<RuleLine, TextPlace>& places, Diagnostics& diagnostics) {
  const HolesInScope holes(scope_, s.holes);
  const TextPlace own = s.expression->written.place();
  const auto report = [&](const char* id, const TextPlace& place, const std::string& hint,
                          const std::vector<std::string>& notes, auto message) {
    for (const auto& [begin, end] : s.seen)
      for (size_t i = begin; i < end; ++i) diagnostics.error(id, place, message(s.matches->key(i).key), hint, notes);
  };
  if (is_unknown(s, s.expression->root)) {
    if (report_cause(s, diagnostics)) return;
    report("plan-dim-unbound", own, "bind the names with a shape of their own, or under 'let'", {},
           [&](std::string_view key) {
             return fmt::format("axis {} of '{}' is {}, which does not tell what '{}' is", s.axis, key, s.actual,
                                s.expression->text);
           });
    return;
  }
  try {
    const Json value = lang::evaluate_present(*s.expression, scope_);
    if (value == Json(s.actual)) return;
    std::vector<std::string> notes;
    std::string other;
    lang::visit(s.expression->root, [&](const ExpressionNode& n) {
      const auto it = bound_.find(dim_name(s, n));
      if (it == bound_.end()) return;
      if (!certain && it->second.place.line != own.line)
        other = fmt::format(", by {} (one of the two rules is wrong)", to_string(Place(it->second.place)));
      notes.push_back(fmt::format("{}: '{}' is {} by {}", to_string(Place(it->second.place)), it->first,
                                  it->second.value, it->second.origin));
    });
    const TextPlace& place = places.emplace(s.rule, own).first->second;
    report("plan-shape-mismatch", place, "", notes, [&](std::string_view key) {
      return fmt::format("axis {} of '{}' is {}; '{}' says {}{}", s.axis, key, s.actual, s.expression->text,
                         value.dump(), other);
    });
  } catch (const Error& e) {
    diagnostics.add(e.diagnostic());
  }
}

bool Dims::contradicts(const Statement& s) {
  const HolesInScope holes(scope_, s.holes);
  if (is_unknown(s, s.expression->root)) return false;
  try {
    return lang::evaluate_present(*s.expression, scope_) != Json(s.actual);
  } catch (const Error&) {
    return true;
  }
}

void Dims::solve_all(std::vector<const Statement*> statements) {
  if (disputed_)
    std::stable_sort(statements.begin(), statements.end(),
                     [](const Statement* a, const Statement* b) { return a->n_seen > b->n_seen; });
  // Plain names first: '3*hidden' must not bind what '[hidden]' says elsewhere.
  for (const Statement* s : statements)
    if (s->expression->root.kind != NodeKind::binary) solve(*s);
  for (bool progress = true; progress;) {
    progress = false;
    for (const Statement* s : statements) progress |= solve(*s);
  }
}

void Dims::bind_all(const std::set<RuleLine>& last) {
  bound_.clear();
  scope_.dims.clear();
  scope_.forget_let();
  std::vector<const Statement*> first, others;
  for (const Statement& s : statements_) (last.contains(s.rule) ? others : first).push_back(&s);
  solve_all(first);
  if (others.empty()) return;
  solve_all(std::move(others));
  solve_all(std::move(first));  // what a dim of `last` was lacking for
}

Dims::Trouble Dims::trouble_without(const std::set<RuleLine>& wrong) {
  bind_all(wrong);
  std::set<RuleLine> rules;
  Trouble trouble;
  for (const Statement& s : statements_) {
    if (wrong.contains(s.rule) || !contradicts(s)) continue;
    rules.insert(s.rule);
    ++trouble.statements;
  }
  trouble.rules = rules.size();
  return trouble;
}

std::vector<Dims::RuleLine> Dims::suspects() {
  constexpr size_t kMaxWork = 1'000'000;  // statements looked at; more occur where every tensor has a size of its own
  constexpr size_t kMaxSuspects = 3;      // more than that: the checkpoint is what contradicts itself
  const Trouble all = trouble_without({});
  if (all.rules == 0) return {};
  disputed_ = true;
  std::set<RuleLine> rules;
  for (const Statement& s : statements_) rules.insert(s.rule);
  if (rules.size() * statements_.size() > kMaxWork) return {};
  Trouble least = all;
  std::vector<RuleLine> found;
  for (const RuleLine& rule : rules) {
    const Trouble trouble = trouble_without({rule});
    if (trouble < least) found.clear(), least = trouble;
    if (trouble == least && trouble < all) found.push_back(rule);
  }
  if (found.size() > kMaxSuspects) {
    disputed_ = false;
    return {};
  }
  std::reverse(found.begin(), found.end());
  return found;
}

void Dims::resolve(const Blame& blame, Diagnostics& diagnostics) {
  bind_all(blame.wrong);
  std::map<RuleLine, TextPlace> places;
  for (const Statement& s : statements_)
    if (!blame.silent || !blame.wrong.contains(s.rule)) check(s, blame.certain, places, diagnostics);
}

bool Dims::alone(RuleLine rule) {
  std::map<std::string, std::set<RuleLine>> rules;
  for (const Statement& s : statements_) {
    const HolesInScope holes(scope_, s.holes);
    lang::visit(s.expression->root, [&](const ExpressionNode& node) {
      if (const std::string name = dim_name(s, node); !name.empty()) rules[name].insert(s.rule);
    });
  }
  return std::any_of(rules.begin(), rules.end(),
                     [&](const auto& entry) { return entry.second == std::set<RuleLine>{rule}; });
}

}  // namespace remap::plan
