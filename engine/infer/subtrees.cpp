#include "infer/subtrees.h"

#include <algorithm>
#include <map>
#include <set>

#include "infer/key_text.h"

namespace remap::infer {
namespace {

// What a line of a rule file costs to read: a rule 1, and an exception to one, or a rule with ** for all keys …
constexpr double kExceptionCost = 0.3, kTopCost = 1.5;
constexpr double kGain = 1e-9;      // more than rounding
constexpr size_t kMaxPrefixes = 3;  // tried at a node, those that fit most rules
constexpr size_t kMaxNames = 3;     // of one word, said one by one in place of **

// "from.**" to "to.**".
struct Rewriting {
  KeyForm from, to;
  bool operator==(const Rewriting&) const = default;
};

// A rewriting that was chosen, and the rules that it stands for.
struct Subtree {
  Rewriting rewriting;
  std::vector<size_t> members;
  std::vector<KeyForm> except;
};

// What the tree is cut into.
struct Division {
  std::vector<Subtree> subtrees;
  std::vector<size_t> alone;  // rules that stay as they are
};

// The rules as a tree of their source keys' words. Which rewriting holds at a node is decided from its cost below: each
// node with each rewriting that may hold above it, once.
class Tree {
 public:
  explicit Tree(const std::vector<PatternRule>& rules) : rules_(rules) {
    nodes_.emplace_back();
    for (size_t i = 0; i < rules.size(); ++i) insert(i);
    for (auto& node : nodes_) choose_prefixes(node);
  }

  Division divide() {
    cost(0, kNone);
    Division division;
    build(0, kNone, kNone, division);
    return division;
  }

 private:
  static constexpr int kNone = -1;

  struct Node {
    KeyForm path;  // up to here, without a separator at its end; empty at the top
    std::map<KeyForm, size_t> children;
    std::vector<size_t> leaves, below;  // rules that end here; those and all further down
    std::vector<KeyForm> prefixes;      // target prefixes for which several rules below keep the rest of their names
  };
  struct Choice {
    double cost = 0;
    int active = kNone;  // what holds below
    bool fresh = false;  // begins here
  };

  void insert(size_t i) {
    const KeyForm& key = rules_[i].from;
    auto ends = key.separators();
    ends.push_back(key.size());
    size_t at = 0;
    for (const size_t end : ends) {
      nodes_[at].below.push_back(i);
      KeyForm path = key.substr(0, end);
      const auto [it, fresh] = nodes_[at].children.try_emplace(path, nodes_.size());
      at = it->second;
      if (fresh) nodes_.push_back({std::move(path), {}, {}, {}, {}});
    }
    nodes_[at].leaves.push_back(i);
    nodes_[at].below.push_back(i);
  }
  void choose_prefixes(Node& node) const {
    std::map<KeyForm, size_t> counts;
    for (const size_t i : node.below)
      if (const auto prefix = prefix_of(rules_[i], node.path)) ++counts[*prefix];
    std::vector<std::pair<size_t, KeyForm>> sorted;
    for (const auto& [prefix, count] : counts)
      if (count >= 2) sorted.emplace_back(count, prefix);
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    for (size_t i = 0; i < std::min(kMaxPrefixes, sorted.size()); ++i) node.prefixes.push_back(sorted[i].second);
  }

  const Rewriting& rewriting(int number) const { return rewritings_[static_cast<size_t>(number)]; }
  int number_of(const Rewriting& wanted) {
    const auto it = std::find(rewritings_.begin(), rewritings_.end(), wanted);
    if (it != rewritings_.end()) return static_cast<int>(it - rewritings_.begin());
    rewritings_.push_back(wanted);
    return static_cast<int>(rewritings_.size()) - 1;
  }
  bool conforms(size_t i, int number) {
    const auto [it, fresh] = conforming_.try_emplace({i, number}, false);
    if (fresh) it->second = prefix_of(rules_[i], rewriting(number).from) == rewriting(number).to;
    return it->second;
  }

  double leaf_cost(size_t i, int active) {
    const double own = rules_[i].kind == PatternRule::Kind::drop ? 0.0 : 1.0;
    if (active == kNone) return own;
    return conforms(i, active) ? 0.0 : own + kExceptionCost;
  }
  double cost_below(size_t n, int active) {
    double sum = 0;
    for (const size_t i : nodes_[n].leaves) sum += leaf_cost(i, active);
    for (const auto& [path, child] : nodes_[n].children) sum += cost(child, active);
    return sum;
  }
  double cost(size_t n, int active) {
    const auto known = choices_.find({n, active});
    if (known != choices_.end()) return known->second.cost;
    Choice best{cost_below(n, active), active, false};
    const double leaving = active == kNone ? 0 : kExceptionCost;
    if (active != kNone && nodes_[n].below.size() > 1) {
      const double none = leaving + cost_below(n, kNone);
      if (none < best.cost - kGain) best = {none, kNone, false};
    }
    for (const KeyForm& prefix : nodes_[n].prefixes) {
      const int own = number_of({nodes_[n].path, prefix});
      if (own == active) continue;
      const double fresh = leaving + (n == 0 ? kTopCost : 1.0) + cost_below(n, own);
      if (fresh < best.cost - kGain) best = {fresh, own, true};
    }
    choices_[{n, active}] = best;
    return best.cost;
  }

  // `open`: the subtree that is active.
  void build(size_t n, int active, int open, Division& division) {
    const Choice choice = choices_.at({n, active});
    const auto subtree = [&]() -> Subtree& { return division.subtrees[static_cast<size_t>(open)]; };
    if (choice.active != active && open != kNone) except(n, subtree());
    if (choice.fresh) {
      division.subtrees.push_back({rewriting(choice.active), {}, {}});
      open = static_cast<int>(division.subtrees.size()) - 1;
    } else if (choice.active == kNone) {
      open = kNone;
    }
    for (const size_t i : nodes_[n].leaves) {
      if (choice.active != kNone && conforms(i, choice.active)) {
        subtree().members.push_back(i);
        continue;
      }
      if (open != kNone) subtree().except.push_back(rules_[i].from.without_rule());
      division.alone.push_back(i);
    }
    for (const auto& [path, child] : nodes_[n].children) build(child, choice.active, open, division);
  }
  void except(size_t n, Subtree& subtree) const {
    const Node& node = nodes_[n];
    for (const size_t i : node.leaves) subtree.except.push_back(rules_[i].from.without_rule());
    if (node.children.empty()) return;
    const KeyForm& some = rules_[node.below.back()].from;
    subtree.except.push_back(some.substr(0, node.path.size() + 1).without_rule() + KeyForm::rest());
  }

  const std::vector<PatternRule>& rules_;
  std::vector<Node> nodes_;
  std::vector<Rewriting> rewritings_;
  std::map<std::pair<size_t, int>, bool> conforming_;  // (rule, rewriting)
  std::map<std::pair<size_t, int>, Choice> choices_;   // (node, rewriting)
};

// How many positions the path takes of a key below it: itself, and a separator.
size_t size_above(const KeyForm& path) { return path.empty() ? 0 : path.size() + 1; }

// The words below the path, if they are few, and one word each: said one by one.
std::optional<Variable> words_below(const KeyForm& path, const std::vector<PatternRule>& parts) {
  if (parts.size() > kMaxNames) return std::nullopt;
  Variable words;
  for (const auto& part : parts) {
    const auto word = part.from.substr(size_above(path)).text();
    const auto is_special = [](char c) {
      return is_separator(c) || static_cast<unsigned char>(c) < 0x20 || c == '|' || c == ':';
    };
    if (!word || std::any_of(word->begin(), word->end(), is_special)) return std::nullopt;
    words.add(*word, *word);
  }
  return words;
}

std::vector<PatternRule> rules_of(const Subtree& subtree, const std::vector<PatternRule>& rules) {
  std::vector<PatternRule> parts;
  for (const size_t i : subtree.members) parts.push_back(rules[i]);
  if (parts.size() < 2) return parts;
  const auto& [from, to] = subtree.rewriting;
  PatternRule rule;
  rule.source = parts[0].source;
  rule.variables = parts[0].variables;
  for (const auto& part : parts) {
    rule.add_relations(part);
    for (size_t v = 0; v < std::min(rule.variables.size(), part.variables.size()); ++v)
      rule.variables[v].add(part.variables[v]);
  }
  const auto used = from.variables();
  rule.variables.resize(std::min(rule.variables.size(), used.empty() ? 0 : *used.rbegin() + 1));
  KeyForm rest = KeyForm::rest();
  if (auto words = words_below(from, parts)) {
    rest = KeyForm::variable(rule.variables.size());
    rule.variables.push_back(std::move(*words));
  } else {
    rule.except = subtree.except;
  }
  rule.from = parts[0].from.substr(0, size_above(from)) + rest;
  rule.to = to.empty() ? rest : to + "." + rest;
  rule.parts = std::move(parts);
  return {rule};
}

}  // namespace

std::optional<KeyForm> prefix_of(const PatternRule& rule, const KeyForm& path) {
  const size_t above = size_above(path), size = rule.from.size();
  if (rule.kind == PatternRule::Kind::drop || !rule.operation.is_rename() || above >= size) return std::nullopt;
  const KeyForm rest = rule.from.substr(above);
  if (!rule.to.ends_with(rest)) return std::nullopt;
  if (rule.to.size() == rest.size()) return KeyForm();
  const size_t end = rule.to.size() - rest.size() - 1;
  if (rule.to.char_at(end) != '.') return std::nullopt;
  KeyForm prefix = rule.to.substr(0, end);
  const auto known = path.variables(), needed = prefix.variables();
  if (!std::includes(known.begin(), known.end(), needed.begin(), needed.end())) return std::nullopt;
  return prefix;
}

std::vector<PatternRule> with_rest(std::vector<PatternRule> rules) {
  const Division division = Tree(rules).divide();
  std::vector<PatternRule> result;
  for (const auto& subtree : division.subtrees)
    for (auto& rule : rules_of(subtree, rules)) result.push_back(std::move(rule));
  for (const size_t i : division.alone) result.push_back(std::move(rules[i]));
  return result;
}

}  // namespace remap::infer
