// Rules against the keys of real checkpoints: what none of them has.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "lint/linter.h"
#include "plan/compute_keys.h"

namespace remap::linting {
namespace {

using lang::KeyPattern;
using lang::PatternToken;
using lang::Rule;

// A variant or text of 'let' may be anything, or nothing at all.
std::vector<lang::Matcher> matchers_of(const KeyPattern& pattern, const lang::VariantValues& empty) {
  KeyPattern open = pattern;
  bool has_variant = false;
  for (PatternToken& token : open.tokens)
    if (token.kind == PatternToken::Kind::variant) {
      token.kind = PatternToken::Kind::rest;
      has_variant = true;
    }
  std::vector<lang::Matcher> matchers = {lang::Matcher(open, empty)};
  if (has_variant) matchers.emplace_back(pattern, empty);
  return matchers;
}

lang::VariantValues empty_values(const lang::RuleSet& set) {
  lang::VariantValues values;
  for (const auto& variant : set.variants) values[variant.name];
  for (const auto& [name, expression] : set.let) values[name];
  return values;
}

// What one item of the file matched: 'linear' stands for two rules, which count as one.
struct Item {
  const Rule* rule = nullptr;
  bool matched = false;
  std::map<std::string, std::set<std::string>> taken;  // by a hole
};

class Manifests {
 public:
  explicit Manifests(Linter& linter) : linter_(linter), set_(linter.set), empty_(empty_values(linter.set)) {}

  void check() {
    for (const auto& source : set_.sources) {
      size_t examples = 0;
      for (const auto& manifest : linter_.options.manifests)
        if (manifest.name == source.name) examples += note(manifest);
      if (examples == 0) continue;
      for (const Rule& rule : set_.rules)
        if (takes_keys(rule) && rule.source == source.name) report(items_[place_of(rule)], rule, examples);
    }
    report_entries();
    report_ambiguity();
  }

 private:
  using At = std::pair<int, int>;
  static At place_of(const Rule& rule) { return {rule.place.line, rule.place.column}; }

  // Whether the manifest has keys for the rules at all; if not, that is reported.
  bool note(const NamedSource& manifest) {
    const auto keys = keys_of(set_, manifest, linter_.diagnostics);
    for (const Rule& rule : set_.rules) {
      if (!takes_keys(rule) || rule.source != manifest.name) continue;
      Item& item = items_[place_of(rule)];
      const auto matchers = matchers_of(rule.from, empty_);
      const std::string prefix = matchers.size() > 1 ? "" : matchers.front().literal_prefix();
      const bool has_alternatives = std::any_of(rule.from.tokens.begin(), rule.from.tokens.end(),
                                                [](const PatternToken& t) { return !t.alternatives.empty(); });
      lang::Captures captures;
      for (auto key = std::lower_bound(keys.begin(), keys.end(), prefix);
           key != keys.end() && key->starts_with(prefix) && (has_alternatives || !item.matched); ++key)
        for (const auto& matcher : matchers)
          if (matcher.match(*key, captures)) {
            item.matched = true;
            for (const auto& [hole, text] : captures.holes)
              if (has_alternatives) item.taken[hole].insert(text);
          }
    }
    return !keys.empty();
  }

  void report(Item& item, const Rule& rule, size_t examples) {
    if (item.rule != nullptr) return;
    item.rule = &rule;
    const std::string all = examples == 1 ? "the manifest" : fmt::format("any of the {} manifests", examples);
    const bool may_be_absent = rule.optional || rule.when;
    if (!item.matched && may_be_absent) {
      linter_.diagnostics.add(
          {Severity::note,
           "lint-rule-unmatched",
           rule.from.written.place(),
           fmt::format("'{}' may match nothing, and matches no key of {}: nothing shows that it is right",
                       rule.from.text, all),
           {},
           "give a manifest that has such a key"});
      return;
    }
    if (!item.matched) {
      linter_.diagnostics.warning("lint-rule-unmatched", rule.from.written.place(),
                                  fmt::format("'{}' matches no key of {}", rule.from.text, all),
                                  "correct the pattern, give a manifest that has such a key, or leave the rule out");
      return;
    }
    for (const PatternToken& token : rule.from.tokens)
      if (token.kind == PatternToken::Kind::hole && token.table.empty() && !may_be_absent)
        for (const std::string& text : token.alternatives)
          if (!item.taken[token.text].contains(text) && (token.length > 0 || !taken_in_block(token, text)))
            report_alternative(rule, token, text, all);
  }
  // A hole of a 'within' stands in all rules of the block: that one of them takes a text is enough.
  bool taken_in_block(const PatternToken& token, const std::string& text) {
    for (const Rule& rule : set_.rules)
      for (const PatternToken& other : rule.from.tokens)
        if (other.length == 0 && other.text == token.text && other.alternatives == token.alternatives &&
            items_[place_of(rule)].taken[token.text].contains(text))
          return true;
    return false;
  }
  void report_alternative(const Rule& rule, const PatternToken& token, const std::string& text,
                          const std::string& all) {
    TextPlace place = rule.from.place_of(token);
    const std::string written = token.length == 0 ? "" : rule.from.own_text().substr(token.offset, token.length);
    const size_t colon = written.find(':');
    if (colon != std::string::npos)
      for (size_t at = colon + 1; at < written.size(); at = written.find_first_of("|}", at) + 1)
        if (written.compare(at, text.size() + 1, text + "|") == 0 ||
            written.compare(at, text.size() + 1, text + "}") == 0) {
          place = rule.from.written.place(token.offset + at, text.size());
          break;
        }
    linter_.diagnostics.warning("lint-alternative-unused", place,
                                fmt::format("'{{{}}}' is never '{}' in {}", token.text, text, all),
                                "leave it out, or give a manifest that has it");
  }

  // Entries of 'maps' that no hole took, of the tables that holes of source patterns ask.
  void report_entries() {
    std::map<std::string, std::set<std::string>> taken;
    for (const Rule& rule : set_.rules) {
      const auto item = items_.find(place_of(rule));
      if (!takes_keys(rule) || item == items_.end()) continue;
      for (const PatternToken& token : rule.from.tokens)
        if (!token.table.empty())
          taken[token.table].insert(item->second.taken[token.text].begin(), item->second.taken[token.text].end());
      for (const PatternToken& token : rule.to.tokens)
        if (!token.table.empty())
          taken[token.table].insert(item->second.taken[token.text].begin(), item->second.taken[token.text].end());
    }
    const lang::YamlNode* maps = linter_.root.find("maps");
    if (maps == nullptr) return;
    for (const auto& [name, table] : maps->entries)
      for (const auto& [key, value] : table.entries)
        if (const auto seen = taken.find(name.text);
            seen != taken.end() && !seen->second.empty() && !seen->second.contains(key.text))
          linter_.diagnostics.warning(
              "lint-alternative-unused", lang::place_of(*set_.text, key),
              fmt::format("no manifest has a key that takes '{}' from the table '{}'", key.text, name.text),
              "leave it out, or give a manifest that has it");
  }

  void report_ambiguity() {
    if (!set_.recognise) return;
    const Rules rules = Rules::of(std::shared_ptr<const Rules::Impl>(&linter_.impl, [](const auto*) {}));
    for (const auto& manifest : linter_.options.manifests) {
      std::string why;
      if (!manifest.name.empty() || !rules.recognise(*manifest.source, why)) continue;
      for (const Rules& other : linter_.options.others)
        if (other.file() != rules.file() && other.recognise(*manifest.source, why))
          linter_.diagnostics.warning(
              "lint-family-ambiguous", set_.recognise->written.place(),
              fmt::format("'{}' and '{}' both recognise {}", rules.family(), other.family(), manifest.source->path()),
              "make one of the conditions narrower",
              {fmt::format("{}: {}", to_string(Place(other.impl().set.recognise->written.place())),
                           other.impl().set.recognise->text)});
    }
  }

  Linter& linter_;
  const lang::RuleSet& set_;
  const lang::VariantValues empty_;
  std::map<At, Item> items_;
};

}  // namespace

std::vector<std::string> keys_of(const lang::RuleSet& set, const NamedSource& manifest, Diagnostics& diagnostics) {
  lang::RuleSet one;  // layout::KeyTable takes the sources in the rules' order
  one.text = set.text;
  one.tables = set.tables;
  one.normalise = set.normalise;
  for (const auto& source : set.sources)
    if (source.name == manifest.name) one.sources = {source};
  if (one.sources.empty()) return {};
  layout::KeyTable table(one, {manifest}, diagnostics);
  for (const auto& computed : set.computed)
    if (computed.source == manifest.name) one.computed.push_back(computed);
  Diagnostics ignored;  // planning says it
  const auto computed = plan::compute_keys(one, {manifest}, table, ignored);
  std::vector<std::string> keys;
  for (const auto& key : table.keys(0)) keys.emplace_back(key.key);
  return keys;
}

void lint_manifests(Linter& linter) { Manifests(linter).check(); }

namespace {

// The dtype and key of a tensor that a rule narrows; nullptr if no manifest has one.
const TensorInfo* narrowed(const Linter& linter, const Rule& rule, DType target) {
  const auto matchers = matchers_of(rule.from, empty_values(linter.set));
  lang::Captures ignored;
  for (const auto& manifest : linter.options.manifests) {
    if (manifest.name != rule.source) continue;
    for (const auto& tensor : manifest.source->manifest().tensors()) {
      if (tensor.unread != nullptr) continue;
      if ((!rule.cast && !is_floating(tensor.dtype)) || tensor.dtype == target ||
          size_bytes(tensor.dtype) < size_bytes(target))
        continue;
      Diagnostics none;
      for (const auto& spec : linter.set.sources)
        for (const auto& root : spec.roots)
          if (spec.name == rule.source && tensor.key.starts_with(root))
            for (const auto& matcher : matchers)
              if (matcher.match(std::string_view(tensor.key)
                                    .substr(root.empty() ? 0 : std::min(root.size() + 1, tensor.key.size())),
                                ignored))
                return &tensor;
    }
  }
  return nullptr;
}

}  // namespace

void lint_reverse(Linter& linter) {
  const auto note = [&](const TextPlace& place, std::string message, std::string hint = {}) {
    linter.diagnostics.add({Severity::note, "lint-irreversible", place, std::move(message), {}, std::move(hint)});
  };
  for (const auto& spelling : linter.set.normalise)
    note(spelling.place, fmt::format("backwards, '{}' comes back as '{}'", spelling.from.text, spelling.to.text));
  for (const auto& one : linter.set.computed)
    note(one.place,
         fmt::format("backwards, '{}' cannot be restored: it is computed, since {}", one.to.text, one.because));
  std::set<std::pair<int, int>> seen;
  for (const Rule& rule : linter.set.rules) {
    if (!seen.emplace(rule.place.line, rule.place.column).second) continue;
    if (rule.kind == Rule::Kind::drop && !rule.equal_to)
      note(rule.place,
           fmt::format("backwards, '{}' cannot be restored: it is dropped, since {}", rule.from.text, rule.because));
    if (rule.kind == Rule::Kind::fill)
      note(rule.place, fmt::format("backwards, '{}' is left out: nothing of the source is in it", rule.to.text));
    if (rule.kind != Rule::Kind::move) continue;
    for (const auto& step : rule.steps)
      if (step.kind == lang::LayoutStep::Kind::slice)
        note(step.place, fmt::format("backwards, '{}' comes back without what 'slice' leaves: it is dropped, since {}",
                                     rule.from.text, step.because));
    const auto target = rule.cast ? rule.cast : linter.set.dtype;
    if (!target) continue;
    if (const TensorInfo* tensor = narrowed(linter, rule, *target))
      note(rule.place, fmt::format("backwards, '{}' is not what it was: the cast from {} to {} rounds", tensor->key,
                                   name(tensor->dtype), name(*target)));
    else if (rule.cast && linter.options.manifests.empty())
      note(rule.place,
           fmt::format("backwards, the cast to {} loses what the source's dtype holds beyond it", name(*target)));
  }
}

}  // namespace remap::linting
