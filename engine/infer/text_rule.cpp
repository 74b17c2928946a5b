#include "infer/text_rule.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <re2/re2.h>

#include "base/text.h"
#include "infer/key_text.h"
#include "infer/operation_text.h"
#include "infer/yaml_text.h"

namespace remap::infer {
namespace {

using Token = KeyToken::Kind;

// Names of one rule: each once.
class OwnNames {
 public:
  // The first that is free.
  std::string take(const std::vector<std::string>& wanted) {
    for (const auto& name : wanted)
      if (taken_.insert(name).second) return name;
    for (int i = 2;; ++i)
      if (std::string name = wanted.front() + std::to_string(i); taken_.insert(name).second) return name;
  }

 private:
  std::set<std::string> taken_;
};

bool is_moved(const KeyForm& to, size_t variable) {
  const auto& tokens = to.tokens();
  return std::any_of(tokens.begin(), tokens.end(), [&](const KeyToken& token) {
    return token.kind == Token::variable && token.variable == variable && token.add != 0;
  });
}

std::string last_word(const std::string& text) {
  auto segments = segments_of(text);
  while (!segments.empty() && segments.back().empty()) segments.pop_back();
  return segments.empty() ? "" : segments.back();
}

// Of an index that takes its own numbers only, "2..5"; "": there are few, or some between are missing.
std::string range_of(const Variable& variable) {
  constexpr size_t kFew = 3;
  if (!variable.index || !variable.listed || variable.values.size() < kFew) return "";
  std::set<int64_t> numbers;
  for (const auto& [value, translated] : variable.values) numbers.insert(std::stoll(value));
  const auto count = static_cast<int64_t>(numbers.size());
  return *numbers.rbegin() - *numbers.begin() + 1 == count ? fmt::format("{}..{}", *numbers.begin(), *numbers.rbegin())
                                                           : "";
}

// Whether a number says more as the few values that it has than as any number: "conv{i:1|2}".
bool is_listed(const Variable& variable, const std::string& before, bool moved) {
  constexpr size_t kFew = 4;
  const bool in_a_word = !before.empty() && !is_separator(before.back()) && before.back() != '_';
  return !variable.index || variable.listed || (in_a_word && variable.values.size() <= kFew && !moved);
}

std::string first_key(const PatternRule& rule, const Problem& problem, const Roots& roots) {
  std::string first;
  for (const Ref ref : rule.refs) {
    const std::string key = key_below_root(problem, roots, ref);
    if (first.empty() || natural_less(key, first)) first = key;
  }
  return first;
}

std::string drop_reason(const PatternRule& rule, const Problem& problem, const Findings& findings, const Roots& roots) {
  for (const auto& twin : findings.twins)
    if (twin.ref == rule.refs[0]) {
      const std::string of = quoted(key_below_root(problem, roots, twin.of));
      return can_be_written(key_below_root(problem, roots, twin.of))
                 ? fmt::format(", equal_to: {}, because: it holds the same values again", of)
                 : fmt::format(
                       ", because: {}",
                       quoted(fmt::format("open: it holds the values of {} again, which no rule can name", of)));
    }
  for (const Ref ref : rule.refs)
    if (const auto& unread = problem.info(ref).unread)
      return fmt::format(", because: {}", quoted(fmt::format("open: it is not read: {}", unread->why)));
  return ", because: \"open: nothing of it was found in the target\"";
}

// What the keys of one rule are written with.
class KeyWriter {
 public:
  KeyWriter(const PatternRule& rule, const std::set<size_t>& stars, SharedNames& shared)
      : rule_(rule), operation_(rule.operation), stars_(stars), shared_(shared) {
    using Kind = Relation::Kind;
    const Kind kind = operation_.kind;
    const bool named = !operation_.names.empty(), twice = kind == Kind::split_each_into || kind == Kind::stack_concat,
               files = kind == Kind::replicated || (kind == Kind::concat && !named);
    if (kind == Kind::split_into || twice || (named && (kind == Kind::concat || kind == Kind::stack)))
      part_ = names_.take({"part"});
    if (files || kind == Kind::split_each || twice || (kind == Kind::stack && !named))
      each_ = names_.take({files ? "rank" : "e"});
  }
  const std::string& part() const { return part_; }
  const std::string& each() const { return each_; }

  std::string from() {
    const std::string range = operation_.last < 0 ? "" : fmt::format(":{}..{}", operation_.first, operation_.last);
    std::string text, before;
    for (const auto& token : rule_.from.tokens()) {
      if (token.kind == Token::text) {
        text += before = token.text;
      } else if (token.kind == Token::rest) {
        text += "**";
      } else if (token.kind == Token::each) {
        text += "{" + each_ + range + "}";
      } else if (token.kind == Token::part) {
        text += "{" + part_ + ":" + join(operation_.names, "|") + "}";
      } else if (rule_.kind == PatternRule::Kind::drop && !rule_.variables[token.variable].listed) {
        text += "{" + name(token.variable) + ":int}";
      } else if (stars_.contains(token.variable)) {
        text += "*";
      } else {
        text += capture(token.variable, before);
        before.clear();
      }
    }
    return text;
  }

  // After from().
  std::string to() const {
    const bool cuts_numbered =
        operation_.kind == Relation::Kind::split_each || operation_.kind == Relation::Kind::split_each_into;
    return rule_.to.render([&](const KeyToken& token) -> std::string {
      if (token.kind == Token::rest) return "**";
      if (token.kind == Token::part) return "{" + part_ + "}";
      if (token.kind == Token::each)
        return "{" + each_ + (cuts_numbered && operation_.first > 0 ? fmt::format("+{}", operation_.first) : "") + "}";
      if (stars_.contains(token.variable)) return "*";
      if (const auto it = literals_.find(token.variable); it != literals_.end())
        return token.add == 0 ? it->second : std::to_string(std::stoll(it->second) + token.add);
      return "{" + of_variable_.at(token.variable) + (token.add == 0 ? "" : fmt::format("{:+}", token.add)) + "}";
    });
  }

 private:
  const std::string& name(size_t variable) {
    const bool index = rule_.variables[variable].index;
    return of_variable_[variable] = names_.take(index ? std::vector<std::string>{"i", "j", "k"}
                                                      : std::vector<std::string>{"p", "n", "m", "t", "w"});
  }
  // `before`: the text in front of it.
  std::string capture(size_t number, const std::string& before) {
    const Variable& variable = rule_.variables[number];
    const bool moved = is_moved(rule_.to, number);
    const std::string own = name(number);
    if (const std::string range = range_of(variable); !range.empty()) return "{" + own + ":" + range + "}";
    if ((variable.index && !variable.listed && moved) || !is_listed(variable, before, moved))
      return "{" + own + ":int}";
    if (variable.translates()) return "{" + own + ":" + shared_.table(variable, last_word(before)) + "}";
    if (variable.values.size() == 1) return literals_[number] = variable.values[0].first;
    std::vector<std::string> texts;
    for (const auto& [value, translated] : variable.values) texts.push_back(value);
    return "{" + own + ":" + join(texts, "|") + "}";
  }

  const PatternRule& rule_;
  const Operation& operation_;
  const std::set<size_t>& stars_;
  SharedNames& shared_;
  OwnNames names_;
  std::string part_, each_;
  std::map<size_t, std::string> of_variable_, literals_;
};

std::string except_text(const KeyForm& form) {
  int words = 0;
  return form.render([&](const KeyToken& token) -> std::string {
    if (token.kind == Token::rest) return "**";
    if (token.kind != Token::word) return "*";
    return fmt::format("{{w{}}}", words++ == 0 ? "" : std::to_string(words));
  });
}

// A key that no pattern says, as a regular expression; "": patterns say it.
std::string regex_text(const KeyForm& form) {
  std::string text = "re:";
  bool needed = false;
  for (const auto& token : form.tokens()) {
    needed |= token.kind == Token::text && !can_be_written(token.text);
    text += token.kind == Token::text ? RE2::QuoteMeta(token.text) : token.kind == Token::rest ? "(?s:.+)" : "[0-9]+";
  }
  return needed ? text : "";
}

}  // namespace

TextRule text_rule(const PatternRule& rule, const std::set<size_t>& stars, const Problem& problem,
                   const Findings& findings, const Roots& roots, SharedNames& shared) {
  const bool drop = rule.kind == PatternRule::Kind::drop;
  TextRule text;
  text.kind = drop ? TextRule::Kind::drop : TextRule::Kind::move;
  text.source = rule.source;
  text.checks = rule.checks;
  text.open = rule.open;
  text.relations = rule.relations;
  text.order = first_key(rule, problem, roots);
  if (drop) text.from = regex_text(rule.from);
  if (text.from.empty()) {
    KeyWriter keys(rule, stars, shared);
    text.from = keys.from();
    text.to = keys.to();
    if (!drop) text.rest = operation_text(rule.operation, keys.part(), keys.each(), shared);
  }
  for (const auto& form : rule.except) text.except.push_back(except_text(form));
  if (drop) text.rest = drop_reason(rule, problem, findings, roots);
  return text;
}

TextRule fill_rule(const Problem& problem, const Findings::Fill& fill) {
  const TensorInfo& info = problem.info(fill.target);
  TextRule rule;
  rule.kind = TextRule::Kind::fill;
  rule.to = info.key;
  rule.rest = fmt::format(", fill: {}, shape: {}{}", fill.value, list_of(info.shape),
                          is_floating(info.dtype) ? "" : fmt::format(", cast: {}", long_name(info.dtype)));
  rule.checks = {"all its elements are the same: a constant, or not trained"};
  rule.made = fill.target;
  return rule;
}

TextRule copy_rule(const Problem& problem, const Findings::Copy& copy) {
  TextRule rule;
  rule.kind = TextRule::Kind::copy;
  rule.from = problem.info(copy.of).key;
  rule.to = problem.info(copy.target).key;
  rule.made = copy.target;
  return rule;
}

}  // namespace remap::infer
