#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <re2/re2.h>

#include "base/text.h"
#include "lang/pattern.h"
#include "remap/nearest.h"

namespace remap::lang {
namespace {

bool is_word(std::string_view s) {
  if (s.empty() || (s[0] >= '0' && s[0] <= '9')) return false;
  return std::all_of(s.begin(), s.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  size_t start = 0;
  while (true) {
    const size_t end = text.find(separator, start);
    parts.emplace_back(text.substr(start, end - start));
    if (end == std::string_view::npos) return parts;
    start = end + 1;
  }
}

std::vector<std::string> names_of(const Tables& tables) {
  std::vector<std::string> names;
  for (const auto& [name, table] : tables) names.push_back(name);
  return names;
}

// "4..7" or "4.."; nullopt: it is not one. A range that is empty keeps its numbers, for the message.
std::optional<IndexRange> read_range(std::string_view spec) {
  constexpr size_t kMaxDigits = 9;
  const size_t dots = spec.find("..");
  if (dots == std::string_view::npos) return std::nullopt;
  const auto number = [](std::string_view digits) -> std::optional<int64_t> {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    const bool good = error == std::errc() && end == digits.data() + digits.size() && digits.size() <= kMaxDigits;
    return good && digits.find_first_not_of("0123456789") == std::string_view::npos ? std::optional(value)
                                                                                    : std::nullopt;
  };
  const std::string_view after = spec.substr(dots + 2);
  const auto first = number(spec.substr(0, dots)), last = number(after);
  if (!first || (!last && !after.empty())) return std::nullopt;
  return IndexRange{*first, last};
}

constexpr const char* kTablesHint =
    "an index is moved by a number, {i+1}; what it becomes otherwise, 'to' computes: {i:int} here, {=2*i+1} there";

// Reads what stands between { and } into `token`; returns what is wrong with it, or "".
std::string read_hole(std::string_view body, const Tables& tables, PatternToken& token, std::string& hint) {
  token.kind = PatternToken::Kind::hole;
  const size_t colon = body.find(':');
  std::string_view name = body.substr(0, colon);
  if (colon == std::string_view::npos) {
    const size_t sign = name.find_first_of("+-");
    if (sign != std::string_view::npos) {
      const std::string_view digits = name.substr(sign + 1);
      int64_t amount = 0;
      const auto r = std::from_chars(digits.data(), digits.data() + digits.size(), amount);
      if (r.ec != std::errc() || r.ptr != digits.data() + digits.size() || digits.empty()) {
        hint = kTablesHint;
        return fmt::format("'{}' is not an index moved by a number", body);
      }
      token.add = name[sign] == '+' ? amount : -amount;
      name = name.substr(0, sign);
    }
  }
  token.text = std::string(name);
  if (!is_word(name)) {
    const bool computes = name.find_first_of("+-*/%") != std::string_view::npos;
    hint = computes ? kTablesHint : "a name is letters, digits and _, and does not begin with a digit";
    return computes ? fmt::format("'{{{}}}': a pattern does not compute", body)
                    : fmt::format("'{{{}}}' does not name a hole", body);
  }
  if (colon == std::string_view::npos) return "";
  const std::string_view spec = body.substr(colon + 1);
  if (spec == "int") {
    token.digits = true;
  } else if (spec.find("..") != std::string_view::npos) {
    token.digits = true;
    token.range = read_range(spec);
    hint = "{e:4..7} takes the numbers from 4 to 7, {e:4..} all from 4 on";
    if (!token.range) return fmt::format("'{}' is not a range of numbers", spec);
    if (token.range->last && *token.range->last < token.range->first)
      return fmt::format("the range '{}' ends before it begins", spec);
  } else if (spec.find('|') != std::string_view::npos) {
    token.alternatives = split(spec, '|');
    for (const auto& a : token.alternatives)
      if (a.empty()) return fmt::format("'{{{}}}' has an empty alternative", body);
  } else {
    const auto table = tables.find(std::string(spec));
    if (table == tables.end()) {
      hint = did_you_mean(nearest_name(spec, names_of(tables)),
                          "write 'int', a range '4..7', alternatives 'a|b', or the name of a table under 'maps'");
      return fmt::format("there is no table '{}' under 'maps'", spec);
    }
    token.table = table->first;
    for (const auto& [key, value] : table->second) token.alternatives.push_back(key);
  }
  return "";
}

// The '}' of the '{' at `open`; inside of {=…} strings may hold others.
size_t end_of_braces(const std::string& text, size_t open) {
  if (text.compare(open, 2, "{=") != 0) return text.find('}', open);
  for (size_t i = open; i < text.size(); ++i) {
    if (text[i] == '}') return i;
    if (text[i] == '\'' || text[i] == '"') i = std::min(text.find(text[i], i + 1), text.size());
  }
  return std::string::npos;
}

struct RegexMistake {
  size_t offset, length;
  std::string message, hint;
};

// The '(' that is open at the end, outside of classes.
size_t open_group(const std::string& regex) {
  std::vector<size_t> open;
  bool in_class = false;
  for (size_t i = 0; i < regex.size(); ++i) {
    if (regex[i] == '\\')
      ++i;
    else if (in_class || regex[i] == '[')
      in_class = regex[i] != ']';
    else if (regex[i] == '(')
      open.push_back(i);
    else if (regex[i] == ')' && !open.empty())
      open.pop_back();
  }
  return open.empty() ? 0 : open.back();
}

// RE2 says what is wrong and quotes the part; where it stands has to be found.
RegexMistake mistake_of(const RE2& re, const std::string& regex) {
  const std::string& part = re.error_arg();
  const size_t found = regex.find(part), at = found == std::string::npos ? 0 : found;
  switch (re.error_code()) {
    case RE2::ErrorMissingParen:
      return {open_group(regex), 1, "'(' is not closed", "add the ')', or write '\\(' for the character"};
    case RE2::ErrorMissingBracket: return {at, 1, "'[' is not closed", "add the ']', or write '\\[' for the character"};
    case RE2::ErrorRepeatArgument:
    case RE2::ErrorRepeatOp:
      return {at, part.size(), fmt::format("'{}' repeats nothing, or a repetition", part),
              "put a character, a class or a group before it"};
    case RE2::ErrorBadPerlOp:
      return {at, part.size(), fmt::format("'{}' is not in RE2, which has no look-around and no back-references", part),
              "say what the key looks like as a whole"};
    case RE2::ErrorBadEscape:
      return {at, part.size(), fmt::format("'{}' has no meaning", part),
              "'\\d' is a digit, '\\w' a letter, digit or '_', '\\.' a dot"};
    default: return {at, part.size(), re.error(), "patterns use RE2 syntax"};
  }
}

std::string missing_hole_hint(const std::string& name, const KeyPattern& from) {
  std::vector<std::string> holes;
  for (const PatternToken& token : from.tokens)
    if (token.kind == PatternToken::Kind::hole) holes.push_back(token.text);
  const std::string near = nearest_name(name, holes);
  return near.empty() ? "a hole of the target must be a hole of the source, or come from 'split'"
                      : fmt::format("did you mean '{{{}}}'?", near);
}

void check_groups(const KeyPattern& to, const KeyPattern& from, Diagnostics& diagnostics) {
  const int groups = RE2(from.regex, RE2::Quiet).NumberOfCapturingGroups();
  for (size_t i = 0; i + 1 < to.text.size(); ++i)
    if (to.text[i] == '\\' && to.text[i + 1] >= '0' && to.text[i + 1] <= '9' && to.text[i + 1] - '0' > groups)
      diagnostics.error("pattern-missing-capture",
                        to.own_size == to.text.size() ? to.written.place(i, 2) : to.written.place(),
                        fmt::format("'\\{}' is not a group of '{}', which has {}", to.text[i + 1], from.regex,
                                    groups == 0 ? "none" : std::to_string(groups)),
                        "a group is what stands in ( )");
}

}  // namespace

std::string IndexRange::text() const { return fmt::format("{}..{}", first, last ? std::to_string(*last) : ""); }

const PatternToken* KeyPattern::hole(std::string_view name) const {
  for (const PatternToken& token : tokens)
    if (token.kind == PatternToken::Kind::hole && token.text == name) return &token;
  return nullptr;
}

bool KeyPattern::computes() const {
  return std::any_of(tokens.begin(), tokens.end(),
                     [](const PatternToken& token) { return token.kind == PatternToken::Kind::computed; });
}

bool names_hole(const KeyPattern& to, const std::string& hole) {
  bool found = to.hole(hole) != nullptr;
  for (const PatternToken& token : to.tokens)
    if (token.expression)
      visit(token.expression->root,
            [&](const ExpressionNode& node) { found |= node.kind == NodeKind::name && node.text == hole; });
  return found;
}

std::optional<KeyPattern> parse_pattern(const std::string& text, const TextSpan& written, const Tables& tables,
                                        Diagnostics& diagnostics) {
  KeyPattern pattern{text, {}, false, {}, written, 0, text.size()};
  const auto fail = [&](size_t offset, size_t length, const std::string& message, const std::string& hint = {}) {
    diagnostics.error("pattern-syntax", written.place(offset, length), message, hint);
    return std::nullopt;
  };
  if (text.empty()) return fail(0, 1, "an empty pattern matches no key");
  if (text.starts_with("re:")) {
    pattern.is_regex = true;
    pattern.regex = text.substr(3);
    const RE2 re(pattern.regex, RE2::Quiet);
    if (!re.ok()) {
      const RegexMistake mistake = mistake_of(re, pattern.regex);
      return fail(3 + mistake.offset, mistake.length, fmt::format("not an expression: {}", mistake.message),
                  mistake.hint);
    }
    return pattern;
  }
  constexpr size_t kMaxTokens = 1000;  // what one side has is looked for in the other
  std::string literal;
  size_t literal_start = 0;
  const auto flush = [&](size_t end) {
    if (!literal.empty()) {
      PatternToken token;
      token.text = literal;
      token.offset = literal_start;
      token.length = end - literal_start;
      pattern.tokens.push_back(token);
    }
    literal.clear();
  };
  for (size_t i = 0; i < text.size();) {
    if (pattern.tokens.size() >= kMaxTokens)
      return fail(i, 1, fmt::format("the pattern has more than {} holes and parts between them", kMaxTokens));
    PatternToken token;
    token.offset = i;
    if (text[i] == '*') {
      flush(i);
      token.kind = text.compare(i, 2, "**") == 0 ? PatternToken::Kind::rest : PatternToken::Kind::star;
      token.length = token.kind == PatternToken::Kind::rest ? 2 : 1;
    } else if (text[i] == '{' || text.compare(i, 2, "${") == 0) {
      flush(i);
      const size_t open = text[i] == '$' ? i + 1 : i;
      const size_t close = end_of_braces(text, open);
      if (close == std::string::npos) return fail(i, 1, "'{' is not closed");
      const std::string_view body = std::string_view(text).substr(open + 1, close - open - 1);
      token.length = close + 1 - i;
      if (body.starts_with('=')) {
        const size_t begin = open + 2 + std::min(body.find_first_not_of(' ', 1), body.size()) - 1;
        auto expression = parse_expression(text.substr(begin, close - begin), written.from(begin), diagnostics);
        if (!expression) return std::nullopt;
        token.kind = PatternToken::Kind::computed;
        token.text = expression->text;
        token.expression = std::make_shared<const Expression>(std::move(*expression));
      } else if (text[i] == '$') {
        token.kind = PatternToken::Kind::variant;
        token.text = std::string(body);
        if (!is_word(body))
          return fail(i, token.length, fmt::format("'${{{}}}' does not name a variant or an entry of 'let'", body));
      } else {
        std::string hint;
        const std::string wrong = read_hole(body, tables, token, hint);
        if (!wrong.empty()) return fail(i, token.length, wrong, hint);
      }
    } else {
      if (text[i] == '}') return fail(i, 1, "'}' without '{'");
      if (literal.empty()) literal_start = i;
      literal += text[i++];
      continue;
    }
    i += token.length;
    pattern.tokens.push_back(std::move(token));
  }
  flush(text.size());
  return pattern;
}

KeyPattern join(const KeyPattern& prefix, char separator, const KeyPattern& pattern) {
  if (prefix.tokens.empty()) return pattern;
  KeyPattern joined = prefix;
  for (auto& token : joined.tokens) {
    if (!token.within) token.within = std::make_shared<const TextPlace>(prefix.place_of(token));
    token.offset = token.length = 0;
  }
  joined.text += separator + pattern.text;
  PatternToken token;
  token.text = std::string(1, separator);
  joined.tokens.push_back(token);
  joined.tokens.insert(joined.tokens.end(), pattern.tokens.begin(), pattern.tokens.end());
  joined.written = pattern.written;
  joined.own_offset = joined.text.size() - pattern.text.size() + pattern.own_offset;
  joined.own_size = pattern.own_size;
  return joined;
}

KeyPattern with_suffix(KeyPattern pattern, const std::string& literal) {
  PatternToken token;
  token.text = literal;
  pattern.tokens.push_back(token);
  pattern.text += literal;
  return pattern;
}

std::optional<KeyPattern> without_prefix(const KeyPattern& pattern) {
  KeyPattern own = pattern;
  std::erase_if(own.tokens, [](const PatternToken& token) { return token.length == 0; });
  if (own.tokens.empty() || own.tokens.size() == pattern.tokens.size()) return std::nullopt;
  own.text = pattern.own_text();
  own.own_offset = 0;
  return own;
}

std::string prefix_hint(const std::string& field, const KeyPattern& pattern, const std::string& key) {
  const std::string prefix = pattern.text.substr(0, pattern.own_offset - 1);
  return fmt::format(
      "'{}' stands below the prefix of its block, '{}', and '{}' is there without it: move the rule out of the block, "
      "and write its keys whole",
      field, prefix, key);
}

void check_expansion(const KeyPattern& to, const KeyPattern& from, const std::vector<std::string>& extra,
                     const Tables& tables, Diagnostics& diagnostics) {
  const auto count = [](const KeyPattern& p, PatternToken::Kind kind) {
    return std::count_if(p.tokens.begin(), p.tokens.end(), [&](const PatternToken& t) { return t.kind == kind; });
  };
  if (to.is_regex) {
    diagnostics.error("pattern-syntax", to.written.place(0, 3), "a target is not an expression",
                      "write the key, with \\1 … \\9 for the groups of 'from'");
    return;
  }
  for (const auto& [kind, sign] : {std::pair{PatternToken::Kind::star, "*"}, std::pair{PatternToken::Kind::rest, "**"}})
    if (count(to, kind) > count(from, kind))
      diagnostics.error(
          "pattern-missing-capture", to.written.place(),
          fmt::format("'{}' has {} '{}', '{}' has {}", to.text, count(to, kind), sign, from.text, count(from, kind)),
          "every index of the target must come from the source key");
  for (const PatternToken& token : to.tokens) {
    if (token.kind != PatternToken::Kind::hole) continue;
    const bool added = std::find(extra.begin(), extra.end(), token.text) != extra.end();
    const PatternToken* origin = from.hole(token.text);
    if (!added && from.text.empty())
      diagnostics.error("pattern-missing-capture", to.place_of(token),
                        fmt::format("'{{{}}}' has no value: this rule takes no key", token.text),
                        fmt::format("'each: {{{}: LIST}}' makes a tensor for each entry of a list", token.text));
    else if (!added && origin == nullptr)
      diagnostics.error("pattern-missing-capture", to.place_of(token),
                        fmt::format("'{{{}}}' is not a hole of '{}'", token.text, from.text),
                        missing_hole_hint(token.text, from));
    const auto is_number = [](const std::string& a) { return a.find_first_not_of("0123456789") == std::string::npos; };
    const bool numbers =
        origin != nullptr &&
        (origin->digits || (!origin->alternatives.empty() &&
                            std::all_of(origin->alternatives.begin(), origin->alternatives.end(), is_number)));
    if (token.add != 0 && origin != nullptr && !numbers)
      diagnostics.error("pattern-missing-capture", to.place_of(token),
                        fmt::format("'{{{}}}' is moved by {} but takes any string", token.text, token.add),
                        fmt::format("write {{{}:int}} in the source", token.text));
    if (!token.table.empty() && origin != nullptr)
      for (const auto& a : origin->alternatives) {
        const Table& table = tables.at(token.table);
        if (std::none_of(table.begin(), table.end(), [&](const auto& row) { return row.first == a; }))
          diagnostics.error(
              "pattern-missing-capture", to.place_of(token),
              fmt::format("maps.{} has no entry for '{}', which '{{{}}}' can take", token.table, a, token.text));
      }
  }
  if (from.is_regex) check_groups(to, from, diagnostics);
}

}  // namespace remap::lang
