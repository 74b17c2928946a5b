#include "infer/stars.h"

#include <algorithm>
#include <map>

#include "infer/key_text.h"

namespace remap::infer {
namespace {

// A variable of a rule.
struct Use {
  size_t rule, variable;
  auto operator<=>(const Use&) const = default;
};

// A number that is given unchanged, once.
bool may_be_star(const PatternRule& rule, size_t variable) {
  if (!rule.variables[variable].index || rule.variables[variable].listed) return false;
  const auto is_it = [&](const KeyToken& token) {
    return token.kind == KeyToken::Kind::variable && token.variable == variable;
  };
  const auto is_moved = [&](const KeyToken& token) { return is_it(token) && token.add != 0; };
  const auto &from = rule.from.tokens(), &to = rule.to.tokens();
  return std::count_if(from.begin(), from.end(), is_it) == 1 && std::count_if(to.begin(), to.end(), is_it) == 1 &&
         std::none_of(to.begin(), to.end(), is_moved);
}

// How far a token that stands for one of some texts reaches in the key; `next`: the text that must follow.
size_t end_of_text(const std::vector<std::string>& texts, const std::string& next, const std::string& key, size_t at) {
  size_t end = at;
  for (const auto& text : texts)
    if (key.compare(at, text.size(), text) == 0 && key.compare(at + text.size(), next.size(), next) == 0)
      end = std::max(end, at + text.size());
  return end;
}

size_t end_of_digits(const std::string& key, size_t at) {
  while (at < key.size() && is_digit(key[at])) ++at;
  return at;
}

// What stands before the variable's digits in a key, and the number itself.
std::optional<std::pair<std::string, int64_t>> number_in(const PatternRule& rule, size_t variable,
                                                         const std::string& key) {
  using Kind = KeyToken::Kind;
  size_t at = 0;
  const auto& tokens = rule.from.tokens();
  for (size_t i = 0; i < tokens.size(); ++i) {
    const KeyToken& token = tokens[i];
    if (token.kind == Kind::text) {
      at += token.text.size();
      continue;
    }
    if (token.kind == Kind::rest) return std::nullopt;
    const bool number =
        token.kind == Kind::each || (token.kind == Kind::variable && rule.variables[token.variable].index);
    std::vector<std::string> texts;
    if (token.kind == Kind::part) texts = rule.operation.names;
    if (token.kind == Kind::variable && !number)
      for (const auto& [value, translated] : rule.variables[token.variable].values) texts.push_back(value);
    const bool text_follows = i + 1 < tokens.size() && tokens[i + 1].kind == Kind::text;
    const size_t end =
        number ? end_of_digits(key, at) : end_of_text(texts, text_follows ? tokens[i + 1].text : "", key, at);
    if (end == at) return std::nullopt;
    if (token.kind == Kind::variable && token.variable == variable)
      return std::pair(key.substr(0, at), std::stoll(key.substr(at, end - at)));
    at = end;
  }
  return std::nullopt;
}

std::vector<size_t> in_order(const KeyForm& form, const std::set<size_t>& stars) {
  std::vector<size_t> order;
  for (const auto& token : form.tokens())
    if (token.kind == KeyToken::Kind::variable && stars.contains(token.variable)) order.push_back(token.variable);
  return order;
}

// The candidates under whose prefixes indices are missing.
std::set<Use> with_gaps(const std::set<Use>& candidates, const std::vector<PatternRule>& rules, const Problem& problem,
                        const Roots& roots) {
  struct Counted {
    std::set<int64_t> indices;
    std::set<Use> places;
  };
  std::map<std::pair<uint32_t, std::string>, Counted> by_prefix;
  for (const Use& place : candidates)
    for (const Ref ref : rules[place.rule].refs) {
      const auto found = number_in(rules[place.rule], place.variable, key_below_root(problem, roots, ref));
      if (!found) continue;
      Counted& counted = by_prefix[{ref.source, found->first}];
      counted.indices.insert(found->second);
      counted.places.insert(place);
    }
  std::set<Use> bad;
  for (const auto& [prefix, counted] : by_prefix)
    if (*counted.indices.rbegin() + 1 != static_cast<int64_t>(counted.indices.size()))
      bad.insert(counted.places.begin(), counted.places.end());
  return bad;
}

}  // namespace

std::vector<std::set<size_t>> stars_of(const std::vector<PatternRule>& rules, const Problem& problem,
                                       const Roots& roots) {
  std::set<Use> candidates;
  for (size_t r = 0; r < rules.size(); ++r)
    for (size_t v = 0; v < rules[r].variables.size(); ++v)
      if (rules[r].kind == PatternRule::Kind::move && may_be_star(rules[r], v)) candidates.insert({r, v});
  // What leaves may leave gaps for others.
  for (auto bad = with_gaps(candidates, rules, problem, roots); !bad.empty();
       bad = with_gaps(candidates, rules, problem, roots))
    for (const Use& place : bad) candidates.erase(place);
  std::vector<std::set<size_t>> stars(rules.size());
  for (const Use& place : candidates) stars[place.rule].insert(place.variable);
  for (size_t r = 0; r < rules.size(); ++r)
    if (in_order(rules[r].from, stars[r]) != in_order(rules[r].to, stars[r])) stars[r].clear();
  return stars;
}

}  // namespace remap::infer
