// Which conditions can hold at the same time? Decided by their form alone: comparisons of the same thing with different
// texts exclude each other, and everything else may be true or false.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lang/expression.h"

namespace remap::linting {

class Conditions {
 public:
  // `let`: names that stand for expressions.
  explicit Conditions(const std::vector<std::pair<std::string, lang::Expression>>& let) : let_(let) {}
  // A thing that takes one of these texts and no other.
  void limit(const std::string& name, std::vector<Json> values) { limits_[name] = std::move(values); }

  // False only if no checkpoint can make all of them true. Null pointers are conditions that always hold.
  bool can_hold(const std::vector<const lang::Expression*>& conditions) const;

 private:
  struct Formula {
    enum class Kind { constant, test, all, any, negation } kind = Kind::constant;
    bool value = true;  // of a constant
    std::string thing;  // of a test: is this one of `values`?
    std::vector<Json> values;
    std::vector<Formula> parts;
  };
  using Assignment = std::map<std::string, Json>;

  Formula formula_of(const lang::ExpressionNode& node, int depth) const;
  const lang::ExpressionNode* entry_of(const std::string& name) const;
  static void collect(const Formula& formula, std::map<std::string, std::vector<Json>>& things);
  static bool holds(const Formula& formula, const Assignment& assignment);

  const std::vector<std::pair<std::string, lang::Expression>>& let_;
  std::map<std::string, std::vector<Json>> limits_;
};

// The expression in one spelling, whatever its spaces and quotes were.
std::string spelled(const lang::ExpressionNode& node);

}  // namespace remap::linting
