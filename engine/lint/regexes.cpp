// Is an expression what its author meant? Patterns match whole keys, and in 're:' a dot is any character.
#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "lang/visit.h"
#include "lint/linter.h"

namespace remap::linting {
namespace {

using lang::KeyPattern;
using lang::PatternToken;

TextPlace place_in(const KeyPattern& pattern, size_t at, size_t length) {
  return pattern.written.place(at + 3, length);
}  // after "re:"

void check_anchors(const KeyPattern& p, Diagnostics& diagnostics) {
  const auto [begin, end] = anchors_of(p.regex);
  for (const auto& [at, length] : {std::pair(size_t{0}, begin), std::pair(p.regex.size() - end, end)})
    if (length > 0)
      diagnostics.warning(
          "lint-needless-anchor", place_in(p, at, length),
          fmt::format("'{}' says nothing here: a pattern always matches the whole key", p.regex.substr(at, length)),
          "leave it out");
}

void check_breadth(const KeyPattern& p, Diagnostics& diagnostics) {
  const std::string& e = p.regex;
  const auto report = [&](size_t at, size_t length) {
    diagnostics.warning(
        "lint-broad-expression", place_in(p, at, length),
        fmt::format("'{}' takes any number of parts of the key, separators included", e.substr(at, length)),
        "say what stands there, such as 'encoder' or '[^.]+'; where any key is meant, a plain pattern with '**' says "
        "so");
  };
  const size_t begin = e.starts_with("^") ? 1 : 0;
  const size_t open = begin + (e.compare(begin, 1, "(") == 0 ? 1 : 0);
  for (const char* any : {".*", ".+"}) {
    if (e.compare(open, 2, any) == 0) return report(open, 2);
    size_t end = e.size();
    while (end > 0 && (e[end - 1] == '$' || e[end - 1] == ')' || e[end - 1] == '?')) --end;
    if (end >= 2 && e.compare(end - 2, 2, any) == 0 && !(end >= 3 && e[end - 3] == '\\')) return report(end - 2, 2);
  }
}

// A dot between words, with no repetition after it and outside of a class, was meant as a dot.
void check_dots(const KeyPattern& p, Diagnostics& diagnostics) {
  const std::string& e = p.regex;
  bool in_class = false;
  for (size_t i = 0; i < e.size(); ++i) {
    if (e[i] == '\\') {
      ++i;
      continue;
    }
    if (e[i] == '[' || e[i] == ']') in_class = e[i] == '[';
    if (in_class || e[i] != '.' || i == 0 || i + 1 == e.size()) continue;
    const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
    const bool before = is_word(e[i - 1]) || e[i - 1] == ')' || e[i - 1] == ']' || e[i - 1] == '+',
               after = is_word(e[i + 1]) || e[i + 1] == '(' || e[i + 1] == '[' || e[i + 1] == '\\';
    if (before && after)
      diagnostics.warning("lint-unescaped-dot", place_in(p, i, 1), "'.' matches any character in an expression",
                          "write '\\.' for a dot");
  }
}

// "layers\.(\d+)" without 're:' matches no key that anybody has.
void check_plain(const KeyPattern& p, Diagnostics& diagnostics) {
  for (const PatternToken& token : p.tokens) {
    if (token.kind != PatternToken::Kind::literal) continue;
    const size_t at = token.text.find_first_of("\\^(?");
    if (at == std::string::npos) continue;
    const TextPlace place = token.length == 0 ? p.written.place() : p.written.place(token.offset + at, 1);
    return diagnostics.warning(
        "lint-looks-like-expression", place,
        fmt::format("'{}' is an ordinary character here, as in every pattern without 're:'", token.text[at]),
        "begin the pattern with 're:', or leave it out");
  }
}

}  // namespace

std::pair<size_t, size_t> anchors_of(std::string_view e) {
  const size_t begin = e.starts_with("^") ? 1 : e.starts_with("\\A") ? 2 : 0;
  // Behind an odd number of '\' it is the sign itself; '\z' needs the odd one.
  const auto backslashes = [&](size_t at) { return at - (e.substr(0, at).find_last_not_of('\\') + 1); };
  size_t end = 0;
  if (e.ends_with("\\z") && backslashes(e.size() - 1) % 2 == 1) end = 2;
  if (e.ends_with("$") && backslashes(e.size() - 1) % 2 == 0) end = 1;
  return {begin, std::min(end, e.size() - begin)};
}

void lint_expressions(Linter& linter) {
  const auto check_source = [&](const KeyPattern& p) {
    if (!p.is_regex) return check_plain(p, linter.diagnostics);
    check_anchors(p, linter.diagnostics);
    check_breadth(p, linter.diagnostics);
    check_dots(p, linter.diagnostics);
  };
  std::set<const KeyPattern*> targets;  // of an expression: \1 stands for what it took
  for (const auto& spelling : linter.set.normalise)
    if (spelling.from.is_regex) targets.insert(&spelling.to);
  for (const auto& rule : linter.set.rules)
    if (rule.from.is_regex) {
      targets.insert(&rule.to);
      if (rule.equal_to) targets.insert(&*rule.equal_to);
    }
  for (const auto& one : linter.set.computed)
    if (one.from.is_regex) targets.insert(&one.to), targets.insert(&one.g);
  lang::visit_patterns(linter.set, [&](const KeyPattern& p) {
    if (!targets.contains(&p)) check_source(p);
  });
}

}  // namespace remap::linting
