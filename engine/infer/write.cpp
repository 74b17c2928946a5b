#include "infer/write.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include <fmt/format.h>
#include <re2/re2.h>

#include "base/text.h"
#include "infer/keys.h"
#include "infer/values.h"
#include "tensor/source_formats.h"

namespace remap::infer {
namespace {

// A rule whose keys are texts of the rule language.
struct TextRule {
  std::string kind;  // "move", "drop", "fill", "copy"
  uint32_t source = 0;
  std::string from, to;
  std::string rest;  // further fields: ", split: …"
  std::vector<std::string> except, checks;
  std::string order;  // where it stands: by its source key
  std::vector<std::string> open = {};
  Written::Origin origin = {};
};

std::string quoted(const std::string& text) {
  const bool plain = !text.empty() &&
                     std::all_of(text.begin(), text.end(),
                                 [](char c) {
                                   return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                          c == '_' || c == '.' || c == '/' || c == '-' || c == '*' || c == '+';
                                 }) &&
                     text[0] != '*' && text[0] != '-' && text[0] != '.' && text[0] != '+' &&
                     text.find("**") == std::string::npos;
  const bool word = text == "true" || text == "false" || text == "null" || text == "yes" || text == "no" ||
                    text == "on" || text == "off" || text == "~";
  if (plain && !word) return text;
  std::string result = "\"";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      continue;
    }
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

std::string list_of(const std::vector<int64_t>& numbers) {
  std::string text;
  for (const int64_t n : numbers) text += (text.empty() ? "" : ", ") + std::to_string(n);
  return "[" + text + "]";
}
std::string list_of(const std::vector<std::string>& texts) { return "[" + join(texts, ", ") + "]"; }

class Writer {
 public:
  Writer(const Problem& problem, const Findings& findings, const std::vector<std::string>& roots,
         const InferOptions& options)
      : problem_(problem), findings_(findings), roots_(roots), options_(options) {}

  Written write(std::vector<PatternRule> rules, std::optional<DType> dtype, const std::vector<std::string>& notes) {
    count_stars(rules);
    std::vector<TextRule> texts;
    for (const auto& rule : rules) texts.push_back(text_rule(rule));
    for (const auto& fill : findings_.fills) texts.push_back(fill_rule(fill));
    for (const auto& copy : findings_.copies)
      texts.push_back({"copy",
                       0,
                       problem_.info(copy.of).key,
                       problem_.info(copy.target).key,
                       "",
                       {},
                       {},
                       "\x7f",
                       {},
                       {{}, copy.target}});
    std::stable_sort(texts.begin(), texts.end(), [](const TextRule& a, const TextRule& b) {
      if ((a.kind == "drop") != (b.kind == "drop")) return b.kind == "drop";
      return std::tie(a.source, a.order) < std::tie(b.source, b.order);
    });
    Written written;
    for (const auto& text : texts) written.marked += !text.checks.empty();
    written.rules = texts.size();
    const std::string body = blocks(std::move(texts), written.origins);
    written.text = header(dtype) + body;
    for (const auto& note : notes) written.text += "  " + note + "\n";
    return written;
  }

 private:
  // ------------------------------------------------------------ indices

  // An index may be written * if the indices under its prefix, over all rules that write * there, are 0 … n-1.
  void count_stars(const std::vector<PatternRule>& rules) {
    using Place = std::pair<size_t, size_t>;  // rule, variable
    std::set<Place> candidates;
    for (size_t r = 0; r < rules.size(); ++r)
      if (rules[r].kind == PatternRule::Kind::move)
        for (size_t v = 0; v < rules[r].variables.size(); ++v)
          if (may_be_star(rules[r], v)) candidates.insert({r, v});
    while (true) {
      std::map<std::pair<uint32_t, std::string>, std::pair<std::set<int64_t>, std::set<Place>>> seen;
      for (const auto& place : candidates)
        for (const Ref ref : rules[place.first].refs) {
          const auto at = prefix_at(rules[place.first], place.second, key_of(ref));
          if (!at) continue;
          auto& entry = seen[{ref.source, at->first}];
          entry.first.insert(at->second);
          entry.second.insert(place);
        }
      std::set<Place> bad;
      for (const auto& [prefix, entry] : seen)
        if (*entry.first.rbegin() + 1 != static_cast<int64_t>(entry.first.size()))
          bad.insert(entry.second.begin(), entry.second.end());
      if (bad.empty()) break;
      for (const auto& place : bad) candidates.erase(place);
    }
    for (size_t r = 0; r < rules.size(); ++r) {
      std::set<size_t> stars;
      for (size_t v = 0; v < rules[r].variables.size(); ++v)
        if (candidates.contains({r, v})) stars.insert(v);
      // The n-th * of one side is the n-th of the other.
      if (in_order(rules[r].from, stars) != in_order(rules[r].to, stars)) stars.clear();
      stars_.push_back(std::move(stars));
    }
    current_ = 0;
  }
  static std::vector<size_t> in_order(const std::string& pattern, const std::set<size_t>& stars) {
    std::vector<size_t> order;
    for (const auto& token : tokens_of(pattern))
      if (token.kind == PatternToken::Kind::variable && stars.contains(token.variable)) order.push_back(token.variable);
    return order;
  }
  // A whole word between separators, counted in the source and given unchanged, once.
  static bool may_be_star(const PatternRule& rule, size_t variable) {
    const Variable& v = rule.variables[variable];
    if (!v.index || v.listed) return false;
    const auto from = tokens_of(rule.from), to = tokens_of(rule.to);
    const auto count = [&](const auto& tokens) {
      return std::count_if(tokens.begin(), tokens.end(), [&](const auto& t) {
        return t.kind == PatternToken::Kind::variable && t.variable == variable && t.add == 0;
      });
    };
    return count(from) == 1 && count(to) == 1 && std::none_of(to.begin(), to.end(), [&](const auto& t) {
             return t.kind == PatternToken::Kind::variable && t.variable == variable && t.add != 0;
           });
  }
  std::string key_of(Ref ref) const {
    const std::string &key = problem_.key(ref), &root = roots_[ref.source];
    return root.empty() ? key : key.substr(root.size() + 1);
  }
  // What stands before the variable's digits in a key, and the number itself.
  static std::optional<std::pair<std::string, int64_t>> prefix_at(const PatternRule& rule, size_t variable,
                                                                  const std::string& key) {
    size_t at = 0;
    const auto tokens = tokens_of(rule.from);
    for (size_t i = 0; i < tokens.size(); ++i) {
      using Kind = PatternToken::Kind;
      const auto& token = tokens[i];
      if (token.kind == Kind::text) {
        at += token.text.size();
        continue;
      }
      if (token.kind == Kind::rest) return std::nullopt;
      size_t end = at;
      const bool number =
          token.kind == Kind::each || (token.kind == Kind::variable && rule.variables[token.variable].index);
      if (number) {
        while (end < key.size() && key[end] >= '0' && key[end] <= '9') ++end;
      } else {
        const auto try_text = [&](const std::string& text) {
          const std::string next = i + 1 < tokens.size() && tokens[i + 1].kind == Kind::text ? tokens[i + 1].text : "";
          if (key.compare(at, text.size(), text) == 0 && key.compare(at + text.size(), next.size(), next) == 0)
            end = std::max(end, at + text.size());
        };
        if (token.kind == Kind::part)
          for (const auto& name : rule.operation.names) try_text(name);
        else
          for (const auto& value : rule.variables[token.variable].values) try_text(value.first);
      }
      if (end == at) return std::nullopt;
      if (token.kind == Kind::variable && token.variable == variable)
        return std::pair(key.substr(0, at), std::stoll(key.substr(at, end - at)));
      at = end;
    }
    return std::nullopt;
  }

  // ------------------------------------------------------------ rules

  std::string unique_name(const std::vector<std::string>& wanted, std::set<std::string>& taken) const {
    for (const auto& name : wanted)
      if (taken.insert(name).second) return name;
    for (int i = 2;; ++i) {
      const std::string name = wanted.front() + std::to_string(i);
      if (taken.insert(name).second) return name;
    }
  }

  std::string table_name(const Variable& variable, const std::string& near) {
    for (const auto& [name, values] : tables_)
      if (values == variable.values) return name;
    const auto is = [&](std::initializer_list<std::string_view> words) {
      return std::any_of(variable.values.begin(), variable.values.end(), [&](const auto& v) {
        return std::any_of(words.begin(), words.end(),
                           [&](std::string_view w) { return v.first == w || v.second == w; });
      });
    };
    std::string name;
    if (is({"q", "query", "q_proj", "k", "key", "wq"}))
      name = "attention";
    else if (is({"up", "up_proj", "w1", "w2", "w3", "gate_proj", "down_proj", "fc1", "fc2"}))
      name = "mlp";
    else if (std::any_of(variable.values.begin(), variable.values.end(), [](const auto& v) {
               return v.first.find("norm") != std::string::npos || v.second.find("norm") != std::string::npos;
             }))
      name = "norms";
    else
      for (const char c : near)
        if ((c >= 'a' && c <= 'z') || c == '_') name += c;
    while (name.ends_with('_')) name.pop_back();
    while (name.starts_with('_')) name.erase(0, 1);
    if (name.empty()) name = "names";
    std::string unique = name;
    for (int i = 2; std::any_of(tables_.begin(), tables_.end(), [&](const auto& t) { return t.first == unique; }); ++i)
      unique = name + std::to_string(i);
    tables_.emplace_back(unique, variable.values);
    return unique;
  }

  TextRule text_rule(const PatternRule& rule) {
    const std::set<size_t>& stars = stars_[current_++];
    TextRule text;
    text.kind = rule.kind == PatternRule::Kind::drop ? "drop" : "move";
    text.source = rule.source;
    text.checks = rule.checks;
    std::set<std::string> taken;
    std::map<size_t, std::string> names;
    const Operation& operation = rule.operation;
    using Kind = Relation::Kind;
    const bool numbered =
        operation.kind == Kind::replicated || (operation.kind == Kind::concat && operation.names.empty());
    const bool named_stack = operation.kind == Kind::stack && !operation.names.empty();
    const bool parts = operation.kind == Kind::split_into || operation.kind == Kind::split_each_into ||
                       (operation.kind == Kind::concat && !numbered) || operation.kind == Kind::stack_concat ||
                       named_stack;
    const bool each = numbered || operation.kind == Kind::split_each || operation.kind == Kind::split_each_into ||
                      (operation.kind == Kind::stack && !named_stack) || operation.kind == Kind::stack_concat;
    const std::string range = operation.last < 0 ? "" : fmt::format(":{}..{}", operation.first, operation.last);
    const std::string offset =
        (operation.kind == Kind::split_each || operation.kind == Kind::split_each_into) && operation.first > 0
            ? fmt::format("+{}", operation.first)
            : "";
    text.open = rule.open;
    text.origin.relations = rule.relations;
    const auto all_tokens = tokens_of(rule.from);
    // A key that no pattern says: as an expression.
    const bool as_regex = rule.kind == PatternRule::Kind::drop &&
                          std::any_of(all_tokens.begin(), all_tokens.end(), [](const PatternToken& t) {
                            return t.kind == PatternToken::Kind::text && !can_be_written(t.text);
                          });
    if (as_regex) {
      text.from = "re:";
      for (const auto& token : all_tokens)
        text.from += token.kind == PatternToken::Kind::text   ? RE2::QuoteMeta(token.text)
                     : token.kind == PatternToken::Kind::rest ? ".+"
                                                              : "[0-9]+";
      text.order = order_of(rule);
      text.rest = drop_reason(rule);
      return text;
    }
    const std::string part_name = parts ? unique_name({"part"}, taken) : "",
                      each_name = each ? unique_name({numbered ? "rank" : "e"}, taken) : "";
    std::string before;
    for (const auto& token : tokens_of(rule.from)) {
      if (token.kind == PatternToken::Kind::text) {
        text.from += token.text;
        before = token.text;
      } else if (token.kind == PatternToken::Kind::rest) {
        text.from += "**";
      } else if (token.kind == PatternToken::Kind::each) {
        text.from += "{" + each_name + range + "}";
      } else if (token.kind == PatternToken::Kind::part) {
        text.from += "{" + part_name + ":" + join(operation.names, "|") + "}";
      } else if (rule.kind == PatternRule::Kind::drop && !rule.variables[token.variable].listed) {
        text.from += "{" + (names[token.variable] = unique_name({"i", "j", "k"}, taken)) + ":int}";
      } else if (stars.contains(token.variable)) {
        text.from += "*";
      } else {
        const Variable& variable = rule.variables[token.variable];
        const bool listed = !variable.index || variable.listed ||
                            (before.size() > 0 && !is_separator(before.back()) && before.back() != '_' &&
                             variable.values.size() <= 4 && !moved(rule.to, token.variable));
        const std::string& name = names[token.variable] =
            variable.index ? unique_name({"i", "j", "k"}, taken) : unique_name({"p", "n", "m", "t", "w"}, taken);
        if (const std::string numbers = range_of(variable); !numbers.empty())
          text.from += "{" + name + ":" + numbers + "}";
        else if (variable.index && !variable.listed && moved(rule.to, token.variable))
          text.from += "{" + name + ":int}";
        else if (!listed)
          text.from += "{" + name + ":int}";
        else if (variable.translates())
          text.from += "{" + name + ":" + table_name(variable, last_word(before)) + "}";
        else if (variable.values.size() == 1)
          text.from += variable.values[0].first, names.erase(token.variable),
              literals_[{&rule, token.variable}] = variable.values[0].first;
        else {
          std::vector<std::string> texts;
          for (const auto& [value, ignored] : variable.values) texts.push_back(value);
          text.from += "{" + name + ":" + join(texts, "|") + "}";
        }
        before.clear();
      }
    }
    for (const auto& token : tokens_of(rule.to)) {
      if (token.kind == PatternToken::Kind::text)
        text.to += token.text;
      else if (token.kind == PatternToken::Kind::rest)
        text.to += "**";
      else if (token.kind == PatternToken::Kind::each)
        text.to += "{" + each_name + offset + "}";
      else if (token.kind == PatternToken::Kind::part)
        text.to += "{" + part_name + "}";
      else if (stars.contains(token.variable))
        text.to += "*";
      else if (const auto it = literals_.find({&rule, token.variable}); it != literals_.end())
        text.to += token.add == 0 ? it->second : std::to_string(std::stoll(it->second) + token.add);
      else
        text.to += "{" + names[token.variable] + (token.add == 0 ? "" : fmt::format("{:+}", token.add)) + "}";
    }
    for (const auto& pattern : rule.except) {
      std::string one;
      int word = 0;
      for (const auto& token : tokens_of(pattern)) {
        using Token = PatternToken::Kind;
        one += token.kind == Token::text   ? token.text
               : token.kind == Token::rest ? "**"
               : token.kind == Token::part ? fmt::format("{{w{}}}", word++ == 0 ? "" : std::to_string(word))
                                           : "*";
      }
      text.except.push_back(one);
    }
    text.order = order_of(rule);
    text.rest = operation_text(rule, part_name, each_name);
    if (rule.kind == PatternRule::Kind::drop) text.rest = drop_reason(rule);
    return text;
  }

  // Of an index that takes its own numbers only, "2..5"; "": there are few, or some between are missing.
  static std::string range_of(const Variable& variable) {
    constexpr size_t kFew = 3;
    if (!variable.index || !variable.listed || variable.values.size() < kFew) return "";
    std::set<int64_t> numbers;
    for (const auto& [value, ignored] : variable.values) numbers.insert(std::stoll(value));
    const auto count = static_cast<int64_t>(numbers.size());
    return *numbers.rbegin() - *numbers.begin() + 1 == count
               ? fmt::format("{}..{}", *numbers.begin(), *numbers.rbegin())
               : "";
  }
  static bool moved(const std::string& to, size_t variable) {
    const auto tokens = tokens_of(to);
    return std::any_of(tokens.begin(), tokens.end(), [&](const auto& t) {
      return t.kind == PatternToken::Kind::variable && t.variable == variable && t.add != 0;
    });
  }
  static std::string last_word(const std::string& text) {
    auto segments = segments_of(text);
    while (!segments.empty() && segments.back().empty()) segments.pop_back();
    return segments.empty() ? "" : segments.back();
  }
  std::string order_of(const PatternRule& rule) const {
    std::string first;
    for (const Ref ref : rule.refs) {
      const std::string key = key_of(ref);
      if (first.empty() || natural_less(key, first)) first = key;
    }
    return first;
  }

  std::string drop_reason(const PatternRule& rule) {
    for (const auto& twin : findings_.twins)
      if (twin.ref == rule.refs[0])
        return fmt::format(", equal_to: {}, because: it holds the same values again", quoted(key_of(twin.of)));
    for (const Ref ref : rule.refs)
      if (const auto& unread = problem_.info(ref).unread)
        return fmt::format(", because: {}", quoted(fmt::format("open: it is not read: {}", unread->why)));
    return ", because: \"open: nothing in the target holds these values\"";
  }

  std::string dim(const std::string& role, int64_t size) {
    for (const auto& [name, known, of] : dims_)
      if (known == size && of == role) return name;
    std::string name = role;
    for (int i = 2; std::any_of(dims_.begin(), dims_.end(), [&](const auto& d) { return std::get<0>(d) == name; }); ++i)
      name = role + "_" + std::to_string(i);
    dims_.emplace_back(name, size, role);
    return name;
  }

  // The layout's fields: transpose, permute, reshape, or steps with the shape that they need.
  std::string layout_text(const Operation& operation) {
    const Layout& layout = operation.layout;
    if (layout.empty()) return "";
    const auto order = [](const std::vector<int>& axes) {
      return list_of(std::vector<int64_t>(axes.begin(), axes.end()));
    };
    if (layout.regroup_axis < 0 && layout.reshape.empty())
      return layout.order == std::vector<int>{1, 0} ? ", transpose: true" : ", permute: " + order(layout.order);
    if (layout.regroup_axis < 0) {
      if (layout.order.empty()) return ", reshape: " + list_of(layout.reshape);
      const std::string reshape = "{reshape: " + list_of(layout.reshape) + "}",
                        permute = "{permute: " + order(layout.order) + "}";
      return ", steps: [" + (layout.reshape_first ? reshape + ", " + permute : permute + ", " + reshape) + "]";
    }
    // One axis as [blocks, rows, columns], the last two exchanged: the sizes by name, so that the rule holds for other
    // sizes too.
    const auto axis = static_cast<size_t>(layout.regroup_axis);
    const bool rows_small = layout.rows <= layout.columns;
    const int64_t small = std::min(layout.rows, layout.columns);
    const Shape own = part_shape(operation);
    std::vector<std::string> names, stated;
    for (size_t d = 0; d < own.size(); ++d) names.push_back(dim(d == axis ? "rotated" : "width", own[d]));
    for (size_t d = 0; d < own.size(); ++d) {
      const bool cut = operation.kind == Relation::Kind::split_into && static_cast<int>(d) == operation.axis;
      if (!cut)
        stated.push_back(names[d]);
      else if (operation.sizes.empty())
        stated.push_back(fmt::format("{}*{}", operation.names.size(), names[d]));
      else
        stated.push_back(fmt::format("{} + {}", names[d], operation.shape[d] - own[d]));
    }
    std::string blocks = "1";
    if (layout.blocks > 1) {
      blocks = heads(layout.blocks);
    }
    const std::string large = names[axis] + (layout.blocks > 1 ? "/" + blocks : "") + "/" + std::to_string(small);
    std::vector<std::string> reshape, back;
    std::vector<int64_t> permute;
    for (size_t d = 0; d < own.size(); ++d) {
      if (d != axis) {
        reshape.push_back(names[d]);
        continue;
      }
      if (layout.blocks > 1) reshape.push_back(blocks);
      reshape.push_back(rows_small ? std::to_string(small) : large);
      reshape.push_back(rows_small ? large : std::to_string(small));
    }
    std::vector<std::vector<int64_t>> groups;
    int64_t next = 0;
    for (size_t d = 0; d < own.size(); ++d) {
      if (d != axis) {
        groups.push_back({next++});
        continue;
      }
      std::vector<int64_t> group;
      if (layout.blocks > 1) group.push_back(next++);
      group.push_back(next + 1);
      group.push_back(next);
      next += 2;
      groups.push_back(group);
    }
    for (size_t d = 0; d < own.size(); ++d) {
      const size_t from = layout.order.empty() ? d : static_cast<size_t>(layout.order[d]);
      permute.insert(permute.end(), groups[from].begin(), groups[from].end());
      back.push_back(names[from]);
    }
    return fmt::format(", shape: {}, steps: [{{reshape: {}}}, {{permute: {}}}, {{reshape: {}}}]", list_of(stated),
                       list_of(reshape), list_of(permute), list_of(back));
  }

  // The number of groups, by a name.
  std::string heads(int64_t groups) {
    for (const auto& [name, value] : lets_)
      if (value == groups) return name;
    const std::string name = lets_.empty() ? "heads" : "heads_" + std::to_string(lets_.size() + 1);
    lets_.emplace_back(name, groups);
    return name;
  }

  // Parts that take turns along an axis: cut or joined as an axis of their own. Or tensors that are cut twice, with
  // turns or without.
  std::string turns_text(const Operation& o, const std::string& part, const std::string& each) {
    using Kind = Relation::Kind;
    const bool twice = o.kind == Kind::split_each_into, cutting = o.kind == Kind::split_into || twice,
               named = o.layout.reshape.empty();
    const size_t axis = static_cast<size_t>(o.kind == Kind::stack_concat || twice ? o.inner_axis : o.axis);
    const Shape shape(o.shape.begin() + (twice && !o.shape.empty() ? 1 : 0),
                      o.shape.end());        // of one of those that are cut one by one
    std::vector<std::string> source, steps;  // the axes of the source tensor; what becomes of them
    for (size_t d = 0; d < shape.size(); ++d) source.push_back("_");
    const Layout& layout = o.layout;
    std::vector<std::string> change;
    if (!layout.reshape.empty() && layout.reshape_first) change.push_back("{reshape: " + list_of(layout.reshape) + "}");
    if (!layout.order.empty())
      change.push_back(layout.order == std::vector<int>{1, 0}
                           ? "{transpose: true}"
                           : "{permute: " + list_of(std::vector<int64_t>(layout.order.begin(), layout.order.end())) +
                                 "}");
    if (!layout.reshape.empty() && !layout.reshape_first)
      change.push_back("{reshape: " + list_of(layout.reshape) + "}");
    // Where each axis stands once the layout has changed; a part's own size is not said.
    const auto from_axis = [&](size_t d) {
      return layout.order.empty() || !named ? d : static_cast<size_t>(layout.order[d]);
    };
    const Shape joined = cutting || named ? shape : shape_after(layout, shape);
    std::vector<std::string> axes(joined.size());
    for (size_t d = 0; d < joined.size(); ++d) {
      const size_t own = cutting ? d : from_axis(d);
      const bool apart = d == axis;
      if (cutting || named) {
        axes[d] = apart || o.groups == 1 ? "_" : dim("width", shape[own]);
        if (!apart) source[own] = axes[d];
      } else {
        axes[d] = apart ? "_" : std::to_string(joined[d]);
      }
    }
    const auto with = [&](const std::vector<std::string>& middle) {
      std::vector<std::string> list(axes.begin(), axes.begin() + static_cast<std::ptrdiff_t>(axis));
      list.insert(list.end(), middle.begin(), middle.end());
      list.insert(list.end(), axes.begin() + static_cast<std::ptrdiff_t>(axis) + 1, axes.end());
      return "{reshape: " + list_of(list) + "}";
    };
    std::vector<std::string> names;
    if (cutting) {
      int64_t unit = 0, count = static_cast<int64_t>(o.names.size());
      for (const int64_t size : o.sizes) unit = std::gcd(unit, size);
      if (unit > 0) count = std::accumulate(o.sizes.begin(), o.sizes.end(), int64_t{0}) / unit;
      for (size_t i = 0; i < o.names.size(); ++i)
        names.push_back(quoted(o.names[i]) + (unit > 0 ? fmt::format(": {}", o.sizes[i] / unit) : ""));
      if (twice) steps.push_back(fmt::format("{{split: {{axis: {}, each: {}}}}}", o.axis, each));
      if (o.groups > 1)
        steps.push_back(with({heads(o.groups), std::to_string(count), "_"}));
      else
        for (size_t i = 0; i < o.sizes.size(); ++i) names[i] = quoted(o.names[i]) + fmt::format(": {}", o.sizes[i]);
      steps.push_back(fmt::format("{{split: {{axis: {}, into: {{{}: {}}}}}}}", axis + (o.groups > 1 ? 1 : 0), part,
                                  unit > 0 ? "{" + join(names, ", ") + "}" : list_of(names)));
      if (o.groups > 1) steps.push_back(with({"_"}));
      steps.insert(steps.end(), change.begin(), change.end());
    } else {
      for (const auto& name : o.names) names.push_back(quoted(name));
      steps = change;
      steps.push_back(with({heads(o.groups), "_"}));
      steps.push_back(o.names.empty()
                          ? fmt::format("{{concat: {{axis: {}, each: {}}}}}", axis + 1, each)
                          : fmt::format("{{concat: {{axis: {}, of: {{{}: {}}}}}}}", axis + 1, part, list_of(names)));
      if (o.kind == Kind::stack_concat) {
        steps.push_back(fmt::format("{{stack: {{axis: 0, each: {}}}}}", each));
        axes.insert(axes.begin(), "_");
        std::vector<std::string> whole = axes;
        whole[axis + 1] = std::to_string(o.total);
        steps.push_back("{reshape: " + list_of(whole) + "}");
      } else {
        steps.push_back(with({"_"}));
      }
    }
    const bool stated = std::any_of(source.begin(), source.end(), [](const std::string& s) { return s != "_"; });
    if (twice) source.insert(source.begin(), "_");
    return (stated ? ", shape: " + list_of(source) : "") + ", steps: " + list_of(steps);
  }

  // Of what the layout acts on: a part of the source tensor, if it is cut.
  static Shape part_shape(const Operation& operation) {
    Shape shape = operation.shape;
    const Layout& layout = operation.layout;
    if (layout.regroup_axis >= 0)
      shape[static_cast<size_t>(layout.regroup_axis)] = layout.blocks * layout.rows * layout.columns;
    if (operation.kind == Relation::Kind::split_into && operation.axis != layout.regroup_axis &&
        operation.sizes.empty())
      shape[static_cast<size_t>(operation.axis)] /= static_cast<int64_t>(operation.names.size());
    return shape;
  }

  std::string operation_text(const PatternRule& rule, const std::string& part, const std::string& each) {
    const Operation& o = rule.operation;
    using Kind = Relation::Kind;
    std::vector<std::string> names;
    for (size_t i = 0; i < o.names.size(); ++i)
      names.push_back(quoted(o.names[i]) +
                      (o.sizes.empty() || o.kind != Kind::split_into ? "" : fmt::format(": {}", o.sizes[i])));
    const std::string named = o.sizes.empty() ? list_of(names) : "{" + join(names, ", ") + "}";
    std::string text;
    if (o.groups > 1 || o.kind == Kind::split_each_into)
      return turns_text(o, part, each) + (o.cast ? fmt::format(", cast: {}", long_name(*o.cast)) : "");
    if (o.kind == Kind::split_each) text += fmt::format(", split: {{axis: {}, each: {}}}", o.axis, each);
    if (o.kind == Kind::split_into) text += fmt::format(", split: {{axis: {}, into: {{{}: {}}}}}", o.axis, part, named);
    const std::string layout = layout_text(o);
    text = layout.starts_with(", shape")
               ? layout.substr(0, layout.find(", steps")) + text + layout.substr(layout.find(", steps"))
               : text + layout;
    if (o.kind == Kind::replicated)
      text += ", replicated: " + each;
    else if (o.kind == Kind::concat && o.names.empty())
      text += fmt::format(", concat: {{axis: {}, each: {}}}", o.axis, each);
    else if (o.kind == Kind::concat)
      text += fmt::format(", concat: {{axis: {}, of: {{{}: {}}}}}", o.axis, part, named);
    if (o.kind == Kind::stack_concat)
      text += fmt::format(", concat: {{axis: {}, of: {{{}: {}}}}}", o.inner_axis, part, named);
    if (o.kind == Kind::stack && !o.names.empty())
      text += fmt::format(", stack: {{axis: {}, of: {{{}: {}}}}}", o.axis, part, named);
    else if (o.kind == Kind::stack || o.kind == Kind::stack_concat)
      text += fmt::format(", stack: {{axis: {}, each: {}}}", o.axis, each);
    if (o.cast) text += fmt::format(", cast: {}", long_name(*o.cast));
    return text;
  }

  TextRule fill_rule(const Findings::Fill& fill) {
    const TensorInfo& info = problem_.info(fill.target);
    return {"fill",
            0,
            "",
            info.key,
            fmt::format(", fill: {}, shape: {}{}", fill.value, list_of(info.shape),
                        is_floating(info.dtype) ? "" : fmt::format(", cast: {}", long_name(info.dtype))),
            {},
            {"all its elements are the same: a constant, or not trained"},
            "\x7e",
            {},
            {{}, fill.target}};
  }

  // ------------------------------------------------------------ blocks

  static bool cuts_well(const std::string& text, size_t at) {
    if (at == 0 || at >= text.size() || !is_separator(text[at])) return false;
    return std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '{') ==
           std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '}');
  }

  // `origins`: of the rules, in the order in which they stand in the text.
  std::string blocks(std::vector<TextRule> rules, std::vector<Written::Origin>& origins) {
    // The prefixes that save most come first; a rule stands in one block.
    std::vector<int> block(rules.size(), -1);
    std::vector<std::pair<std::string, std::string>> prefixes;
    while (true) {
      std::map<std::tuple<uint32_t, std::string, std::string>, std::vector<size_t>> candidates;
      for (size_t r = 0; r < rules.size(); ++r) {
        if (block[r] >= 0 || rules[r].kind != "move") continue;
        for (size_t i = 0; i < rules[r].from.size(); ++i) {
          if (!cuts_well(rules[r].from, i)) continue;
          const bool fits = std::all_of(rules[r].except.begin(), rules[r].except.end(),
                                        [&](const auto& e) { return e.starts_with(rules[r].from.substr(0, i + 1)); });
          if (!fits) continue;
          for (size_t j = 0; j < rules[r].to.size(); ++j)
            if (cuts_well(rules[r].to, j))
              candidates[{rules[r].source, rules[r].from.substr(0, i), rules[r].to.substr(0, j)}].push_back(r);
        }
      }
      const std::vector<size_t>* best = nullptr;
      std::tuple<uint32_t, std::string, std::string> best_key;
      int64_t most = 0;
      for (const auto& [key, members] : candidates) {
        const auto& [source, from, to] = key;
        const bool same_holes = std::count(from.begin(), from.end(), '*') == std::count(to.begin(), to.end(), '*');
        if (members.size() < 2 || !same_holes) continue;
        const auto saved =
            static_cast<int64_t>(from.size() + to.size()) * (static_cast<int64_t>(members.size()) - 1) - 35;
        if (saved > most) most = saved, best = &members, best_key = key;
      }
      if (best == nullptr) break;
      prefixes.emplace_back(std::get<1>(best_key), std::get<2>(best_key));
      for (const size_t r : *best) block[r] = static_cast<int>(prefixes.size()) - 1;
    }
    std::string text;
    std::set<int> done;
    for (size_t r = 0; r < rules.size(); ++r) {
      if (block[r] < 0) {
        text += rule_text(rules[r], "", "", "  ");
        origins.push_back(rules[r].origin);
        continue;
      }
      if (!done.insert(block[r]).second) continue;
      const auto& [from, to] = prefixes[static_cast<size_t>(block[r])];
      text += fmt::format("  - within: {{from: {}, to: {}}}\n{}    rules:\n", quoted(from), quoted(to),
                          source_field(rules[r], "    ", "\n"));
      for (size_t other = r; other < rules.size(); ++other)
        if (block[other] == block[r]) {
          text += rule_text(rules[other], from, to, "      ");
          origins.push_back(rules[other].origin);
        }
    }
    return text;
  }

  std::string source_field(const TextRule& rule, const std::string& before, const std::string& after) const {
    return rule.source == 0 ? "" : before + "source: " + quoted(problem_.sources[rule.source].name) + after;
  }

  std::string rule_text(const TextRule& rule, const std::string& from_prefix, const std::string& to_prefix,
                        const std::string& indent) const {
    const auto below = [](const std::string& text, const std::string& prefix) {
      return prefix.empty() ? text : text.substr(prefix.size() + 1);
    };
    std::string text;
    for (const auto& what : rule.open) text += indent + "# open: " + what + "\n";
    for (const auto& check : rule.checks) text += indent + "# check: " + check + "\n";
    const std::string from = below(rule.from, from_prefix), to = below(rule.to, to_prefix);
    std::string fields;
    if (rule.kind == "drop")
      fields = "drop: " + quoted(from);
    else if (rule.kind == "fill")
      fields = "to: " + quoted(to);
    else if (rule.kind == "copy")
      fields = "to: " + quoted(to) + ", copy_of: " + quoted(from);
    else if (from == to)
      fields = "keep: " + quoted(from);
    else
      fields = "from: " + quoted(from) + ", to: " + quoted(to);
    if (!rule.except.empty()) {
      std::vector<std::string> list;
      for (const auto& one : rule.except) list.push_back(quoted(below(one, from_prefix)));
      fields += ", except: " + (list.size() == 1 ? list[0] : list_of(list));
    }
    if (from_prefix.empty() && rule.kind != "fill" && rule.kind != "copy") fields += source_field(rule, ", ", "");
    return text + indent + "- {" + fields + rule.rest + "}\n";
  }

  std::string header(std::optional<DType> dtype) const {
    std::string text = fmt::format(
        "# yaml-language-server: $schema={}\nremap: 1\nfamily: {}\ntitle: proposed by remap infer from {}; read it, "
        "name its dims, then test it\n\n",
        options_.schema, quoted(options_.family), problem_.by_values ? "two checkpoints" : "two lists of tensors");
    const auto spec = [&](uint32_t s) {
      const std::string format = format_of(s);
      return fmt::format("{{{}{}}}", format.empty() ? "" : "format: " + format + ", ",
                         problem_.files[s] ? "files: " + quoted(problem_.files[s]->pattern)
                                           : "root: " + (roots_[s].empty() ? "\"\"" : quoted(roots_[s])));
    };
    text += "source: " + spec(0) + "\n";
    if (problem_.sources.size() > 1) {
      text += "sources:\n";
      for (uint32_t s = 1; s < problem_.sources.size(); ++s)
        text += "  " + quoted(problem_.sources[s].name) + ": " + spec(s) + "\n";
    }
    if (dtype) text += fmt::format("target: {{dtype: {}}}\n", long_name(*dtype));
    if (!lets_.empty()) {
      text += "\nlet:\n";
      for (const auto& [name, value] : lets_)
        text +=
            fmt::format("  {}: \"{}\"   # check: found for this checkpoint; config.json may name it\n", name, value);
    }
    if (!tables_.empty()) {
      text += "\nmaps:\n";
      for (const auto& [name, values] : tables_) {
        std::vector<std::string> entries;
        for (const auto& [from, to] : values) entries.push_back(quoted(from) + ": " + quoted(to));
        text += "  " + name + ": {" + join(entries, ", ") + "}\n";
      }
    }
    return text + "\nrules:\n";
  }

  std::string format_of(uint32_t s) const {
    if (const SourceFormat* known = find_source_format(remap::format_of(*problem_.sources[s].source)))
      return std::string(known->name);
    if (problem_.files[s]) return problem_.files[s]->pattern.ends_with(".safetensors") ? "safetensors" : "torch";
    // How keys are separated may tell.
    for (const auto& tensor : problem_.sources[s].source->manifest().tensors())
      for (const SourceFormat& format : source_format_table())
        if (format.separator != '.' && tensor.key.find(format.separator) != std::string::npos)
          return std::string(format.name);
    return "";
  }

  const Problem& problem_;
  const Findings& findings_;
  const std::vector<std::string>& roots_;
  const InferOptions& options_;
  std::vector<std::set<size_t>> stars_;
  size_t current_ = 0;
  std::map<std::pair<const PatternRule*, size_t>, std::string> literals_;
  std::vector<std::pair<std::string, std::vector<std::pair<std::string, std::string>>>> tables_;
  std::vector<std::pair<std::string, int64_t>> lets_;
  std::vector<std::tuple<std::string, int64_t, std::string>> dims_;
};

}  // namespace

Written write_rules(const Problem& problem, const Findings& findings, std::vector<PatternRule> rules,
                    const std::vector<std::string>& roots, std::optional<DType> dtype,
                    const std::vector<std::string>& notes, const InferOptions& options) {
  return Writer(problem, findings, roots, options).write(std::move(rules), dtype, notes);
}

}  // namespace remap::infer
