#include "plan/near_miss.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "base/key_segments.h"
#include "base/text.h"

namespace remap::plan {
namespace {

using lang::KeyPattern;
using lang::PatternToken;

// A token of literal text cut down to a part of it, whose place it keeps.
PatternToken part_of(const PatternToken& token, size_t begin, size_t length) {
  PatternToken part = token;
  part.text = token.text.substr(begin, length);
  if (token.length == token.text.size()) {
    part.offset += begin;
    part.length = length;
  }
  if (token.within && static_cast<size_t>(token.within->end_column - token.within->column) == token.text.size()) {
    TextPlace place = *token.within;
    place.column += static_cast<int>(begin);
    place.end_column = place.column + static_cast<int>(length);
    part.within = std::make_shared<const TextPlace>(std::move(place));
  }
  return part;
}

// The pattern cut at the separators of its literal text.
std::vector<KeyPattern> segments_of(const KeyPattern& pattern) {
  std::vector<KeyPattern> segments(1);
  for (const PatternToken& token : pattern.tokens) {
    if (token.kind != PatternToken::Kind::literal) {
      segments.back().tokens.push_back(token);
      continue;
    }
    for (size_t begin = 0; begin <= token.text.size();) {
      const size_t end = std::min(token.text.find_first_of("./", begin), token.text.size());
      if (end > begin) segments.back().tokens.push_back(part_of(token, begin, end - begin));
      if (end < token.text.size()) segments.emplace_back();
      begin = end + 1;
    }
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
      case PatternToken::Kind::computed: text += "{=" + token.text + "}"; break;
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

}  // namespace

struct NearMisses::Pattern {
  const NearRule* rule;
  std::vector<KeyPattern> parts;
  std::vector<lang::Matcher> matchers;  // of the parts
  bool rest = false;                    // one of the parts takes any number of segments
  bool is_rest(size_t part) const {
    return parts[part].tokens.size() == 1 && parts[part].tokens[0].kind == PatternToken::Kind::rest;
  }
};

struct NearMisses::Miss {
  size_t score = 0, open = 0;  // open: segments that do not fit
  std::string reason;
  TextPlace place;             // of the part that fails first
  bool literal = false;        // a part that fits says what the key is, and does not take just any text
  bool typing = false;         // the part that fails first is nearly right
  bool in_good_block = false;  // it stands in a 'within' through which keys come to other rules
};

NearMisses::NearMisses(std::vector<NearRule> rules, const lang::VariantValues& variants)
    : rules_(std::move(rules)), variants_(variants) {
  for (const NearRule& rule : rules_) {
    if (rule.inactive != nullptr || rule.pattern->is_regex) continue;
    Pattern one{&rule, segments_of(*rule.pattern), {}, false};
    for (const KeyPattern& part : one.parts) {
      one.matchers.emplace_back(part, variants);
      one.rest |= std::any_of(part.tokens.begin(), part.tokens.end(),
                              [](const PatternToken& t) { return t.kind == PatternToken::Kind::rest; });
    }
    patterns_.push_back(std::move(one));
    for (const PatternToken& token : rule.pattern->tokens)
      if (!rule.unused && token.within) good_blocks_.insert(token.within->line);
  }
}

NearMisses::~NearMisses() = default;

NearMisses::Miss NearMisses::compare(const std::vector<std::string>& key, const Pattern& pattern) const {
  const auto& parts = pattern.parts;
  Miss miss;
  lang::Captures ignored;
  const auto fits = [&](size_t part, const std::string& text) {
    if (!pattern.matchers[part].match(text, ignored)) return false;
    miss.literal |= std::any_of(parts[part].tokens.begin(), parts[part].tokens.end(),
                                [](const PatternToken& t) { return t.kind == PatternToken::Kind::literal; });
    return true;
  };
  size_t same = 0;
  while (same < parts.size() && same < key.size() && fits(same, key[same])) ++same;
  size_t tail = 0;
  if (pattern.rest && parts.size() > same + 1 && pattern.is_rest(parts.size() - 1)) {
    // '**' at the end takes all that is left; what is before it stands where it stands in the key.
    for (size_t i = same + 1; i + 1 < parts.size() && i < key.size(); ++i) tail += fits(i, key[i]);
    tail += key.size() >= parts.size();
  } else {
    while (tail < parts.size() - same && tail < key.size() - same &&
           fits(parts.size() - 1 - tail, key[key.size() - 1 - tail]))
      ++tail;
  }
  miss.score = 2 * same + tail;
  miss.open = (pattern.rest ? parts.size() : std::max(parts.size(), key.size())) - same - tail;
  miss.place = pattern.rule->pattern->written.place();
  if (same < parts.size() && same < key.size()) {
    const std::string text = text_of(parts[same]);
    miss.reason = fmt::format("'{}' is not '{}'", key[same], text);
    if (edit_distance(key[same], text) <= 2) ++miss.score, miss.literal = miss.typing = true;
    if (parts[same].tokens.empty()) return miss;
    const PatternToken& token = parts[same].tokens.front();
    miss.in_good_block = token.within && good_blocks_.contains(token.within->line);
    if (!miss.in_good_block) miss.place = pattern.rule->pattern->origin_of(token);
  } else if (same == parts.size() && same == key.size()) {
    miss.reason =
        "each part fits alone, but not a separator between them ('.' or '/'), or a hole that stands in it twice";
  } else if (same == parts.size()) {
    miss.reason = fmt::format("the pattern ends before '{}'", key[same]);
  } else {
    miss.reason = fmt::format("the key ends before '{}'", text_of(parts[same]));
  }
  return miss;
}

NearMisses::Near NearMisses::explain(const std::string& key) const {
  const auto segments = remap::segments_of(key);
  lang::Captures ignored;
  Near near;
  for (const NearRule& rule : rules_)
    if (rule.inactive != nullptr && lang::Matcher(*rule.pattern, variants_).match(key, ignored))
      near.notes.push_back(fmt::format("{}: '{}' matches, but holds only when {}", to_string(Place(*rule.place)),
                                       rule.pattern->text, rule.inactive->text));
  const Pattern *best = nullptr, *unused = nullptr;
  Miss best_miss, unused_miss;
  for (const Pattern& pattern : patterns_) {
    Miss miss = compare(segments, pattern);
    // It takes such keys, but for its 'where'.
    if (miss.open == 0 && lang::Matcher(*pattern.rule->pattern, variants_).match(key, ignored)) continue;
    // Of rules that may have been meant, one whose targets nothing else gives is the likelier.
    const bool meant = pattern.rule->unused && miss.open <= 1 && miss.literal && !miss.in_good_block;
    const auto likely = [](const Pattern& p, const Miss& m) { return std::tuple(p.rule->needed, m.typing, m.score); };
    if (meant && (unused == nullptr || likely(pattern, miss) > likely(*unused, unused_miss)))
      unused = &pattern, unused_miss = miss;
    if (miss.score > best_miss.score) best = &pattern, best_miss = std::move(miss);
  }
  if (unused == nullptr && near.notes.empty()) {  // a rule whose targets nothing else gives must be meant for some key
    std::set<std::pair<int, int>> lines;
    for (const Pattern& pattern : patterns_) {
      if (!pattern.rule->needed) continue;
      lines.emplace(pattern.rule->place->line, pattern.rule->place->column);
      Miss miss = compare(segments, pattern);
      if (unused == nullptr || miss.score > unused_miss.score) unused = &pattern, unused_miss = std::move(miss);
    }
    if (lines.size() != 1) unused = nullptr;
  }
  if (unused != nullptr) {
    near.unused = unused->rule;
    near.place = unused_miss.place;
    near.notes.insert(near.notes.begin(),
                      fmt::format("this rule, which no key matches, is the nearest: '{}' does not match, since {}",
                                  unused->rule->pattern->text, unused_miss.reason));
    return near;
  }
  if (best != nullptr)
    near.notes.push_back(fmt::format("{}: nearest rule '{}': {}", to_string(Place(*best->rule->place)),
                                     best->rule->pattern->text, best_miss.reason));
  return near;
}

}  // namespace remap::plan
