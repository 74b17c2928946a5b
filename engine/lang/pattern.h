// Key patterns: which keys a rule is about, and which key it gives. A pattern always matches a whole key.
//
//   literal text        itself; a dot is a dot
//   *                   one layer index (digits); the n-th * of one side is the n-th of the other
//   **                  one or more characters, separators included
//   {name}              one or more characters without a separator (neither '.' nor '/')
//   {name:a|b}          one of the texts given
//   {name:int}          digits
//   {name:4..7}         digits whose number is one of these; {name:4..} has no end
//   {name:table}        one of the keys of maps.table; on the other side {name} is the value it maps to
//   {name+1} {name-1}   on the target side: an index moved
//   {=EXPRESSION}       on the target side: its value, a whole number or a text; holes are names in it
//   ${name}             the value of a variant, or a string under 'let'; where it is empty, the separator after it
//                       goes too
//   re:EXPRESSION       a whole RE2 expression; the target says \1 … \9 for its groups
#pragma once

#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lang/expression.h"

namespace re2 {
class RE2;
}

namespace remap::lang {

// A table of 'maps': key -> value, in file order.
class Table {
 public:
  Table() = default;
  Table(std::initializer_list<std::pair<std::string, std::string>> entries) {
    for (const auto& [key, value] : entries) add(key, value);
  }
  void add(std::string key, std::string value) {
    places_.try_emplace(key, entries_.size());
    entries_.emplace_back(std::move(key), std::move(value));
  }
  const std::string* find(const std::string& key) const {  // nullptr: none
    const auto place = places_.find(key);
    return place == places_.end() ? nullptr : &entries_[place->second].second;
  }
  bool empty() const { return entries_.empty(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

 private:
  std::vector<std::pair<std::string, std::string>> entries_;
  std::unordered_map<std::string, size_t> places_;
};
using Tables = std::map<std::string, Table>;

// The numbers that a hole takes: from `first` to `last`, or all from `first` on.
struct IndexRange {
  int64_t first = 0;
  std::optional<int64_t> last;
  std::string text() const;  // "4..7"
};

struct PatternToken {
  enum class Kind { literal, star, rest, hole, variant, computed };
  Kind kind = Kind::literal;
  std::string text;                                   // literal text, hole's or variant's name
  std::vector<std::string> alternatives;              // of a hole: the only texts it takes (empty: any)
  std::string table;                                  // of a hole: maps.table
  bool digits = false;                                // of a hole: {name:int}, or one with a range
  std::optional<IndexRange> range;                    // of a hole: {name:4..7}
  int64_t add = 0;                                    // of a hole in a target: {name+1}
  std::shared_ptr<const Expression> expression = {};  // computed, in a target: {=2*name}
  size_t offset = 0, length = 0;                      // in the pattern as written; length 0: it comes from a 'within'
  std::shared_ptr<const TextPlace> within = nullptr;  // where, then
};

struct KeyPattern {
  std::string text;  // as written, prefixes of 'within' included
  std::vector<PatternToken> tokens;
  bool is_regex = false;
  std::string regex;  // without "re:"
  TextSpan written;
  size_t own_offset = 0, own_size = 0;  // in `text`: what is written there, without the prefixes of 'within'
  std::string own_text() const { return text.substr(own_offset, own_size); }
  const PatternToken* hole(std::string_view name) const;  // the first of that name; nullptr if there is none
  bool computes() const;                                  // {=…} stands in it
  TextPlace place_of(const PatternToken& token) const {
    return token.length == 0 ? written.place() : written.place(token.offset, token.length);
  }
  // Of a token that comes from a 'within', its place there.
  TextPlace origin_of(const PatternToken& token) const { return token.within ? *token.within : place_of(token); }
};

// What a key's match took.
struct Captures {
  std::vector<std::string> stars, rests, groups;
  std::vector<size_t> star_offsets;  // where in the key each star's digits begin
  std::vector<std::pair<std::string, std::string>> holes;
  const std::string* hole(std::string_view name) const;
};

using VariantValues = std::map<std::string, std::string>;  // what ${name} stands for

std::optional<KeyPattern> parse_pattern(const std::string& text, const TextSpan& written, const Tables& tables,
                                        Diagnostics& diagnostics);
// prefix + separator + pattern; an empty prefix adds nothing.
KeyPattern join(const KeyPattern& prefix, char separator, const KeyPattern& pattern);
KeyPattern with_suffix(KeyPattern pattern, const std::string& literal);
// The pattern as it is written, without the prefixes of 'within'; nullopt if it has none.
std::optional<KeyPattern> without_prefix(const KeyPattern& pattern);
// "'equal_to' stands below …": what to say where `field` names a key that is there only without the prefix.
std::string prefix_hint(const std::string& field, const KeyPattern& pattern, const std::string& key);

// A part of a key that a pattern's group took.
struct KeyPart {
  uint32_t begin = 0, length = 0;
  std::string_view in(std::string_view key) const { return key.substr(begin, length); }
};

// A pattern ready to match. Cheap to copy; matching is const and thread-safe.
class Matcher {
 public:
  Matcher(const KeyPattern& pattern, const VariantValues& variants);
  bool match(std::string_view key, Captures& captures) const;
  const std::string& literal_prefix() const { return prefix_; }  // every match starts with this
  const std::string& regex() const { return regex_; }            // matches the whole key

  // The same in two steps, for many keys: where the groups are, n_groups() of them; and what they took there.
  size_t n_groups() const { return n_groups_; }
  bool find(std::string_view key, KeyPart* parts) const;
  void take(std::string_view key, const KeyPart* parts, Captures& captures) const;
  bool is_star(size_t group) const { return !is_regex_ && groups_[group].kind == PatternToken::Kind::star; }

 private:
  struct Group {
    PatternToken::Kind kind;
    std::string name;
    std::vector<std::string> alternatives;
    bool digits = false, range = false;
    size_t same_as = 0;  // the first group of the same hole, often itself
    std::string after;   // the literal text behind it
  };
  enum class Found { no, yes, unclear };
  bool has_one_reading() const;
  Found walk(std::string_view key, KeyPart* parts) const;
  bool find_by_regex(std::string_view key, KeyPart* parts) const;

  std::string regex_, prefix_, suffix_;  // the literal ends of the pattern: most keys fail there already
  std::shared_ptr<const re2::RE2> compiled_;
  std::vector<Group> groups_;
  size_t n_groups_ = 0;
  bool is_regex_ = false;
  bool can_walk_ = false;  // what a group takes is clear from what follows: no need to ask the regular expression
};

// A target pattern ready to be filled in for many keys. What it is made from outlives it.
class Expansion {
 public:
  // `from` tells which table translates a hole; `scope`, what expressions in `to` see beside the holes. Throws Error if
  // a variant has no value.
  Expansion(const KeyPattern& to, const KeyPattern& from, const Tables& tables, const VariantValues& variants,
            Scope* scope = nullptr);
  // The key for a source pattern's captures. Throws Error if a text has no translation, or an expression no value.
  std::string operator()(const Captures& captures) const;
  // Whether there are expressions in it, so that one thread at a time may ask; else any may.
  bool computes() const { return !kept_.empty(); }

 private:
  struct Part {
    PatternToken::Kind kind;
    std::string text;  // literal, or the hole's name
    int64_t add = 0;
    std::string table;  // that translates it; "": none
    const Expression* expression = nullptr;
  };
  const Tables& tables_;
  Scope* scope_;
  std::vector<Part> parts_;
  std::vector<std::shared_ptr<const Expression>> kept_;  // that parts_ points to
  bool from_regex_;
};

// The key that a target pattern gives for a source pattern's captures: an Expansion for one key.
std::string expand(const KeyPattern& to, const KeyPattern& from, const Captures& captures, const Tables& tables,
                   const VariantValues& variants, Scope* scope = nullptr);
// Another source key for the same captures: nothing is translated.
std::string expand_source(const KeyPattern& key, const KeyPattern& from, const Captures& captures,
                          const VariantValues& variants);
// Reports holes, indices and groups of `to` that `from` does not have. `extra` names holes that operations add (split:
// each).
void check_expansion(const KeyPattern& to, const KeyPattern& from, const std::vector<std::string>& extra,
                     const Tables& tables, Diagnostics& diagnostics);
// Whether the target key has the hole, or computes with it.
bool names_hole(const KeyPattern& to, const std::string& hole);
// Matches every key that `to` could give: used to see whether another rule gave what this one would have.
std::string regex_of_target(const KeyPattern& to, const KeyPattern& from, const Tables& tables,
                            const VariantValues& variants);

}  // namespace remap::lang
