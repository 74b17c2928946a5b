#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>
#include <re2/re2.h>

#include "base/text.h"
#include "lang/functions.h"
#include "lang/hole_scope.h"
#include "lang/pattern.h"

namespace remap::lang {
namespace {

constexpr const char* kRest = "(?s:.+)";  // of '**': every character, line ends too

// Numbers of as many digits as `first` and `last` have, from the one to the other.
void add_ranges(const std::string& first, const std::string& last, const std::string& before,
                std::vector<std::string>& choices) {
  const auto digit = [](char from, char to) {
    return from == to ? std::string(1, from) : fmt::format("[{}-{}]", from, to);
  };
  if (first.empty()) return choices.push_back(before);
  const std::string a = first.substr(1), b = last.substr(1), zeros(a.size(), '0'), nines(a.size(), '9');
  if (first[0] == last[0]) return add_ranges(a, b, before + first[0], choices);
  const char low = a == zeros ? first[0] : static_cast<char>(first[0] + 1);
  const char high = b == nines ? last[0] : static_cast<char>(last[0] - 1);
  if (low != first[0]) add_ranges(a, nines, before + first[0], choices);
  std::string any;
  for (size_t i = 0; i < a.size(); ++i) any += "[0-9]";
  if (low <= high) choices.push_back(before + digit(low, high) + any);
  if (high != last[0]) add_ranges(zeros, b, before + last[0], choices);
}

// Exactly the numbers of the range, zeros before them allowed as with {name:int}.
std::string regex_of_range(const IndexRange& range) {
  std::vector<std::string> choices;
  std::string first = std::to_string(range.first);
  const std::string last = range.last ? std::to_string(*range.last) : std::string(first.size(), '9');
  while (first.size() < last.size()) {
    add_ranges(first, std::string(first.size(), '9'), "", choices);
    first = "1" + std::string(first.size(), '0');
  }
  add_ranges(first, last, "", choices);
  if (!range.last) {
    std::string more = "[1-9]";
    for (size_t i = 0; i < first.size(); ++i) more += "[0-9]";
    choices.push_back(more + "[0-9]*");
  }
  return "0*(?:" + remap::join(choices, "|") + ")";
}

// The pattern's tokens with ${name} as literal text.
std::vector<PatternToken> resolved(const KeyPattern& pattern, const VariantValues& variants) {
  std::vector<PatternToken> tokens;
  bool drop_separator = false;
  for (PatternToken token : pattern.tokens) {
    if (token.kind == PatternToken::Kind::variant) {
      const auto known = variants.find(token.text);
      if (known == variants.end())
        throw Error("expression-value", pattern.written.place(),
                    fmt::format("'{}' uses ${{{}}}, which has no value yet", pattern.text, token.text));
      token.kind = PatternToken::Kind::literal;
      token.text = known->second;
      drop_separator = token.text.empty();
    } else {
      if (drop_separator && token.kind == PatternToken::Kind::literal && (token.text[0] == '.' || token.text[0] == '/'))
        token.text.erase(0, 1);
      drop_separator = false;
    }
    if (token.kind != PatternToken::Kind::literal || !token.text.empty()) tokens.push_back(std::move(token));
  }
  return tokens;
}

const std::string& translated(const Tables& tables, const std::string& table, const std::string& text) {
  if (const std::string* value = tables.at(table).find(text)) return *value;
  throw Error("pattern-no-translation", {}, fmt::format("maps.{} has no entry for '{}'", table, text));
}

std::string moved_index(const std::string& text, int64_t add) {
  int64_t index = 0;
  const auto r = std::from_chars(text.data(), text.data() + text.size(), index);
  if (r.ec != std::errc() || r.ptr != text.data() + text.size() || index > (int64_t{1} << 53) || index + add < 0)
    throw Error("pattern-no-translation", {}, fmt::format("'{}' moved by {} is not an index", text, add));
  return std::to_string(index + add);
}

// What {=…} gives: a whole number from 0, or a text that stands between separators.
std::string computed_text(const Expression& expression, const Captures& captures, Scope* scope) {
  HoleScope holes(captures, scope);
  const Json value = evaluate_present(expression, holes);
  if (value.is_number_integer() && value >= 0) return std::to_string(value.get<int64_t>());
  if (value.is_string() && !value.get_ref<const std::string&>().empty() &&
      value.get_ref<const std::string&>().find_first_of("./") == std::string::npos)
    return value.get<std::string>();
  throw Error("expression-value", expression.written.place(),
              fmt::format("'{{={}}}' is {}; a part of a key is a whole number from 0, or a string without '.' and '/'",
                          expression.text, shown(value)));
}

bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace

const std::string* Captures::hole(std::string_view name) const {
  for (const auto& [n, text] : holes)
    if (n == name) return &text;
  return nullptr;
}

Matcher::Matcher(const KeyPattern& pattern, const VariantValues& variants) : is_regex_(pattern.is_regex) {
  for (const PatternToken& token : resolved(pattern, variants)) {
    using Kind = PatternToken::Kind;
    if (token.kind == Kind::literal) {
      regex_ += RE2::QuoteMeta(token.text);
      (groups_.empty() ? prefix_ : groups_.back().after) += token.text;
      continue;
    }
    size_t same_as = groups_.size();
    for (size_t g = groups_.size(); g-- > 0;)
      if (token.kind == Kind::hole && groups_[g].kind == Kind::hole && groups_[g].name == token.text) same_as = g;
    groups_.push_back({token.kind, token.text, token.alternatives, token.digits, token.range.has_value(), same_as, {}});
    if (token.range)
      regex_ += "(" + regex_of_range(*token.range) + ")";
    else if (token.kind == Kind::star || token.digits)
      regex_ += "([0-9]+)";
    else if (token.kind == Kind::rest)
      regex_ += "(" + std::string(kRest) + ")";
    else if (token.alternatives.empty())
      regex_ += "([^./]+)";
    else {
      std::vector<std::string> quoted;
      for (const auto& a : token.alternatives) quoted.push_back(RE2::QuoteMeta(a));
      regex_ += "(" + remap::join(quoted, "|") + ")";
    }
  }
  suffix_ = groups_.empty() ? prefix_ : groups_.back().after;
  if (is_regex_) {
    regex_ = pattern.regex;
    prefix_.clear();
    suffix_.clear();
  }
  compiled_ = std::make_shared<const RE2>(regex_, RE2::Quiet);
  n_groups_ = is_regex_ ? static_cast<size_t>(std::max(0, compiled_->NumberOfCapturingGroups())) + 1 : groups_.size();
  can_walk_ = !is_regex_ && has_one_reading();
}

// Whether each group ends where a character stands that it cannot take, so that no other choice leads to a match.
bool Matcher::has_one_reading() const {
  for (size_t g = 0; g < groups_.size(); ++g) {
    const Group& group = groups_[g];
    const bool last = g + 1 == groups_.size();
    const bool digits = group.kind == PatternToken::Kind::star || group.digits;
    if (group.range || (group.after.empty() && !last)) return false;
    if (group.kind == PatternToken::Kind::rest               ? !last
        : group.after.empty() || !group.alternatives.empty() ? false
        : digits                                             ? is_digit(group.after[0])
                                                             : group.after[0] != '.' && group.after[0] != '/')
      return false;
  }
  return true;
}

// Reads the key from its start. Unclear: several alternatives would do, or a character is not plain ASCII.
Matcher::Found Matcher::walk(std::string_view key, KeyPart* parts) const {
  size_t at = prefix_.size();
  for (size_t g = 0; g < groups_.size(); ++g) {
    const Group& group = groups_[g];
    const size_t begin = at;
    const auto goes_on = [&](size_t end) {
      return key.substr(end).starts_with(group.after) &&
             (g + 1 < groups_.size() || end + group.after.size() == key.size());
    };
    if (!group.alternatives.empty()) {
      size_t n_found = 0;
      for (const std::string& text : group.alternatives)
        if (key.substr(begin).starts_with(text) && goes_on(begin + text.size())) at = begin + text.size(), ++n_found;
      if (n_found != 1) return n_found == 0 ? Found::no : Found::unclear;
    } else if (group.kind == PatternToken::Kind::rest) {
      at = std::max(begin, key.size() - group.after.size());
    } else if (group.kind == PatternToken::Kind::star || group.digits) {
      while (at < key.size() && is_digit(key[at])) ++at;
    } else {
      while (at < key.size() && key[at] != '.' && key[at] != '/') ++at;
    }
    if (group.alternatives.empty() && (at == begin || !goes_on(at))) return Found::no;
    if (!is_plain(key.substr(begin, at - begin))) return Found::unclear;
    parts[g] = {static_cast<uint32_t>(begin), static_cast<uint32_t>(at - begin)};
    at += group.after.size();
  }
  return at == key.size() ? Found::yes : Found::no;
}

bool Matcher::find_by_regex(std::string_view key, KeyPart* parts) const {
  const size_t first = is_regex_ ? 0 : 1;  // whether the whole key counts as a group
  std::vector<re2::StringPiece> found(n_groups_ + first);
  if (!compiled_->Match({key.data(), key.size()}, 0, key.size(), RE2::ANCHOR_BOTH, found.data(),
                        static_cast<int>(found.size())))
    return false;
  for (size_t g = 0; g < n_groups_; ++g) {
    const re2::StringPiece& piece = found[g + first];
    parts[g] = piece.data() == nullptr
                   ? KeyPart{}
                   : KeyPart{static_cast<uint32_t>(piece.data() - key.data()), static_cast<uint32_t>(piece.size())};
  }
  return true;
}

bool Matcher::find(std::string_view key, KeyPart* parts) const {
  if (!key.ends_with(suffix_) || !key.starts_with(prefix_)) return false;
  const Found found = can_walk_ ? walk(key, parts) : Found::unclear;
  if (found == Found::no || (found == Found::unclear && !find_by_regex(key, parts))) return false;
  if (is_regex_) return true;
  for (size_t g = 0; g < groups_.size(); ++g)  // the same hole twice takes the same text
    if (const size_t first = groups_[g].same_as; first != g && parts[first].in(key) != parts[g].in(key)) return false;
  return true;
}

void Matcher::take(std::string_view key, const KeyPart* parts, Captures& captures) const {
  size_t stars = 0, rests = 0, holes = 0;
  const auto put = [](std::vector<std::string>& texts, size_t i, std::string_view text) {
    if (i < texts.size())
      texts[i].assign(text);
    else
      texts.emplace_back(text);
  };
  captures.groups.resize(is_regex_ ? n_groups_ : 0);
  captures.star_offsets.clear();
  for (size_t g = 0; g < n_groups_; ++g) {
    const std::string_view text = parts[g].in(key);
    if (is_regex_) {
      captures.groups[g].assign(text);
    } else if (groups_[g].kind == PatternToken::Kind::star) {
      put(captures.stars, stars++, text);
      captures.star_offsets.push_back(parts[g].begin);
    } else if (groups_[g].kind == PatternToken::Kind::rest) {
      put(captures.rests, rests++, text);
    } else if (groups_[g].same_as == g) {
      if (holes == captures.holes.size()) captures.holes.emplace_back();
      captures.holes[holes].first = groups_[g].name;
      captures.holes[holes++].second.assign(text);
    }
  }
  captures.stars.resize(stars);
  captures.rests.resize(rests);
  captures.holes.resize(holes);
}

bool Matcher::match(std::string_view key, Captures& captures) const {
  std::array<KeyPart, 8> few;
  std::vector<KeyPart> many(n_groups_ > few.size() ? n_groups_ : 0);
  KeyPart* const parts = many.empty() ? few.data() : many.data();
  if (!find(key, parts)) return false;
  take(key, parts, captures);
  return true;
}

Expansion::Expansion(const KeyPattern& to, const KeyPattern& from, const Tables& tables, const VariantValues& variants,
                     Scope* scope)
    : tables_(tables), scope_(scope), from_regex_(from.is_regex) {
  const bool named = std::any_of(to.tokens.begin(), to.tokens.end(),
                                 [](const PatternToken& token) { return token.kind == PatternToken::Kind::variant; });
  std::vector<PatternToken> filled_in;
  if (named) filled_in = resolved(to, variants);
  for (const PatternToken& token : named ? filled_in : to.tokens) {
    const PatternToken* origin = token.kind == PatternToken::Kind::hole ? from.hole(token.text) : nullptr;
    parts_.push_back({token.kind, token.text, token.add,
                      token.table.empty() && origin != nullptr ? origin->table : token.table, token.expression.get()});
    if (token.expression) kept_.push_back(token.expression);
  }
}

std::string Expansion::operator()(const Captures& captures) const {
  std::string key;
  size_t star = 0, rest = 0;
  for (const Part& part : parts_) {
    switch (part.kind) {
      case PatternToken::Kind::literal:
      case PatternToken::Kind::variant: key += part.text; break;
      case PatternToken::Kind::star: key += captures.stars.at(star++); break;
      case PatternToken::Kind::rest: key += captures.rests.at(rest++); break;
      case PatternToken::Kind::computed: key += computed_text(*part.expression, captures, scope_); break;
      case PatternToken::Kind::hole: {
        const std::string* text = captures.hole(part.text);
        if (text == nullptr) break;
        if (part.add != 0)
          key += moved_index(*text, part.add);
        else
          key += part.table.empty() ? *text : translated(tables_, part.table, *text);
        break;
      }
    }
  }
  if (!from_regex_) return key;
  std::string filled;
  for (size_t i = 0; i < key.size(); ++i) {
    if (key[i] == '\\' && i + 1 < key.size() && key[i + 1] >= '0' && key[i + 1] <= '9')
      filled += captures.groups.at(static_cast<size_t>(key[++i] - '0'));
    else
      filled += key[i];
  }
  return filled;
}

std::string expand(const KeyPattern& to, const KeyPattern& from, const Captures& captures, const Tables& tables,
                   const VariantValues& variants, Scope* scope) {
  return Expansion(to, from, tables, variants, scope)(captures);
}

std::string expand_source(const KeyPattern& key, const KeyPattern& from, const Captures& captures,
                          const VariantValues& variants) {
  const auto plain = [](KeyPattern pattern) {
    for (auto& token : pattern.tokens) token.table.clear();
    return pattern;
  };
  return expand(plain(key), plain(from), captures, {}, variants);
}

std::string regex_of_target(const KeyPattern& to, const KeyPattern& from, const Tables& tables,
                            const VariantValues& variants) {
  std::string regex;
  for (const PatternToken& token : resolved(to, variants)) {
    switch (token.kind) {
      case PatternToken::Kind::literal:
      case PatternToken::Kind::variant: regex += RE2::QuoteMeta(token.text); break;
      case PatternToken::Kind::star: regex += "[0-9]+"; break;
      case PatternToken::Kind::rest: regex += kRest; break;
      case PatternToken::Kind::computed: regex += "[^./]+"; break;
      case PatternToken::Kind::hole: {
        const PatternToken* origin = from.hole(token.text);
        const std::string table = !token.table.empty() ? token.table : origin != nullptr ? origin->table : "";
        std::vector<std::string> values;
        if (!table.empty())
          for (const auto& [key, value] : tables.at(table)) values.push_back(RE2::QuoteMeta(value));
        else if (origin != nullptr)
          for (const auto& a : origin->alternatives) values.push_back(RE2::QuoteMeta(a));
        regex += values.empty() ? "[^./]+" : "(?:" + remap::join(values, "|") + ")";
        break;
      }
    }
  }
  return from.is_regex ? kRest : regex;
}

}  // namespace remap::lang
