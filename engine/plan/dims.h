// Binds named sizes from the shapes that rules state, once each, and checks them everywhere they occur.
#pragma once

#include <compare>

#include "lang/rules.h"
#include "layout/checkpoint_scope.h"
#include "plan/planning.h"

namespace remap::plan {

class Dims {
 public:
  explicit Dims(layout::CheckpointScope& scope) : scope_(scope) {}

  using RuleLine = std::pair<int, int>;  // line and column of a rule: 'linear' is two rules, and one mistake

  // One statement: axis `axis` of the tensors `range` (begin, end) of a rule's matches is `actual`, and the rule says
  // it is `expression`. Both outlive this. `holes`: what those took that the expression names.
  void state(RuleLine rule, const lang::Expression& expression, int64_t actual, size_t axis, const RuleMatches& matches,
             std::pair<size_t, size_t> range, std::map<std::string, Json> holes);

  // Where rules contradict each other, those of which one is wrong: without it, all others agree, or as many as can.
  // More than one if the shapes do not tell which: the last in the file first, as it contradicts what was said before.
  // Empty if nothing contradicts.
  std::vector<RuleLine> suspects();
  // Binds the dims by what all rules but `wrong` state, then by those, and checks every statement.
  struct Blame {
    std::set<RuleLine> wrong;
    bool certain = true;  // else messages name the other rule, too
    bool silent = false;  // says nothing about the rules that are wrong
  };
  void resolve(const Blame& blame, Diagnostics& diagnostics);
  // Whether the rule names a dim that no other rule names.
  bool alone(RuleLine rule);
  const std::map<std::string, BoundDim>& bound() const { return bound_; }

 private:
  // A rule says the same of every layer.
  struct Statement {
    RuleLine rule;
    const lang::Expression* expression;
    int64_t actual;
    std::map<std::string, Json> holes;  // those that the expression names
    size_t axis;
    const RuleMatches* matches;
    std::vector<std::pair<size_t, size_t>> seen;  // ranges of the matches
    size_t n_seen = 0;
    std::string_view first_key() const { return matches->key(seen.front().first).key; }
  };
  void bind_all(const std::set<RuleLine>& last);
  void solve_all(std::vector<const Statement*> statements);
  bool contradicts(const Statement& statement);
  struct Trouble {
    size_t rules = 0, statements = 0;
    auto operator<=>(const Trouble&) const = default;
  };
  Trouble trouble_without(const std::set<RuleLine>& wrong);
  bool solve(const Statement& statement);
  bool solve_node(const Statement& statement, const lang::ExpressionNode& node, int64_t value);
  std::string dim_name(const Statement& statement, const lang::ExpressionNode& node) const;
  bool is_unknown(const Statement& statement, const lang::ExpressionNode& node) const;
  void bind(const Statement& statement, const std::string& name, int64_t value);
  bool report_cause(const Statement& statement, Diagnostics& diagnostics);
  void check(const Statement& statement, bool certain, std::map<RuleLine, TextPlace>& places, Diagnostics& diagnostics);

  layout::CheckpointScope& scope_;
  std::vector<Statement> statements_;
  std::map<std::string, BoundDim> bound_;
  std::set<std::string> causes_;                                                                       // reported
  std::map<std::tuple<const lang::Expression*, int64_t, std::map<std::string, Json>>, size_t> index_;  // of statements_
  bool disputed_ = false;  // then the size that most tensors have comes first
};

inline Dims::RuleLine line_of(const TextPlace& place) { return {place.line, place.column}; }

}  // namespace remap::plan
