#include "plan/near_miss.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace remap::plan {
namespace {

using lang::KeyPattern;
using lang::PatternToken;

bool is_separator(char c) { return c == '.' || c == '/'; }

std::vector<std::string> segments_of(const std::string& key) {
  std::vector<std::string> segments(1);
  for (const char c : key) {
    if (is_separator(c)) segments.emplace_back();
    else segments.back() += c;
  }
  return segments;
}

// The pattern cut at the separators of its literal text.
std::vector<KeyPattern> segments_of(const KeyPattern& pattern) {
  std::vector<KeyPattern> segments(1);
  for (const PatternToken& token : pattern.tokens) {
    if (token.kind != PatternToken::Kind::literal) {
      segments.back().tokens.push_back(token);
      continue;
    }
    PatternToken part = token;
    part.text.clear();
    for (const char c : token.text) {
      if (!is_separator(c)) {
        part.text += c;
        continue;
      }
      if (!part.text.empty()) segments.back().tokens.push_back(part);
      part.text.clear();
      segments.emplace_back();
    }
    if (!part.text.empty()) segments.back().tokens.push_back(part);
  }
  return segments;
}

std::string text_of(const KeyPattern& segment) {
  std::string text;
  for (const PatternToken& token : segment.tokens) {
    switch (token.kind) {
      case PatternToken::Kind::literal: text += token.text; break;
      case PatternToken::Kind::star: text += "*"; break;
      case PatternToken::Kind::rest: text += "**"; break;
      case PatternToken::Kind::variant: text += "${" + token.text + "}"; break;
      case PatternToken::Kind::hole:
        text += "{" + token.text +
                (token.range                  ? ":" + token.range->text()
                 : token.alternatives.empty() ? ""
                                              : ":" + remap::join(token.alternatives, "|")) +
                "}";
        break;
    }
  }
  return text;
}

struct Miss {
  size_t score = 0;
  std::string reason;
};

Miss compare(const std::vector<std::string>& key, const KeyPattern& pattern, const lang::VariantValues& variants) {
  const auto parts = segments_of(pattern);
  lang::Captures ignored;
  const auto fits = [&](const KeyPattern& part, const std::string& text) { return lang::Matcher(part, variants).match(text, ignored); };
  size_t same = 0;
  while (same < parts.size() && same < key.size() && fits(parts[same], key[same])) ++same;
  size_t tail = 0;
  while (tail < parts.size() - same && tail < key.size() - same && fits(parts[parts.size() - 1 - tail], key[key.size() - 1 - tail])) ++tail;
  Miss miss{2 * same + tail, {}};
  if (same < parts.size() && same < key.size()) {
    miss.reason = fmt::format("'{}' is not '{}'", key[same], text_of(parts[same]));
    if (edit_distance(key[same], text_of(parts[same])) <= 2) ++miss.score;
  } else if (same == parts.size() && same == key.size()) {
    miss.reason = "each part fits alone, but not a separator between them ('.' or '/'), or a hole that stands in it twice";
  } else if (same == parts.size()) {
    miss.reason = fmt::format("the pattern ends before '{}'", key[same]);
  } else {
    miss.reason = fmt::format("the key ends before '{}'", text_of(parts[same]));
  }
  return miss;
}

}  // namespace

std::vector<std::string> explain_near_miss(const std::string& key, const std::vector<NearRule>& rules, const lang::VariantValues& variants) {
  const auto segments = segments_of(key);
  lang::Captures ignored;
  std::vector<std::string> notes;
  const NearRule* best = nullptr;
  Miss best_miss;
  for (const NearRule& rule : rules) {
    if (rule.inactive != nullptr) {
      if (lang::Matcher(*rule.pattern, variants).match(key, ignored))
        notes.push_back(fmt::format("{}: '{}' matches, but holds only when {}", to_string(Place(*rule.place)), rule.pattern->text, rule.inactive->text));
      continue;
    }
    if (rule.pattern->is_regex) continue;
    Miss miss = compare(segments, *rule.pattern, variants);
    if (miss.score > best_miss.score) best = &rule, best_miss = std::move(miss);
  }
  if (best != nullptr) notes.push_back(fmt::format("{}: nearest rule '{}': {}", to_string(Place(*best->place)), best->pattern->text, best_miss.reason));
  return notes;
}

}  // namespace remap::plan
