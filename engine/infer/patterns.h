// From relations between tensors to rules between patterns of keys. Private to infer.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "infer/relation.h"

namespace remap::infer {

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

// Keys as patterns: in a text, the bytes below stand for what varies.
inline constexpr char kVariable = '\x01';  // and a byte '0' + number of the variable
inline constexpr char kMoved = '\x02';     // the same, and then the offset as digits with a sign, and kMoved again
inline constexpr char kPart = '\x03';      // a named part
inline constexpr char kEach = '\x04';      // a numbered part
inline constexpr char kRest = '\x05';      // one or more characters

struct PatternRule {
  enum class Kind { move, drop } kind = Kind::move;
  uint32_t source = 0;
  std::string from, to;  // with the bytes above
  std::vector<Variable> variables;
  Operation operation;
  std::vector<std::string> except;  // patterns without variables: any number (kEach), any word (kPart)
  std::vector<size_t> relations;    // numbers of relations it stands for
  std::vector<Ref> refs;            // the source tensors of these
  std::vector<std::string> checks;
  std::vector<std::string> open;   // what is wrong with it
  std::vector<PatternRule> parts;  // what it was merged from
};

// The rules for all relations, and for the open sources rules that drop them. `root`: a prefix that source keys lose (a
// source each). Relations that no pattern can say are added to `left`. What planning and comparing an earlier proposal
// has shown, by numbers of relations.
struct Lessons {
  std::set<size_t> alone;              // a rule of their own, without variables
  std::set<size_t> out;                // no rule
  std::map<size_t, std::string> open;  // what is wrong with a relation whose rule stays
};
std::vector<PatternRule> generalise(const Problem& problem, const Findings& findings,
                                    const std::vector<std::string>& roots, const Lessons& lessons,
                                    std::vector<size_t>& left);

// Whether a pattern can say this key as it is.
bool can_be_written(const std::string& key);

// The texts that one part of a pattern's bytes stands for; used by what writes rules.
struct PatternToken {
  enum class Kind { text, variable, part, each, rest } kind = Kind::text;
  std::string text;
  size_t variable = 0;
  int64_t add = 0;
};
std::vector<PatternToken> tokens_of(const std::string& pattern);

}  // namespace remap::infer
