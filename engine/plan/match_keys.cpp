#include "plan/match_keys.h"

#include <algorithm>
#include <mutex>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/fetch.h"
#include "base/parallel_for.h"
#include "lang/hole_scope.h"

namespace remap::plan {
namespace {

using lang::Rule;

constexpr int64_t kWorkOfKey = 200;  // in parallel_for's unit: about as many multiplications

// The conditions on what holes took: asked by one thread at a time, once for the same texts.
class Wheres {
 public:
  Wheres(const PlanInput& input, layout::CheckpointScope& scope) : input_(input), scope_(scope) {}

  bool holds(uint32_t rule, const lang::Captures& captures) {
    const std::lock_guard lock(mutex_);
    const auto [known, fresh] = known_.try_emplace({rule, captures.holes}, false);
    if (!fresh) return known->second;
    try {
      lang::HoleScope holes(captures, &scope_);
      known->second = lang::evaluate_condition(*input_.rules.rules[rule].where, holes);
    } catch (const Error& error) {
      errors_.emplace(rule, error);
    }
    return known->second;
  }

  // One a rule is enough.
  bool all_known() const { return errors_.empty(); }
  void report(Diagnostics& diagnostics) const {
    for (const auto& [rule, error] : errors_) add_about(input_.rules.rules[rule], error, diagnostics);
  }

 private:
  using Texts = std::vector<std::pair<std::string, std::string>>;

  const PlanInput& input_;
  layout::CheckpointScope& scope_;
  std::mutex mutex_;
  std::map<std::pair<uint32_t, Texts>, bool> known_;
  std::map<uint32_t, Error> errors_;
};

struct RuleMatcher {
  uint32_t rule;
  lang::Matcher matcher;
  std::vector<lang::Matcher> except;
  Wheres* where = nullptr;  // nullptr: it has no condition

  bool find(std::string_view key, lang::KeyPart* parts) const {
    if (!matcher.find(key, parts)) return false;
    lang::Captures captures;
    if (std::any_of(except.begin(), except.end(), [&](const auto& m) { return m.match(key, captures); })) return false;
    if (where == nullptr) return true;
    matcher.take(key, parts, captures);
    return where->holds(rule, captures);
  }
};

std::vector<RuleMatcher> matchers_of(const PlanInput& input, const Choices& choices, const ActiveRules& active,
                                     size_t source, Wheres& wheres) {
  std::vector<RuleMatcher> matchers;
  for (uint32_t r = 0; r < input.rules.rules.size(); ++r) {
    const Rule& rule = input.rules.rules[r];
    const bool matching = rule.kind == Rule::Kind::move || rule.kind == Rule::Kind::drop;
    if (!active[r] || !matching || input.rules.sources[source].name != rule.source) continue;
    RuleMatcher one{r, lang::Matcher(rule.from, choices.texts), {}, rule.where ? &wheres : nullptr};
    for (const auto& pattern : rule.except) one.except.emplace_back(pattern, choices.texts);
    matchers.push_back(std::move(one));
  }
  std::stable_partition(matchers.begin(), matchers.end(),
                        [&](const RuleMatcher& one) { return !input.rules.rules[one.rule].rest; });
  return matchers;
}

bool leaves_parts(const Rule& rule) { return rule.split && rule.split->leaves_parts(); }

// Collects the indices that '*' took.
class IndexCollector {
 public:
  explicit IndexCollector(const PlanInput& input) : input_(input) {}

  void note(const layout::SourceKey& key, const lang::Matcher& matcher, const lang::KeyPart* parts,
            LayerIndices& indices) {
    stars_.clear();
    for (size_t g = 0; g < matcher.n_groups(); ++g)
      if (matcher.is_star(g)) stars_.push_back(parts[g]);
    if (stars_.empty()) return;
    const auto same = [](const lang::KeyPart& a, const lang::KeyPart& b) {
      return a.begin == b.begin && a.length == b.length;
    };
    if (key.source == last_.source && key.key.starts_with(last_.head) &&
        std::equal(stars_.begin(), stars_.end(), last_.stars.begin(), last_.stars.end(), same))
      return;
    last_ = {key.source, stars_, key.key.substr(0, stars_.back().begin + stars_.back().length)};
    for (const lang::KeyPart& star : stars_) {
      if (star.length > 9) continue;
      const size_t begin = std::min<size_t>(begin_below_files(key), star.begin);
      indices[{key.source, std::string(key.key.substr(begin, star.begin - begin))}].insert(
          std::stoi(std::string(star.in(key.key))));
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
  std::vector<lang::KeyPart> stars_;
  struct {
    uint32_t source = 0;
    std::vector<lang::KeyPart> stars;
    std::string_view head;  // up to the end of the last star
  } last_;                  // the key before: most keys of a layer come together
};

// Of a stretch of the keys of one source, what match_keys() finds of all.
class Matching {
 public:
  Matching(const PlanInput& input, const std::vector<RuleMatcher>& matchers)
      : input_(input), matchers_(matchers), indices_(input) {
    found.by_rule.resize(input.rules.rules.size());
    size_t most = 0;
    for (const RuleMatcher& one : matchers) {
      found.by_rule[one.rule] = RuleMatches(one.matcher);
      most = std::max(most, one.matcher.n_groups());
    }
    parts_.resize(most);
  }

  // One rule matches a key, or several that leave parts of it to each other.
  void match(const layout::SourceKey& key) {
    const Rule* first = nullptr;
    for (const RuleMatcher& candidate : matchers_) {
      const Rule& rule = input_.rules.rules[candidate.rule];
      if (rule.rest && first != nullptr && !first->rest) break;  // those for the rest come last
      if (!candidate.find(key.key, parts_.data())) continue;
      if (first != nullptr && !(leaves_parts(rule) && leaves_parts(*first))) {
        diagnostics.error("plan-key-matched-twice", rule.place, fmt::format("the key '{}' matches two rules", key.key),
                          first->kind == Rule::Kind::drop || rule.kind == Rule::Kind::drop
                              ? fmt::format("add except: ['{}'] to the other rule, or narrow a pattern", key.key)
                              : "make one of the patterns narrower, or take the key out of one with 'except'",
                          {note_of(*first), note_of(rule)});
        continue;
      }
      first = &rule;
      indices_.note(key, candidate.matcher, parts_.data(), found.indices);
      found.by_rule[candidate.rule].add(key, parts_.data());
    }
    if (first == nullptr) found.unmatched.push_back(&key);
  }

  Matches found;
  Diagnostics diagnostics;

 private:
  const PlanInput& input_;
  const std::vector<RuleMatcher>& matchers_;
  IndexCollector indices_;
  std::vector<lang::KeyPart> parts_;
};

void append(const Matching& part, Matches& matches, Diagnostics& diagnostics) {
  for (size_t r = 0; r < matches.by_rule.size(); ++r) matches.by_rule[r].append(part.found.by_rule[r]);
  matches.unmatched.insert(matches.unmatched.end(), part.found.unmatched.begin(), part.found.unmatched.end());
  for (const auto& [where, seen] : part.found.indices) matches.indices[where].insert(seen.begin(), seen.end());
  for (const Diagnostic& d : part.diagnostics.items()) diagnostics.add(d);
}

// What a rule moves must be read.
void refuse_unread(const PlanInput& input, const Matches& matches, Diagnostics& diagnostics) {
  for (size_t r = 0; r < matches.by_rule.size(); ++r) {
    const Rule& rule = input.rules.rules[r];
    if (rule.kind != Rule::Kind::move) continue;
    for (size_t i = 0; i < matches.by_rule[r].size(); ++i) {
      const layout::SourceKey& key = matches.by_rule[r].key(i);
      const TensorInfo& tensor = input.info(key);
      if (tensor.unread != nullptr)
        diagnostics.error("plan-unread-tensor", rule.place,
                          fmt::format("'{}' cannot be converted: {}", key.key, describe(tensor)),
                          way_on(*tensor.unread));
    }
  }
}

}  // namespace

Matches match_keys(const PlanInput& input, const Choices& choices, const ActiveRules& active,
                   layout::CheckpointScope& scope, Diagnostics& diagnostics) {
  constexpr size_t kPartKeys = 1 << 14;  // matched by one thread
  Matches matches;
  matches.by_rule.resize(input.rules.rules.size());
  Wheres wheres(input, scope);
  for (size_t source = 0; source < input.sources.size(); ++source) {
    const auto matchers = matchers_of(input, choices, active, source, wheres);
    const auto& keys = input.keys.keys(source);
    std::vector<Matching> parts;
    for (size_t begin = 0; begin < keys.size(); begin += kPartKeys) parts.emplace_back(input, matchers);
    const auto n_parts = static_cast<int64_t>(parts.size());
    parallel_for(n_parts, n_parts * int64_t{kPartKeys} * kWorkOfKey, [&](int64_t first, int64_t last) {
      for (auto p = static_cast<size_t>(first); p < static_cast<size_t>(last); ++p)
        for (size_t k = p * kPartKeys; k < std::min(keys.size(), (p + 1) * kPartKeys); ++k) {
          fetch_later(k, keys.size(), [&](size_t later) { return keys[later].key.data(); });
          parts[p].match(keys[k]);
        }
    });
    for (Matching& part : parts) append(part, matches, diagnostics);
  }
  wheres.report(diagnostics);
  if (wheres.all_known()) report_unmatched(input, choices, active, matches, diagnostics);
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
