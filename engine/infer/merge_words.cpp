#include "infer/merge_words.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "infer/key_text.h"
#include "infer/key_words.h"
#include "infer/vocabulary.h"

namespace remap::infer {
namespace {

constexpr size_t kMaxWords = 3;                            // in a cut
constexpr double kTableCost = 0.5, kManyWordsCost = 0.25;  // of a merged rule, in lines

bool is_word(const KeyForm& form) { return form.separators().empty(); }
bool is_word(const std::string& text) { return std::none_of(text.begin(), text.end(), is_separator); }

// A rule, cut on both sides at the words in which it may differ from others.
struct Member {
  size_t rule;
  WordCut source, target;
};
using Members = std::vector<Member>;

// The rules that are the same but for these words. Texts around the words stand for themselves by their rank among all.
class Groups {
 public:
  Groups(const std::vector<PatternRule>& rules, Operations& operations) {
    struct Cuts {
      std::vector<WordCut> source, target;
    };
    std::vector<Cuts> cuts(rules.size());
    std::map<KeyForm, size_t> ranks;
    for (size_t r = 0; r < rules.size(); ++r) {
      if (!may_merge(rules[r])) continue;
      cuts[r] = {cuts_of(rules[r].from), cuts_of(rules[r].to)};
      for (const auto* side : {&cuts[r].source, &cuts[r].target})
        for (const auto& cut : *side) ranks.emplace(cut.before, 0), ranks.emplace(cut.after, 0);
    }
    size_t next = 0;
    for (auto& [form, rank] : ranks) rank = next++;
    for (size_t r = 0; r < rules.size(); ++r) {
      const size_t operation = cuts[r].source.empty() ? 0 : operations.number_of(rules[r].operation);
      for (const WordCut& s : cuts[r].source)
        for (const WordCut& t : cuts[r].target)
          if (s.word == t.word || (is_word(s.word) && is_word(t.word)))
            groups_[{operation, rules[r].variables.size(), ranks.at(s.before), ranks.at(s.after), ranks.at(t.before),
                     ranks.at(t.after)}]
                .push_back({r, s, t});
    }
  }

  // Those of more than one rule, each of which is in it once.
  std::vector<const Members*> of_several() const {
    std::vector<const Members*> result;
    for (const auto& [key, members] : groups_) {
      std::set<size_t> rules;
      for (const auto& member : members) rules.insert(member.rule);
      if (rules.size() >= 2 && rules.size() == members.size()) result.push_back(&members);
    }
    return result;
  }

 private:
  static bool may_merge(const PatternRule& rule) {
    return rule.except.empty() && rule.kind != PatternRule::Kind::drop && rule.variables.size() < kMaxVariables;
  }
  std::map<std::array<size_t, 6>, Members> groups_;
};

// What the words of all members have in common at both ends.
struct Common {
  size_t begin = 0, end = 0;
  KeyForm middle(const KeyForm& word) const { return word.substr(begin, word.size() - begin - end); }
};

Common common_of(const std::vector<KeyForm>& words) {
  Common common{words[0].size(), words[0].size()};
  for (const auto& word : words) common.begin = std::min(common.begin, common_prefix(words[0], word));
  common.end = words[0].size() - common.begin;
  for (const auto& word : words)
    common.end = std::min({common.end, word.size() - common.begin, common_suffix(words[0], word)});
  return common;
}

// "query" and "key" have their last letter in common: words are taken whole where that costs nothing.
void widen_together(const KeyForm& s, Common& in_s, const KeyForm& t, Common& in_t) {
  const auto same = [&](size_t a, size_t b) { return s.char_at(a) != '_' && s.substr(a, 1) == t.substr(b, 1); };
  while (in_s.begin > 0 && in_t.begin > 0 && same(in_s.begin - 1, in_t.begin - 1)) --in_s.begin, --in_t.begin;
  while (in_s.end > 0 && in_t.end > 0 && same(s.size() - in_s.end, t.size() - in_t.end)) --in_s.end, --in_t.end;
}
void widen_to_borders(const std::vector<KeyForm>& words, Common& common) {
  const KeyForm& first = words[0];
  while (common.begin > 0 && first.char_at(common.begin - 1) != '_') --common.begin;
  while (common.end > 0 && first.char_at(first.size() - common.end) != '_') --common.end;
  for (const auto& word : words)
    if (word.size() <= common.begin + common.end) common = {};
}

// A table is worth reading if its entries are of one kind: projections, norms, numbers, or words with a part in
// common.
bool belong_together(const std::vector<KeyForm>& s, const std::vector<KeyForm>& t) {
  const auto is_of = [](const std::set<std::string>& kind, const KeyForm& word) {
    const auto words = words_of(word.shown("#"));
    return std::any_of(words.begin(), words.end(), [&](const std::string& w) { return kind.contains(w); });
  };
  const auto fits = [&](const std::set<std::string>& kind) {
    for (size_t i = 0; i < s.size(); ++i)
      if (!is_of(kind, s[i]) && !is_of(kind, t[i])) return false;
    return true;
  };
  const auto is_one_word = [](const KeyForm& form) { return is_word(form); };
  return std::all_of(s.begin(), s.end(), is_one_word) &&
         std::any_of(kinds_of_words().begin(), kinds_of_words().end(), fits);
}

bool has_repetition(const std::vector<KeyForm>& words) {
  return std::set<KeyForm>(words.begin(), words.end()).size() != words.size();
}

// The text that a pattern can list; nullopt: it cannot.
std::optional<std::string> listed_word(const KeyForm& form) {
  const auto is_special = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == '|' || c == ':' || c == '}';
  };
  auto text = form.text();
  return text && !text->empty() && std::none_of(text->begin(), text->end(), is_special) ? text : std::nullopt;
}

// Adds what varies in `part` to what varies in `rule`; false: a table of one differs from that of the other.
bool add_variables(PatternRule& rule, const PatternRule& part) {
  for (size_t v = 0; v < rule.variables.size(); ++v) {
    Variable& own = rule.variables[v];
    const Variable& other = part.variables[v];
    if (own.index != other.index) return false;
    if (!own.index && own.values != other.values && (own.translates() || other.translates())) return false;
    own.add(other);
  }
  return true;
}

std::optional<PatternRule> merged(const Members& members, const std::vector<PatternRule>& rules) {
  std::vector<KeyForm> s, t;
  for (const auto& member : members) s.push_back(member.source.word), t.push_back(member.target.word);
  if (has_repetition(s) || has_repetition(t)) return std::nullopt;
  Common in_s = common_of(s), in_t = common_of(t);
  bool same = true;  // but for what all have in common
  for (size_t i = 0; i < s.size(); ++i) same &= in_s.middle(s[i]) == in_t.middle(t[i]) && !in_s.middle(s[i]).empty();
  if (same) {
    widen_together(s[0], in_s, t[0], in_t);
  } else {
    widen_to_borders(s, in_s);
    widen_to_borders(t, in_t);
    if (!belong_together(s, t)) return std::nullopt;
  }
  const PatternRule& first = rules[members[0].rule];
  PatternRule rule;
  rule.source = first.source;
  rule.operation = first.operation;
  rule.variables = first.variables;
  Variable words;
  for (size_t i = 0; i < members.size(); ++i) {
    const auto from = listed_word(in_s.middle(s[i])), to = listed_word(in_t.middle(t[i]));
    const PatternRule& part = rules[members[i].rule];
    if (!from || !to || !add_variables(rule, part)) return std::nullopt;
    words.add(*from, *to);
    rule.add_relations(part);
    rule.parts.push_back(part);
  }
  std::sort(words.values.begin(), words.values.end());
  const KeyForm hole = KeyForm::variable(rule.variables.size());
  const auto with_hole = [&](const WordCut& cut, const Common& common) {
    return cut.before + cut.word.substr(0, common.begin) + hole + cut.word.substr(cut.word.size() - common.end) +
           cut.after;
  };
  rule.from = with_hole(members[0].source, in_s);
  rule.to = with_hole(members[0].target, in_t);
  rule.variables.push_back(std::move(words));
  return rule;
}

// How many lines a merged rule saves, less what it costs to read.
double gain_of(const PatternRule& rule) {
  const Variable& words = rule.variables.back();
  const bool one_word =
      std::all_of(words.values.begin(), words.values.end(), [](const auto& v) { return is_word(v.first); });
  return static_cast<double>(rule.parts.size()) - (words.translates() ? kTableCost : 0.0) -
         (one_word ? 0.0 : kManyWordsCost);
}

}  // namespace

std::vector<WordCut> cuts_of(const KeyForm& form) {
  std::vector<size_t> begins = {0};  // of words
  for (const size_t separator : form.separators()) begins.push_back(separator + 1);
  begins.push_back(form.size() + 1);
  std::vector<WordCut> cuts;
  for (size_t a = 0; a + 1 < begins.size(); ++a)
    for (size_t b = a + 1; b < std::min(begins.size(), a + kMaxWords + 1); ++b)
      cuts.push_back(
          {form.substr(0, begins[a]), form.substr(begins[a], begins[b] - 1 - begins[a]), form.substr(begins[b] - 1)});
  return cuts;
}

std::vector<PatternRule> with_words(std::vector<PatternRule> rules, Operations& operations) {
  while (true) {
    std::optional<PatternRule> best;
    std::set<size_t> members;
    const Groups groups(rules, operations);
    for (const Members* group : groups.of_several()) {
      auto rule = merged(*group, rules);
      if (!rule || (best && gain_of(*rule) <= gain_of(*best))) continue;
      best = std::move(rule);
      members.clear();
      for (const auto& member : *group) members.insert(member.rule);
    }
    if (!best) return rules;
    std::vector<PatternRule> next;
    for (size_t r = 0; r < rules.size(); ++r)
      if (!members.contains(r)) next.push_back(std::move(rules[r]));
    next.push_back(std::move(*best));
    rules = std::move(next);
  }
}

}  // namespace remap::infer
