#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <re2/re2.h>

#include "base/text.h"
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

std::string translated(const Tables& tables, const std::string& table, const std::string& text) {
  for (const auto& [key, value] : tables.at(table))
    if (key == text) return value;
  throw Error("pattern-no-translation", {}, fmt::format("maps.{} has no entry for '{}'", table, text));
}

std::string hole_text(const PatternToken& token, const KeyPattern& from, const Captures& captures,
                      const Tables& tables) {
  const std::string* text = captures.hole(token.text);
  if (text == nullptr) return "";
  if (token.add != 0) {
    int64_t index = 0;
    const auto r = std::from_chars(text->data(), text->data() + text->size(), index);
    if (r.ec != std::errc() || r.ptr != text->data() + text->size() || index > (int64_t{1} << 53) ||
        index + token.add < 0)
      throw Error("pattern-no-translation", {}, fmt::format("'{}' moved by {} is not an index", *text, token.add));
    return std::to_string(index + token.add);
  }
  if (!token.table.empty()) return translated(tables, token.table, *text);
  const PatternToken* origin = from.hole(token.text);
  return origin != nullptr && !origin->table.empty() ? translated(tables, origin->table, *text) : *text;
}

}  // namespace

const std::string* Captures::hole(std::string_view name) const {
  for (const auto& [n, text] : holes)
    if (n == name) return &text;
  return nullptr;
}

Matcher::Matcher(const KeyPattern& pattern, const VariantValues& variants) : is_regex_(pattern.is_regex) {
  bool still_literal = true;
  for (const PatternToken& token : resolved(pattern, variants)) {
    using Kind = PatternToken::Kind;
    if (token.kind == Kind::literal) {
      regex_ += RE2::QuoteMeta(token.text);
      if (still_literal) prefix_ += token.text;
      suffix_ += token.text;
      continue;
    }
    still_literal = false;
    suffix_.clear();
    groups_.push_back({token.kind, token.text});
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
  if (is_regex_) {
    regex_ = pattern.regex;
    prefix_.clear();
    suffix_.clear();
  }
  compiled_ = std::make_shared<const RE2>(regex_, RE2::Quiet);
}

bool Matcher::match(std::string_view key, Captures& captures) const {
  if (!key.starts_with(prefix_) || !key.ends_with(suffix_)) return false;
  const int count = compiled_->NumberOfCapturingGroups();
  std::vector<re2::StringPiece> found(static_cast<size_t>(count) + 1);
  const re2::StringPiece subject(key.data(), key.size());
  if (!compiled_->Match(subject, 0, key.size(), RE2::ANCHOR_BOTH, found.data(), count + 1)) return false;
  captures = {};
  if (is_regex_) {
    for (const auto& piece : found)
      captures.groups.emplace_back(piece.data() == nullptr ? "" : std::string(piece.data(), piece.size()));
    return true;
  }
  for (size_t i = 0; i < groups_.size(); ++i) {
    std::string text(found[i + 1].data(), found[i + 1].size());
    if (groups_[i].kind == PatternToken::Kind::star) {
      captures.stars.push_back(std::move(text));
      captures.star_offsets.push_back(static_cast<size_t>(found[i + 1].data() - key.data()));
    } else if (groups_[i].kind == PatternToken::Kind::rest)
      captures.rests.push_back(std::move(text));
    else if (const std::string* before = captures.hole(groups_[i].name)) {
      if (*before != text) return false;  // the same hole twice takes the same text
    } else
      captures.holes.emplace_back(groups_[i].name, std::move(text));
  }
  return true;
}

std::string expand(const KeyPattern& to, const KeyPattern& from, const Captures& captures, const Tables& tables,
                   const VariantValues& variants) {
  std::string key;
  size_t star = 0, rest = 0;
  const bool named = std::any_of(to.tokens.begin(), to.tokens.end(),
                                 [](const PatternToken& token) { return token.kind == PatternToken::Kind::variant; });
  std::vector<PatternToken> filled_in;
  if (named) filled_in = resolved(to, variants);
  for (const PatternToken& token : named ? filled_in : to.tokens) {
    switch (token.kind) {
      case PatternToken::Kind::literal:
      case PatternToken::Kind::variant: key += token.text; break;
      case PatternToken::Kind::star: key += captures.stars.at(star++); break;
      case PatternToken::Kind::rest: key += captures.rests.at(rest++); break;
      case PatternToken::Kind::hole: key += hole_text(token, from, captures, tables); break;
    }
  }
  if (!from.is_regex) return key;
  std::string filled;
  for (size_t i = 0; i < key.size(); ++i) {
    if (key[i] == '\\' && i + 1 < key.size() && key[i + 1] >= '0' && key[i + 1] <= '9')
      filled += captures.groups.at(static_cast<size_t>(key[++i] - '0'));
    else
      filled += key[i];
  }
  return filled;
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
