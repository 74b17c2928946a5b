// Binds named sizes from the shapes that rules state, once each, and checks them everywhere they occur.
#pragma once

#include "plan/facts.h"

namespace remap::plan {

class Dims {
 public:
  explicit Dims(Facts& facts) : facts_(facts) {}

  // One statement: axis `axis` of tensor `key` is `actual`, and the rule says it is `expression`.
  // `holes`: what the key's pattern took; names in the expression too.
  void state(const lang::Expression& expression, int64_t actual, size_t axis, const std::string& key, const lang::Captures& captures);
  // Solves what has one unknown name, as often as that helps, then checks every statement.
  void resolve(Diagnostics& diagnostics);
  const std::map<std::string, BoundDim>& bound() const { return bound_; }

 private:
  struct Statement {
    const lang::Expression* expression;
    int64_t actual;
    size_t axis;
    std::string key;
    std::map<std::string, Json> holes;  // those that the expression names
  };
  bool solve(const Statement& statement);
  bool solve_node(const Statement& statement, const lang::ExpressionNode& node, int64_t value);
  std::string dim_name(const Statement& statement, const lang::ExpressionNode& node) const;
  bool is_unknown(const Statement& statement, const lang::ExpressionNode& node) const;
  void bind(const Statement& statement, const std::string& name, int64_t value);
  bool report_cause(const Statement& statement, Diagnostics& diagnostics);
  void check(const Statement& statement, Diagnostics& diagnostics);

  Facts& facts_;
  std::vector<Statement> statements_;
  std::map<std::string, BoundDim> bound_;
  std::set<std::string> causes_;  // reported
  std::set<std::tuple<const lang::Expression*, int64_t, std::map<std::string, Json>>> seen_;  // a rule says the same of every layer
};

}  // namespace remap::plan
