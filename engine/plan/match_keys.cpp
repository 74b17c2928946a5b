#include "plan/match_keys.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace remap::plan {
namespace {

using lang::Rule;

struct RuleMatcher {
  uint32_t rule;
  lang::Matcher matcher;
  std::vector<lang::Matcher> except;

  bool match(const std::string& key, lang::Captures& captures) const {
    if (!matcher.match(key, captures)) return false;
    lang::Captures ignored;
    return std::none_of(except.begin(), except.end(), [&](const auto& m) { return m.match(key, ignored); });
  }
};

std::vector<RuleMatcher> matchers_of(const PlanInput& input, const Choices& choices, const ActiveRules& active,
                                     size_t source) {
  std::vector<RuleMatcher> matchers;
  for (uint32_t r = 0; r < input.rules.rules.size(); ++r) {
    const Rule& rule = input.rules.rules[r];
    const bool matching = rule.kind == Rule::Kind::move || rule.kind == Rule::Kind::drop;
    if (!active[r] || !matching || input.rules.sources[source].name != rule.source) continue;
    RuleMatcher one{r, lang::Matcher(rule.from, choices.texts), {}};
    for (const auto& pattern : rule.except) one.except.emplace_back(pattern, choices.texts);
    matchers.push_back(std::move(one));
  }
  return matchers;
}

bool leaves_parts(const Rule& rule) { return rule.split && rule.split->leaves_parts(); }

// Collects the indices that '*' took.
class IndexCollector {
 public:
  IndexCollector(const PlanInput& input, LayerIndices& indices) : input_(input), indices_(indices) {}

  void note(const layout::SourceKey& key, const lang::Captures& captures) {
    if (key.source == last_.source && captures.stars == last_.stars && captures.star_offsets == last_.offsets &&
        key.key.compare(0, last_.prefix.size(), last_.prefix) == 0)
      return;
    last_ = {key.source, captures.stars, captures.star_offsets,
             key.key.substr(0, captures.star_offsets.empty() ? 0 : captures.star_offsets.back())};
    for (size_t i = 0; i < captures.stars.size(); ++i) {
      if (captures.stars[i].size() > 9) continue;
      const size_t begin = std::min(begin_below_files(key), captures.star_offsets[i]);
      indices_[{key.source, key.key.substr(begin, captures.star_offsets[i] - begin)}].insert(
          std::stoi(captures.stars[i]));
    }
  }

 private:
  // Where the key begins behind the numbers of its file: layers may be spread over the files.
  size_t begin_below_files(const layout::SourceKey& key) const {
    const auto& files = input_.rules.sources[key.source].files;
    size_t begin = 0;
    for (const auto& token : files ? files->tokens : std::vector<lang::PatternToken>()) {
      const size_t slash = token.kind == lang::PatternToken::Kind::hole ? key.key.find('/', begin) : std::string::npos;
      if (slash != std::string::npos) begin = slash + 1;
    }
    return begin;
  }

  const PlanInput& input_;
  LayerIndices& indices_;
  struct {
    uint32_t source = 0;
    std::vector<std::string> stars;
    std::vector<size_t> offsets;
    std::string prefix;
  } last_;  // the key before: most keys of a layer come together
};

// One rule matches a key, or several that leave parts of it to each other. False if none does.
bool match_key(const PlanInput& input, const layout::SourceKey& key, const std::vector<RuleMatcher>& matchers,
               IndexCollector& indices, Matches& matches, Diagnostics& diagnostics) {
  lang::Captures captures;
  const Rule* found = nullptr;
  for (const RuleMatcher& candidate : matchers) {
    if (!candidate.match(key.key, captures)) continue;
    const Rule& rule = input.rules.rules[candidate.rule];
    if (found != nullptr && !(leaves_parts(rule) && leaves_parts(*found))) {
      diagnostics.error("plan-key-matched-twice", rule.place, fmt::format("the key '{}' matches two rules", key.key),
                        found->kind == Rule::Kind::drop || rule.kind == Rule::Kind::drop
                            ? fmt::format("add except: ['{}'] to the other rule, or narrow a pattern", key.key)
                            : "make one of the patterns narrower, or take the key out of one with 'except'",
                        {note_of(*found), note_of(rule)});
      continue;
    }
    found = &rule;
    indices.note(key, captures);
    matches.by_rule[candidate.rule].push_back({&key, std::move(captures)});
  }
  return found != nullptr;
}

// What a rule moves must be read.
void refuse_unread(const PlanInput& input, const Matches& matches, Diagnostics& diagnostics) {
  for (size_t r = 0; r < matches.by_rule.size(); ++r) {
    const Rule& rule = input.rules.rules[r];
    if (rule.kind != Rule::Kind::move) continue;
    for (const Match& match : matches.by_rule[r]) {
      const TensorInfo& tensor = input.info(*match.key);
      if (tensor.unread != nullptr)
        diagnostics.error("plan-unread-tensor", rule.place,
                          fmt::format("'{}' cannot be converted: {}", match.key->key, describe(tensor)),
                          way_on(*tensor.unread));
    }
  }
}

}  // namespace

Matches match_keys(const PlanInput& input, const Choices& choices, const ActiveRules& active,
                   Diagnostics& diagnostics) {
  Matches matches;
  matches.by_rule.resize(input.rules.rules.size());
  IndexCollector indices(input, matches.indices);
  for (size_t source = 0; source < input.sources.size(); ++source) {
    const auto matchers = matchers_of(input, choices, active, source);
    for (const layout::SourceKey& key : input.keys.keys(source))
      if (!match_key(input, key, matchers, indices, matches, diagnostics)) matches.unmatched.push_back(&key);
  }
  report_unmatched(input, choices, active, matches, diagnostics);
  refuse_unread(input, matches, diagnostics);
  return matches;
}

void check_indices(const PlanInput& input, const LayerIndices& indices, Diagnostics& diagnostics) {
  for (const auto& [where, seen] : indices) {
    const int last = *seen.rbegin();
    if (static_cast<size_t>(last) + 1 == seen.size()) continue;
    std::vector<int> missing;
    for (int i = 0; i < last && missing.size() < 8; ++i)
      if (!seen.contains(i)) missing.push_back(i);
    diagnostics.error(
        "plan-index-gap", input.place_of_source(where.first),
        fmt::format("under '{}' there are the indices {}; {} {} missing", where.second, fmt::join(seen, " "),
                    fmt::join(missing, " "), missing.size() == 1 ? "is" : "are"),
        "what '*' takes is numbered 0 … n-1 without a gap; numbers that may have gaps are a hole, {name:int}");
  }
}

}  // namespace remap::plan
