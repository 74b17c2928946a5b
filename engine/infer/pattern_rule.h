// A rule between keys: what is the same in all of them as text, what is not as variables. Private to infer.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "infer/key_form.h"
#include "infer/relation.h"

namespace remap::infer {

inline constexpr size_t kMaxVariables = 40;  // of a rule; more would be no pattern to read

// What differs between the keys of one rule. A text stands for itself on the other side unless some value is
// translated.
struct Variable {
  bool index = false;   // a number; else one of the texts
  bool listed = false;  // of an index: only the values given
  std::vector<std::pair<std::string, std::string>>
      values;  // (in the source, in the target), in order, without repetition
  bool translates() const;
  void add(const std::string& source, const std::string& target);
  void add(const Variable& other);
};

// Everything about a rule but its keys. Equal ones may become one rule.
struct Operation {
  Relation::Kind kind = Relation::Kind::rename;
  int axis = 0, inner_axis = 0;
  std::vector<std::string> names;  // of parts, in order; kLeftOut: taken by another rule
  std::vector<int64_t> sizes;      // empty: equally long
  int64_t first = 0, last = -1;    // of numbered parts; -1: as many as there are
  int64_t groups = 1;              // parts take turns, so many times
  int64_t total = 0;               // of what turns join inside a stack: its length
  Layout layout;
  Shape shape;  // of the source tensors, if the layout depends on it
  std::optional<DType> cast;
  bool operator==(const Operation&) const = default;
  bool gathers() const {
    return kind == Relation::Kind::stack || kind == Relation::Kind::concat || kind == Relation::Kind::stack_concat ||
           kind == Relation::Kind::replicated;
  }
  bool is_rename() const { return kind == Relation::Kind::rename && layout.empty() && !cast; }
};
inline const std::string kLeftOut = "_";

struct PatternRule {
  enum class Kind { move, drop } kind = Kind::move;
  uint32_t source = 0;
  KeyForm from, to;
  std::vector<Variable> variables;
  Operation operation;
  std::vector<KeyForm> except;    // without variables: any number, any word
  std::vector<size_t> relations;  // numbers of relations it stands for
  std::vector<Ref> refs;          // the source tensors of these
  std::vector<std::string> checks;
  std::vector<std::string> open;   // what is wrong with it
  std::vector<PatternRule> parts;  // what it was merged from

  void add_relation(const Findings& findings, size_t relation);
  void add_relations(const PatternRule& other);
};

}  // namespace remap::infer
