// Two rules that can match one key: a checkpoint that has it would be refused.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "lang/hole_scope.h"
#include "lint/linter.h"

namespace remap::linting {
namespace {

using lang::KeyPattern;
using lang::PatternToken;
using lang::Rule;

constexpr size_t kMaxSteps = 30'000'000;
constexpr size_t kTexts = 8;  // tried, where an automaton cannot tell that a hole takes the same text twice
constexpr size_t kMaxSpellings = 32;
constexpr size_t kMaxReported = 20;

// What ${name} stands for is the same text in all rules, whatever it is: here one that no key has.
lang::VariantValues placeholders(const lang::RuleSet& set) {
  lang::VariantValues values;
  const auto add = [&](const std::string& name) { values.emplace(name, fmt::format("\x01{}\x02", values.size())); };
  for (const auto& variant : set.variants) add(variant.name);
  for (const auto& [name, expression] : set.let) add(name);
  return values;
}

std::string readable(std::string key, const lang::VariantValues& values) {
  for (const auto& [name, text] : values)
    for (size_t at = key.find(text); at != std::string::npos; at = key.find(text))
      key.replace(at, text.size(), "${" + name + "}");
  return key;
}

// The pattern with each text of a hole that stands in it twice, since an automaton cannot compare the two.
std::vector<KeyPattern> spellings_of(const KeyPattern& pattern) {
  std::vector<KeyPattern> all = {pattern};
  for (const PatternToken& hole : pattern.tokens) {
    if (hole.kind != PatternToken::Kind::hole || hole.alternatives.empty()) continue;
    const auto same = [&](const PatternToken& t) { return t.kind == PatternToken::Kind::hole && t.text == hole.text; };
    if (std::count_if(pattern.tokens.begin(), pattern.tokens.end(), same) < 2 ||
        all.size() * hole.alternatives.size() > kMaxSpellings)
      continue;
    std::vector<KeyPattern> next;
    for (const KeyPattern& one : all)
      for (const std::string& text : hole.alternatives) {
        next.push_back(one);
        for (PatternToken& token : next.back().tokens)
          if (same(token)) {
            token.kind = PatternToken::Kind::literal;
            token.text = text;
          }
      }
    all = std::move(next);
  }
  return all;
}

struct Candidate {
  const Rule* rule;
  lang::Matcher matcher;
  std::vector<Automaton> automata;  // one a spelling; none: not known
  std::vector<lang::Matcher> except;
  std::vector<Automaton> except_automata;
  bool takes(const std::string& key) const {
    lang::Captures ignored;
    return matcher.match(key, ignored) && holds(ignored) &&
           std::none_of(except.begin(), except.end(), [&](const auto& m) { return m.match(key, ignored); });
  }
  // Of a 'where' that asks a checkpoint nobody can tell here.
  bool holds(const lang::Captures& captures) const {
    lang::HoleScope holes(captures, nullptr);
    try {
      return !rule->where || lang::evaluate_condition(*rule->where, holes);
    } catch (const Error&) {
      return false;
    }
  }
};

std::vector<Automaton> automata_of(const KeyPattern& pattern, const lang::VariantValues& values) {
  std::vector<Automaton> automata;
  for (const KeyPattern& spelling : spellings_of(pattern)) {
    auto automaton = Automaton::of(lang::Matcher(spelling, values).regex());
    if (!automaton) return {};
    automata.push_back(std::move(*automaton));
  }
  return automata;
}

class Overlaps {
 public:
  explicit Overlaps(Linter& linter) : linter_(linter), values_(placeholders(linter.set)) {}

  void check() {
    for (const auto& source : linter_.set.sources) {
      std::vector<Candidate> candidates;
      for (const Rule& rule : linter_.set.rules)
        if (takes_keys(rule) && rule.source == source.name) candidates.push_back(candidate(rule));
      // Sorted by the text with which every match begins, those that can meet stand together.
      std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
        return a.matcher.literal_prefix() < b.matcher.literal_prefix();
      });
      keys_ = keys(source.name);
      for (size_t a = 0; a < candidates.size(); ++a)
        for (size_t b = a + 1; b < candidates.size() && candidates[b].matcher.literal_prefix().starts_with(
                                                            candidates[a].matcher.literal_prefix());
             ++b)
          compare(candidates[a], candidates[b]);
    }
    if (steps_ == 0)
      linter_.diagnostics.add({Severity::note,
                               "lint-rules-overlap",
                               linter_.set.text->place(1, 1),
                               "there are too many rules to compare each with all others; some may meet",
                               {},
                               "begin patterns with the text that tells them apart"});
  }

 private:
  Candidate candidate(const Rule& rule) const {
    Candidate one{&rule, lang::Matcher(rule.from, values_), automata_of(rule.from, values_), {}, {}};
    for (const auto& pattern : rule.except) {
      one.except.emplace_back(pattern, values_);
      if (auto automaton = Automaton::of(one.except.back().regex()))
        one.except_automata.push_back(std::move(*automaton));
    }
    return one;
  }
  std::vector<std::string> keys(const std::string& source) const {
    std::vector<std::string> all;
    Diagnostics ignored;  // reported by lint_manifests
    for (const auto& manifest : linter_.options.manifests)
      if (manifest.name == source)
        for (auto& key : keys_of(linter_.set, manifest, ignored)) all.push_back(std::move(key));
    return all;
  }

  // Rules that share out the parts of one tensor match one key on purpose.
  static bool leaves_parts(const Rule& rule) { return rule.split && rule.split->leaves_parts(); }

  void compare(const Candidate& a, const Candidate& b) {
    if (steps_ == 0 || reported_ >= kMaxReported || (leaves_parts(*a.rule) && leaves_parts(*b.rule)) ||
        a.rule->rest != b.rule->rest)
      return;
    const auto when = [](const Candidate& c) { return c.rule->when ? &*c.rule->when : nullptr; };
    const bool in_order =
        std::pair(a.rule->place.line, a.rule->place.column) <= std::pair(b.rule->place.line, b.rule->place.column);
    const Rule &first = in_order ? *a.rule : *b.rule, &second = in_order ? *b.rule : *a.rule;
    const std::array places = {first.place.line, first.place.column, second.place.line, second.place.column};
    if (seen_.contains(places)) return;
    const auto key = common_key(a, b);
    if (!key || !linter_.conditions.can_hold({when(a), when(b)})) return;
    seen_.insert(places);
    ++reported_;
    linter_.diagnostics.warning("lint-rules-overlap", second.from.written.place(),
                                fmt::format("two rules can match one key, such as '{}'", readable(*key, values_)),
                                "make one of the patterns narrower, or give both a 'when' that excludes the other",
                                {fmt::format("{}: {}", to_string(Place(first.place)), first.summary),
                                 fmt::format("{}: {}", to_string(Place(second.place)), second.summary)});
  }

  std::optional<std::string> common_key(const Candidate& a, const Candidate& b) {
    if (a.automata.empty() || b.automata.empty())
      for (const auto& key : keys_)
        if (a.takes(key) && b.takes(key)) return key;
    std::vector<const Automaton*> without;
    for (const Candidate* c : {&a, &b})
      for (const auto& automaton : c->except_automata) without.push_back(&automaton);
    // Texts of the one pattern are tried with the other where that has no automaton.
    const auto& left = a.automata.empty() ? b.automata : a.automata;
    const auto& right = b.automata.empty() ? left : b.automata;
    for (const auto& x : left)
      for (const auto& y : right) {
        size_t steps = std::min(steps_, kMaxStepsAPair);
        const size_t before = steps;
        const auto texts = common_texts(x, y, without, kTexts, steps);
        steps_ -= before - steps;
        for (const auto& text : texts)
          if (a.takes(text) && b.takes(text)) return text;
      }
    return std::nullopt;
  }

  Linter& linter_;
  const lang::VariantValues values_;
  std::vector<std::string> keys_;
  std::set<std::array<int, 4>> seen_;
  size_t steps_ = kMaxSteps, reported_ = 0;
};

}  // namespace

void lint_overlaps(Linter& linter) { Overlaps(linter).check(); }

}  // namespace remap::linting
