// Bottom up: numbers become indices where source and target count together; then whole subtrees that keep their names
// below a prefix become one rule with **; then rules that differ in one word become one with alternatives or a table.
// Every pattern is tried on all keys of its source: one that takes a key which is not its own is made narrower, in the
// end literal.
#include "infer/patterns.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>

#include <fmt/format.h>
#include <re2/re2.h>

#include "infer/keys.h"
#include "infer/names.h"

namespace remap::infer {

bool Variable::translates() const {
  return std::any_of(values.begin(), values.end(), [](const auto& v) { return v.first != v.second; });
}

void Variable::add(const std::string& source, const std::string& target) {
  if (std::find(values.begin(), values.end(), std::pair(source, target)) == values.end())
    values.emplace_back(source, target);
}

void Variable::add(const Variable& other) {
  listed |= other.listed;
  std::set<std::pair<std::string, std::string>> known(values.begin(), values.end());
  for (const auto& value : other.values)
    if (known.insert(value).second) values.push_back(value);
}

std::vector<PatternToken> tokens_of(const std::string& pattern) {
  std::vector<PatternToken> tokens;
  std::string text;
  const auto flush = [&] {
    if (!text.empty()) tokens.push_back({PatternToken::Kind::text, text, 0, 0});
    text.clear();
  };
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (static_cast<unsigned char>(c) > 5) {
      text += c;
      continue;
    }
    flush();
    PatternToken token;
    if (c == kPart) token.kind = PatternToken::Kind::part;
    if (c == kEach) token.kind = PatternToken::Kind::each;
    if (c == kRest) token.kind = PatternToken::Kind::rest;
    if (c == kVariable || c == kMoved) {
      token.kind = PatternToken::Kind::variable;
      token.variable = static_cast<size_t>(pattern[++i] - '0');
    }
    if (c == kMoved) {
      const size_t end = pattern.find(kMoved, i + 1);
      token.add = std::stoll(pattern.substr(i + 1, end - i - 1));
      i = end;
    }
    tokens.push_back(token);
  }
  flush();
  return tokens;
}

namespace {

constexpr size_t kMaxVariables = 40;
constexpr size_t kMaxChecks = 4;  // lines above a rule
constexpr double kExceptCost = 0.3, kTopCost = 1.5;

std::string variable_text(size_t number) { return {kVariable, static_cast<char>('0' + number)}; }

// Two texts that are related: the keys of a relation with marks for parts.
struct Pair {
  std::string s, t;
  size_t operation = 0, relation = 0;
};

}  // namespace

bool can_be_written(const std::string& key) {
  return !key.empty() &&
         std::none_of(key.begin(), key.end(),
                      [](char c) {
                        return static_cast<unsigned char>(c) < 0x20 || c == '*' || c == '{' || c == '}' || c == '\\' ||
                               c == 0x7f;
                      }) &&
         key.find("${") == std::string::npos && !key.starts_with("re:");
}

namespace {

class Generaliser {
 public:
  Generaliser(const Problem& problem, const Findings& findings, const std::vector<std::string>& roots,
              const Lessons& lessons, std::vector<size_t>& left)
      : problem_(problem), findings_(findings), roots_(roots), lessons_(lessons), left_(left) {}

  std::vector<PatternRule> run() {
    std::vector<PatternRule> all;
    std::vector<std::string> targets;
    for (const auto& tensor : problem_.target->manifest().tensors()) targets.push_back(tensor.key);
    counted_target_ = counted_prefixes(targets);
    for (uint32_t source = 0; source < problem_.sources.size(); ++source) {
      all_keys(source);
      std::vector<std::string> texts;
      for (const auto& [key, ref] : keys_) texts.push_back(key);
      counted_.push_back(counted_prefixes(texts));
      auto pairs = pairs_of(source);
      std::vector<PatternRule> apart;  // rules that are not made more general
      for (const Pair& pair : pairs)
        if (lessons_.alone.contains(pair.relation)) apart.push_back(literal_rule(pair, source));
      std::erase_if(pairs, [&](const Pair& pair) { return lessons_.alone.contains(pair.relation); });
      auto rules = with_indices(pairs, source);
      auto dropped = dropped_keys(source);
      const auto plain_end = std::stable_partition(dropped.begin(), dropped.end(), is_plain);
      apart.insert(apart.end(), std::make_move_iterator(plain_end), std::make_move_iterator(dropped.end()));
      dropped.erase(plain_end, dropped.end());
      rules = merged(with_rest(std::move(rules), std::move(dropped), source));
      for (auto& rule : rules)
        for (auto& good : narrowed(std::move(rule))) all.push_back(std::move(good));
      for (auto& rule : apart)
        for (auto& good : rule.kind == PatternRule::Kind::drop ? std::vector<PatternRule>{rule} : narrowed(rule))
          all.push_back(std::move(good));
    }
    for (auto& rule : all) note_checks(rule);
    return all;
  }

 private:
  // ------------------------------------------------------------ keys of relations

  std::string key_of(Ref ref) const {
    const std::string &key = problem_.key(ref), &root = roots_[ref.source];
    return root.empty() ? key : key.substr(root.size() + 1);
  }
  std::vector<std::string> keys_of(const std::vector<Ref>& refs) const {
    std::vector<std::string> keys;
    for (const Ref ref : refs) keys.push_back(key_of(ref));
    return keys;
  }

  size_t operation_number(Operation operation) {
    const auto it = std::find(operations_.begin(), operations_.end(), operation);
    if (it != operations_.end()) return static_cast<size_t>(it - operations_.begin());
    operations_.push_back(std::move(operation));
    return operations_.size() - 1;
  }

  // A pattern can say it as it is.
  static bool is_plain(const PatternRule& rule) {
    for (const auto& token : tokens_of(rule.from))
      if (token.kind == PatternToken::Kind::text && !can_be_written(token.text)) return false;
    return true;
  }

  std::vector<Pair> pairs_of(uint32_t source) {
    std::vector<Pair> pairs = writable_pairs_of(source);
    // Relations share a source tensor: where one of them has no rule, none has.
    while (true) {
      std::set<Ref> dropped;
      for (const size_t r : left_)
        dropped.insert(findings_.relations[r].sources.begin(), findings_.relations[r].sources.end());
      const auto is_dropped = [&](const Pair& pair) {
        const auto& refs = findings_.relations[pair.relation].sources;
        return std::any_of(refs.begin(), refs.end(), [&](Ref ref) { return dropped.contains(ref); });
      };
      const size_t before = left_.size();
      for (const Pair& pair : pairs)
        if (is_dropped(pair)) left_.push_back(pair.relation);
      std::erase_if(pairs, is_dropped);
      if (left_.size() == before) return pairs;
    }
  }

  std::vector<Pair> writable_pairs_of(uint32_t source) {
    std::vector<Pair> pairs;
    operation_number({});
    for (size_t r = 0; r < findings_.relations.size(); ++r) {
      const Relation& relation = findings_.relations[r];
      if (relation.sources.front().source != source) continue;
      auto pair = lessons_.out.contains(r) ? std::nullopt : pair_of(relation);
      if (pair) {
        pair->relation = r;
        pairs.push_back(std::move(*pair));
      } else {
        left_.push_back(r);
      }
    }
    return pairs;
  }

  std::optional<Pair> pair_of(const Relation& relation) {
    for (const Ref ref : relation.sources)
      if (!can_be_written(key_of(ref)) || ref.source != relation.sources.front().source) return std::nullopt;
    std::vector<std::string> targets;
    for (const uint32_t t : relation.targets) {
      if (t == Relation::kNoPart) continue;
      targets.push_back(problem_.info(t).key);
      if (!can_be_written(targets.back())) return std::nullopt;
    }
    Operation operation;
    operation.kind = relation.kind;
    operation.axis = relation.axis, operation.inner_axis = relation.inner_axis;
    operation.layout = relation.layout;
    operation.cast = relation.cast;
    operation.groups = relation.groups;
    if (relation.layout.regroup_axis >= 0 || !relation.layout.reshape.empty() || relation.groups > 1)
      operation.shape = problem_.info(relation.sources.front()).shape;
    if (std::adjacent_find(relation.sizes.begin(), relation.sizes.end(), std::not_equal_to<>()) !=
            relation.sizes.end() &&
        relation.cuts())
      operation.sizes = relation.sizes;
    Pair pair;
    using Kind = Relation::Kind;
    // Numbered parts: from which number on. What is left of others has an end too.
    const auto number = [&](const Place& place) {
      operation.first = std::stoll(place.names[0]);
      if (operation.first > 0 && operation.gathers())
        operation.last = operation.first + static_cast<int64_t>(place.names.size()) - 1;
    };
    switch (relation.kind) {
      case Kind::rename:
        pair.s = key_of(relation.sources[0]);
        pair.t = targets[0];
        break;
      case Kind::split_each: {
        const auto place = counting_place(targets);
        if (!place) return std::nullopt;
        pair.s = key_of(relation.sources[0]);
        pair.t = place->before + kEach + place->after;
        number(*place);
        break;
      }
      case Kind::split_into: {
        pair.s = key_of(relation.sources[0]);
        const auto place =
            targets.size() > 1 ? differing_place(targets) : std::optional(Place{targets[0], "", {"part"}});
        if (!place) return std::nullopt;
        pair.t = targets.size() > 1 ? place->before + kPart + place->after : targets[0];
        const bool equal = operation.sizes.empty();
        for (size_t i = 0, n = 0; i < relation.targets.size(); ++i)
          operation.names.push_back(relation.targets[i] != Relation::kNoPart ? place->names[n++]
                                    : equal                                  ? kLeftOut
                                                                             : fmt::format("{}{}", kLeftOut, i + 1));
        break;
      }
      case Kind::stack: {
        const auto keys = keys_of(relation.sources);
        const auto counted = counting_place(keys), place = counted ? counted : differing_place(keys);
        if (!place) return std::nullopt;
        pair.s = place->before + (counted ? kEach : kPart) + place->after;
        pair.t = targets[0];
        if (counted)
          number(*counted);
        else
          operation.names = place->names;
        break;
      }
      case Kind::replicated:
      case Kind::concat: {
        const auto keys = keys_of(relation.sources);
        if (const auto counted = counting_place(keys)) {
          pair.s = counted->before + kEach + counted->after;
          pair.t = targets[0];
          number(*counted);
          break;
        }
        if (relation.kind == Kind::replicated) return std::nullopt;
        const auto place = differing_place(keys);
        if (!place) return std::nullopt;
        pair.s = place->before + kPart + place->after;
        pair.t = targets[0];
        operation.names = place->names;
        break;
      }
      case Kind::split_each_into: {
        const size_t parts = relation.sizes.size();
        std::vector<std::string> each;
        for (size_t i = 0; i < targets.size(); i += parts) {
          const auto place = differing_place({targets.begin() + static_cast<std::ptrdiff_t>(i),
                                              targets.begin() + static_cast<std::ptrdiff_t>(i + parts)});
          if (!place || (i > 0 && place->names != operation.names)) return std::nullopt;
          operation.names = place->names;
          each.push_back(place->before + kPart + place->after);
        }
        const auto place = each.size() > 1 ? counting_place(each) : std::nullopt;
        if (!place) return std::nullopt;
        pair.s = key_of(relation.sources[0]);
        pair.t = place->before + kEach + place->after;
        number(*place);
        break;
      }
      case Kind::stack_concat: {
        const size_t parts = relation.sizes.size();
        std::vector<std::string> each;
        for (size_t i = 0; i < relation.sources.size(); i += parts) {
          const auto place =
              differing_place(keys_of({relation.sources.begin() + static_cast<std::ptrdiff_t>(i),
                                       relation.sources.begin() + static_cast<std::ptrdiff_t>(i + parts)}));
          if (!place || (i > 0 && place->names != operation.names)) return std::nullopt;
          operation.names = place->names;
          each.push_back(place->before + kPart + place->after);
        }
        const auto place = each.size() > 1 ? counting_place(each) : std::nullopt;
        if (!place) return std::nullopt;
        pair.s = place->before + kEach + place->after;
        pair.t = targets[0];
        number(*place);
        if (relation.groups > 1)
          operation.total = problem_.info(relation.targets[0]).shape[static_cast<size_t>(relation.inner_axis) + 1];
        break;
      }
    }
    for (const auto& name : operation.names)
      if (name.find_first_of("|}:, ") != std::string::npos) return std::nullopt;
    pair.operation = operation_number(std::move(operation));
    return pair;
  }

  // ------------------------------------------------------------ indices

  std::vector<PatternRule> with_indices(const std::vector<Pair>& pairs, uint32_t source) {
    std::map<std::tuple<size_t, std::string, std::string>, std::vector<const Pair*>> groups;
    for (const Pair& pair : pairs)
      groups[{pair.operation, numbered(pair.s).shape(), numbered(pair.t).shape()}].push_back(&pair);
    std::vector<PatternRule> rules;
    for (const auto& [key, group] : groups) index_group(group, source, true, rules);
    return rules;
  }

  using Counted = std::set<std::string>;
  static bool is_counted(const Counted& counted, const Numbered& key, size_t column) {
    return counted.contains(prefix_shape(key, column));
  }

  // `counting`: numbers that do not vary may be indices.
  void index_group(const std::vector<const Pair*>& group, uint32_t source, bool counting,
                   std::vector<PatternRule>& rules) {
    std::vector<Numbered> s, t;
    for (const Pair* pair : group) s.push_back(numbered(pair->s)), t.push_back(numbered(pair->t));
    const auto varies = [&](const std::vector<Numbered>& side, size_t column) {
      return std::any_of(side.begin(), side.end(),
                         [&](const Numbered& n) { return n.numbers[column] != side[0].numbers[column]; });
    };
    // A number that does not vary here, but counts 0, 1, 2 … under its prefix on both sides, is an index too.
    std::set<size_t> constant_s, constant_t;
    for (size_t c = 0; counting && c < s[0].numbers.size(); ++c) {
      if (varies(s, c) || !is_counted(counted_[source], s[0], c)) continue;
      for (size_t d = 0; d < t[0].numbers.size(); ++d) {
        if (varies(t, d) || constant_t.contains(d) || t[0].numbers[d] != s[0].numbers[c] ||
            !is_counted(counted_target_, t[0], d))
          continue;
        constant_s.insert(c);
        constant_t.insert(d);
        break;
      }
    }
    const auto varies_s = [&](size_t c) { return constant_s.contains(c) || varies(s, c); };
    const auto varies_t = [&](size_t c) { return constant_t.contains(c) || varies(t, c); };
    std::vector<size_t> open;
    for (size_t c = 0; c < s[0].numbers.size(); ++c)
      if (varies_s(c)) open.push_back(c);
    std::vector<std::pair<int, int64_t>> origin(t[0].numbers.size(),
                                                {-1, 0});  // of a target column: the source column, and the offset
    std::set<size_t> used;
    bool explained = open.size() <= kMaxVariables;
    for (size_t c = 0; c < t[0].numbers.size() && explained; ++c) {
      if (!varies_t(c)) continue;
      explained = false;
      for (const bool exact : {true, false})
        for (const bool fresh : {true, false})
          for (const size_t column : open) {
            if (explained || used.contains(column) == fresh || constant_s.contains(column) != constant_t.contains(c))
              continue;
            const int64_t add = std::stoll(t[0].numbers[c]) - std::stoll(s[0].numbers[column]);
            if (exact != (add == 0)) continue;
            bool all = true;
            for (size_t i = 0; i < group.size() && all; ++i)
              all = std::stoll(t[i].numbers[c]) - std::stoll(s[i].numbers[column]) == add;
            if (!all) continue;
            explained = true;
            origin[c] = {static_cast<int>(column), add};
            used.insert(column);
          }
    }
    if (explained)
      explained = std::all_of(open.begin(), open.end(), [&](size_t column) { return used.contains(column); });
    if (!explained && !constant_s.empty()) return index_group(group, source, false, rules);
    if (!explained) {  // some number is a name: the one with the fewest values
      size_t best = open[0], fewest = std::numeric_limits<size_t>::max();
      for (const size_t column : open) {
        std::set<std::string> values;
        for (const auto& n : s) values.insert(n.numbers[column]);
        if (values.size() < fewest) best = column, fewest = values.size();
      }
      std::map<std::string, std::vector<const Pair*>> by_value;
      for (size_t i = 0; i < group.size(); ++i) by_value[s[i].numbers[best]].push_back(group[i]);
      for (const auto& [value, members] : by_value) index_group(members, source, counting, rules);
      return;
    }
    PatternRule rule;
    rule.source = source;
    rule.operation = operations_[group[0]->operation];
    for (const size_t column : open) {
      Variable variable;
      variable.index = true;
      std::set<std::string> known;
      for (const auto& n : s)
        if (known.insert(n.numbers[column]).second) variable.values.emplace_back(n.numbers[column], n.numbers[column]);
      std::sort(variable.values.begin(), variable.values.end(),
                [](const auto& a, const auto& b) { return std::stoll(a.first) < std::stoll(b.first); });
      rule.variables.push_back(std::move(variable));
    }
    const auto number_of = [&](size_t column) {
      return static_cast<size_t>(std::find(open.begin(), open.end(), column) - open.begin());
    };
    rule.from = s[0].texts[0];
    for (size_t c = 0; c < s[0].numbers.size(); ++c)
      rule.from += (varies_s(c) ? variable_text(number_of(c)) : s[0].numbers[c]) + s[0].texts[c + 1];
    rule.to = t[0].texts[0];
    for (size_t c = 0; c < t[0].numbers.size(); ++c) {
      if (origin[c].first < 0)
        rule.to += t[0].numbers[c];
      else if (origin[c].second == 0)
        rule.to += variable_text(number_of(static_cast<size_t>(origin[c].first)));
      else
        rule.to +=
            fmt::format("{}{}{:+}{}", kMoved, static_cast<char>('0' + number_of(static_cast<size_t>(origin[c].first))),
                        origin[c].second, kMoved);
      rule.to += t[0].texts[c + 1];
    }
    for (const Pair* pair : group) add_relation(rule, pair->relation);
    rules.push_back(std::move(rule));
  }

  void add_relation(PatternRule& rule, size_t relation) {
    rule.relations.push_back(relation);
    const auto& refs = findings_.relations[relation].sources;
    rule.refs.insert(rule.refs.end(), refs.begin(), refs.end());
  }

  // Keys that nothing is made of, as patterns: no target.
  std::vector<PatternRule> dropped_keys(uint32_t source) {
    std::map<std::string, std::vector<Ref>> groups;
    std::set<Ref> twins;
    for (const auto& twin : findings_.twins) twins.insert(twin.ref);
    for (const Ref ref : findings_.open_sources)
      if (ref.source == source && is_below_root(ref)) groups[numbered(key_of(ref)).shape()].push_back(ref);
    for (const auto& twin : findings_.twins)
      if (twin.ref.source == source && is_below_root(twin.ref))
        groups["=" + problem_.info(twin.ref).key].push_back(twin.ref);
    for (const size_t r : left_)
      for (const Ref ref : findings_.relations[r].sources)
        if (ref.source == source) groups[numbered(key_of(ref)).shape()].push_back(ref);
    std::vector<PatternRule> rules = dropped_subtrees(groups, source);
    for (auto& [shape, refs] : groups) {
      PatternRule rule;
      rule.kind = PatternRule::Kind::drop;
      rule.source = source;
      const Numbered first = numbered(key_of(refs[0]));
      rule.from = first.texts[0];
      for (size_t c = 0; c < first.numbers.size(); ++c) {
        Variable variable;
        variable.index = true;
        for (const Ref ref : refs) variable.add(numbered(key_of(ref)).numbers[c], numbered(key_of(ref)).numbers[c]);
        if (variable.values.size() == 1)
          rule.from += first.numbers[c];
        else {
          rule.from += variable_text(rule.variables.size());
          rule.variables.push_back(std::move(variable));
        }
        rule.from += first.texts[c + 1];
      }
      rule.refs = refs;
      rules.push_back(std::move(rule));
    }
    return rules;
  }
  // Whole subtrees that nothing is made of, one rule each; what they hold leaves the groups.
  std::vector<PatternRule> dropped_subtrees(std::map<std::string, std::vector<Ref>>& groups, uint32_t source) const {
    std::set<Ref> open;
    for (const auto& [shape, refs] : groups)
      if (!shape.starts_with("=")) open.insert(refs.begin(), refs.end());
    std::set<std::string> used;  // prefixes of keys that stay
    for (const auto& [key, ref] : keys_)
      if (!open.contains(ref))
        for (std::string path = key; !path.empty(); path = parent_of(path)) used.insert(path);
    std::map<std::string, PatternRule> rules;
    for (const Ref ref : open) {
      std::string top, path = key_of(ref);
      for (path = parent_of(path); !path.empty() && !used.contains(path); path = parent_of(path)) top = path;
      if (top.empty()) continue;
      PatternRule& rule = rules[top];
      rule.kind = PatternRule::Kind::drop;
      rule.source = source;
      rule.from = top + key_of(ref)[top.size()] + kRest;
      rule.refs.push_back(ref);
    }
    std::vector<PatternRule> result;
    for (auto& [top, rule] : rules)
      if (rule.refs.size() > 1) {
        for (const Ref ref : rule.refs) open.erase(ref);
        result.push_back(std::move(rule));
      }
    for (auto it = groups.begin(); it != groups.end();) {
      if (!it->first.starts_with("=")) std::erase_if(it->second, [&](Ref ref) { return !open.contains(ref); });
      it = it->second.empty() ? groups.erase(it) : std::next(it);
    }
    return result;
  }

  bool is_below_root(Ref ref) const {
    const std::string &root = roots_[ref.source], &key = problem_.key(ref);
    return root.empty() || (key.size() > root.size() + 1 && key.starts_with(root) && is_separator(key[root.size()]));
  }

  // ------------------------------------------------------------ subtrees

  struct Node {
    std::string path;  // up to here, without a separator at its end; "" at the top
    std::map<std::string, size_t> children;
    std::vector<size_t> leaves;  // templates that end here
    std::vector<std::string>
        prefixes;  // target prefixes for which several templates below keep the rest of their names
  };
  struct Rewriting {
    std::string from, to;  // prefixes
    bool operator==(const Rewriting&) const = default;
  };

  static std::set<char> variables_in(const std::string& text) {
    std::set<char> found;
    for (size_t i = 0; i + 1 < text.size(); ++i)
      if (text[i] == kVariable || text[i] == kMoved) found.insert(text[i + 1]);
    return found;
  }

  // The target prefix under which the rest of the key below `path` is the same; nullopt: it is not.
  static std::optional<std::string> prefix_of(const PatternRule& rule, const std::string& path) {
    if (rule.kind == PatternRule::Kind::drop || !rule.operation.is_rename() || path.size() >= rule.from.size())
      return std::nullopt;
    const std::string_view rest = std::string_view(rule.from).substr(path.empty() ? 0 : path.size() + 1);
    if (rest.empty() || !rule.to.ends_with(rest)) return std::nullopt;
    if (rule.to.size() == rest.size()) return "";
    const size_t cut = rule.to.size() - rest.size() - 1;
    if (rule.to[cut] != '.') return std::nullopt;
    std::string prefix = rule.to.substr(0, cut);
    const auto known = variables_in(path), needed = variables_in(prefix);
    if (!std::includes(known.begin(), known.end(), needed.begin(), needed.end())) return std::nullopt;
    return prefix;
  }

  class Tree {
   public:
    explicit Tree(const std::vector<PatternRule>& templates) : templates_(templates) {
      nodes_.push_back({});
      for (size_t i = 0; i < templates.size(); ++i) insert(i);
      for (auto& node : nodes_) choose_prefixes(node);
    }
    struct Chosen {
      Rewriting rewriting;
      std::vector<size_t> members;  // templates that conform
      std::vector<std::string> except;
    };
    std::vector<Chosen> chosen;
    std::vector<size_t> alone;  // templates that are rules of their own

    void solve() {
      cost(0, -1);
      build(0, -1, -1);
    }

   private:
    void insert(size_t i) {
      size_t at = 0;
      const std::string& key = templates_[i].from;
      for (size_t end = 0; end <= key.size(); ++end) {
        if (end < key.size() && !is_separator(key[end])) continue;
        const std::string path = key.substr(0, end);
        auto it = nodes_[at].children.find(path);
        if (it == nodes_[at].children.end()) {
          nodes_.push_back({path, {}, {}, {}});
          it = nodes_[at].children.emplace(path, nodes_.size() - 1).first;
        }
        below_[at].push_back(i);
        at = it->second;
      }
      nodes_[at].leaves.push_back(i);
      below_[at].push_back(i);
    }
    void choose_prefixes(Node& node) {
      std::map<std::string, size_t> counts;
      for (const size_t i : below_[static_cast<size_t>(&node - nodes_.data())])
        if (const auto prefix = prefix_of(templates_[i], node.path)) ++counts[*prefix];
      std::vector<std::pair<size_t, std::string>> sorted;
      for (const auto& [prefix, count] : counts)
        if (count >= 2) sorted.emplace_back(count, prefix);
      std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
      for (size_t i = 0; i < std::min<size_t>(3, sorted.size()); ++i) node.prefixes.push_back(sorted[i].second);
    }

    bool conforms(size_t i, int rewriting) const {
      const Rewriting& r = rewritings_[static_cast<size_t>(rewriting)];
      const auto prefix = prefix_of(templates_[i], r.from);
      return prefix && *prefix == r.to;
    }
    int number_of(const Rewriting& rewriting) {
      const auto it = std::find(rewritings_.begin(), rewritings_.end(), rewriting);
      if (it != rewritings_.end()) return static_cast<int>(it - rewritings_.begin());
      rewritings_.push_back(rewriting);
      return static_cast<int>(rewritings_.size()) - 1;
    }

    double leaf_cost(size_t i, int active) const {
      const double own = templates_[i].kind == PatternRule::Kind::drop ? 0.0 : 1.0;
      if (active < 0) return own;
      return conforms(i, active) ? 0.0 : own + kExceptCost;
    }
    double below(size_t n, int active) {
      double sum = 0;
      for (const size_t i : nodes_[n].leaves) sum += leaf_cost(i, active);
      for (const auto& [path, child] : nodes_[n].children) sum += cost(child, active);
      return sum;
    }
    struct Choice {
      double cost = 0;
      int active = -1;     // what holds below
      bool fresh = false;  // begins here
    };
    double cost(size_t n, int active) {
      const auto known = choices_.find({n, active});
      if (known != choices_.end()) return known->second.cost;
      Choice best{below(n, active), active, false};
      const double left = active < 0 ? 0 : kExceptCost;
      if (active >= 0 && below_[n].size() > 1) {
        const double none = left + below(n, -1);
        if (none < best.cost - 1e-9) best = {none, -1, false};
      }
      for (const std::string& prefix : std::vector<std::string>(nodes_[n].prefixes)) {
        const int own = number_of({nodes_[n].path, prefix});
        if (own == active) continue;
        const double fresh = left + (n == 0 ? kTopCost : 1.0) + below(n, own);
        if (fresh < best.cost - 1e-9) best = {fresh, own, true};
      }
      choices_[{n, active}] = best;
      return best.cost;
    }

    // `open`: the entry of `chosen` that is active.
    void build(size_t n, int active, int open) {
      const Choice choice = choices_.at({n, active});
      if (choice.active != active && open >= 0) except(open, n);
      if (choice.fresh) {
        chosen.push_back({rewritings_[static_cast<size_t>(choice.active)], {}, {}});
        open = static_cast<int>(chosen.size()) - 1;
      } else if (choice.active < 0) {
        open = -1;
      }
      for (const size_t i : nodes_[n].leaves) {
        if (choice.active >= 0 && conforms(i, choice.active)) {
          chosen[static_cast<size_t>(open)].members.push_back(i);
          continue;
        }
        if (open >= 0) chosen[static_cast<size_t>(open)].except.push_back(plain(templates_[i].from));
        alone.push_back(i);
      }
      for (const auto& [path, child] : nodes_[n].children) build(child, choice.active, open);
    }
    void except(int open, size_t n) {
      auto& list = chosen[static_cast<size_t>(open)].except;
      for (const size_t i : nodes_[n].leaves) list.push_back(plain(templates_[i].from));
      if (nodes_[n].children.empty()) return;
      const std::string& below = templates_[below_[n].back()].from;
      list.push_back(plain(nodes_[n].path) + below[nodes_[n].path.size()] + kRest);
    }
    // Without variables: any number (kEach), any word (kPart).
    static std::string plain(const std::string& pattern) {
      std::string text;
      for (size_t i = 0; i < pattern.size(); ++i) {
        text += pattern[i] == kVariable ? kEach : pattern[i];
        if (pattern[i] == kVariable) ++i;
      }
      return text;
    }

    const std::vector<PatternRule>& templates_;
    std::vector<Node> nodes_;
    std::unordered_map<size_t, std::vector<size_t>> below_;
    std::vector<Rewriting> rewritings_;
    std::map<std::pair<size_t, int>, Choice> choices_;
  };

  // A key that is the top of another key's path would be a leaf above leaves; ** needs something below, so both are
  // expressible.
  std::vector<PatternRule> with_rest(std::vector<PatternRule> templates, std::vector<PatternRule> dropped,
                                     uint32_t source) {
    templates.insert(templates.end(), std::make_move_iterator(dropped.begin()), std::make_move_iterator(dropped.end()));
    Tree tree(templates);
    tree.solve();
    std::vector<PatternRule> rules;
    for (const auto& one : tree.chosen)
      for (auto& rule : rest_rules(one.rewriting, one.members, one.except, templates, source))
        rules.push_back(std::move(rule));
    for (const size_t i : tree.alone) rules.push_back(templates[i]);
    return rules;
  }

  std::vector<PatternRule> rest_rules(const Rewriting& rewriting, const std::vector<size_t>& members,
                                      const std::vector<std::string>& except, const std::vector<PatternRule>& templates,
                                      uint32_t source) {
    std::vector<PatternRule> parts;
    for (const size_t i : members) parts.push_back(templates[i]);
    if (members.size() < 2) return parts;
    PatternRule rule;
    rule.source = source;
    rule.variables = parts[0].variables;
    for (const auto& part : parts) {
      rule.relations.insert(rule.relations.end(), part.relations.begin(), part.relations.end());
      rule.refs.insert(rule.refs.end(), part.refs.begin(), part.refs.end());
      for (size_t v = 0; v < std::min(rule.variables.size(), part.variables.size()); ++v)
        rule.variables[v].add(part.variables[v]);
    }
    rule.variables.resize(std::min(rule.variables.size(), count_variables(rewriting.from)));
    // A few names of one word: said one by one.
    Variable last;
    for (const auto& part : parts) {
      const std::string rest = part.from.substr(rewriting.from.empty() ? 0 : rewriting.from.size() + 1);
      const bool plain = std::none_of(rest.begin(), rest.end(), [](char c) {
        return is_separator(c) || static_cast<unsigned char>(c) < 0x20 || c == '|' || c == ':';
      });
      if (!plain || parts.size() > 3) last.index = true;
      last.add(rest, rest);
    }
    std::string rest(1, kRest);
    if (!last.index) {
      rest = variable_text(rule.variables.size());
      rule.variables.push_back(last);
    } else {
      rule.except = except;
    }
    const std::string& any = parts[0].from;
    rule.from = rewriting.from.empty() ? rest : rewriting.from + any[rewriting.from.size()] + rest;
    rule.to = rewriting.to.empty() ? rest : rewriting.to + "." + rest;
    rule.parts = std::move(parts);
    return {rule};
  }
  static size_t count_variables(const std::string& text) {
    const auto found = variables_in(text);
    return found.empty() ? 0 : static_cast<size_t>(*found.rbegin() - '0') + 1;
  }

  // ------------------------------------------------------------ words

  struct Cut {
    std::string before, word, after;
  };
  // Every run of at most three words as the place where rules may differ.
  static std::vector<Cut> cuts(const std::string& text) {
    std::vector<size_t> borders = {0};
    for (size_t i = 0; i <= text.size(); ++i)
      if (i == text.size() || is_separator(text[i])) borders.push_back(i + 1);
    std::vector<Cut> all;
    for (size_t a = 0; a + 1 < borders.size(); ++a)
      for (size_t b = a + 1; b < std::min(borders.size(), a + 4); ++b)
        all.push_back({text.substr(0, borders[a]), text.substr(borders[a], borders[b] - 1 - borders[a]),
                       text.substr(borders[b] - 1)});
    return all;
  }
  static bool is_word(const std::string& text) { return std::none_of(text.begin(), text.end(), is_separator); }

  std::vector<PatternRule> merged(std::vector<PatternRule> rules) {
    while (true) {
      std::map<std::string, std::vector<std::tuple<size_t, Cut, Cut>>> groups;
      for (size_t r = 0; r < rules.size(); ++r) {
        if (!rules[r].except.empty() || rules[r].kind == PatternRule::Kind::drop ||
            rules[r].variables.size() >= kMaxVariables)
          continue;
        const std::string what =
            fmt::format("{}\n{}\n", operation_number(rules[r].operation), rules[r].variables.size());
        for (const Cut& s : cuts(rules[r].from))
          for (const Cut& t : cuts(rules[r].to))
            if (s.word == t.word || (is_word(s.word) && is_word(t.word)))
              groups[what + s.before + '\n' + s.after + '\n' + t.before + '\n' + t.after].emplace_back(r, s, t);
      }
      std::optional<std::pair<double, PatternRule>> best;
      std::set<size_t> best_members;
      for (const auto& [key, group] : groups) {
        std::set<size_t> members;
        for (const auto& [r, s, t] : group) members.insert(r);
        if (members.size() < 2 || members.size() != group.size()) continue;
        auto rule = merge_group(group, rules);
        if (!rule) continue;
        const bool words = std::all_of(rule->variables.back().values.begin(), rule->variables.back().values.end(),
                                       [](const auto& v) { return is_word(v.first); });
        const double gain = static_cast<double>(members.size()) - (rule->variables.back().translates() ? 0.5 : 0.0) -
                            (words ? 0.0 : 0.25);
        if (best && gain <= best->first) continue;
        best = {gain, std::move(*rule)};
        best_members = members;
      }
      if (!best) return rules;
      std::vector<PatternRule> next;
      for (size_t r = 0; r < rules.size(); ++r)
        if (!best_members.contains(r)) next.push_back(std::move(rules[r]));
      next.push_back(std::move(best->second));
      rules = std::move(next);
    }
  }

  static size_t common_begin(const std::vector<std::string>& texts) {
    size_t n = texts[0].size();
    for (const auto& text : texts)
      while (n > 0 && (text.size() < n || text.compare(0, n, texts[0], 0, n) != 0)) --n;
    return n;
  }
  static size_t common_end(const std::vector<std::string>& texts, size_t begin) {
    size_t n = texts[0].size() - begin;
    for (const auto& text : texts)
      while (n > 0 &&
             (text.size() < begin + n || text.compare(text.size() - n, n, texts[0], texts[0].size() - n, n) != 0))
        --n;
    return n;
  }

  // A table is worth reading if its entries are of one kind: projections, norms, numbers, or words with a part in
  // common.
  static bool belong_together(const std::vector<std::string>& s, const std::vector<std::string>& t) {
    static const std::vector<std::set<std::string>> kinds = {
        {"q", "k", "v", "o", "qkv"},
        {"gate", "up", "down", "w1", "w2", "w3", "fc", "fc1", "fc2", "intermediate", "mlp"},
        {"norm"},
        {"embed"},
        {"weight", "bias"},
        {"1", "2", "3", "4", "5"},
        {"attention", "mlp"},
        {"encoder", "decoder"},
        {"text", "vision", "audio", "mm", "multimodal"}};
    const auto is_of = [](const std::set<std::string>& kind, const std::string& word) {
      const auto words = words_of(word);
      return std::any_of(words.begin(), words.end(), [&](const std::string& w) { return kind.contains(w); });
    };
    return std::all_of(s.begin(), s.end(), is_word) && std::any_of(kinds.begin(), kinds.end(), [&](const auto& kind) {
             for (size_t i = 0; i < s.size(); ++i)
               if (!is_of(kind, s[i]) && !is_of(kind, t[i])) return false;
             return true;
           });
  }

  std::optional<PatternRule> merge_group(const std::vector<std::tuple<size_t, Cut, Cut>>& group,
                                         const std::vector<PatternRule>& rules) {
    std::vector<std::string> s, t;
    for (const auto& [r, from, to] : group) s.push_back(from.word), t.push_back(to.word);
    if (std::set<std::string>(s.begin(), s.end()).size() != s.size() ||
        std::set<std::string>(t.begin(), t.end()).size() != t.size())
      return std::nullopt;
    // Whether the words are the same but for what all have in common.
    size_t s_begin = common_begin(s), s_end = common_end(s, s_begin), t_begin = common_begin(t),
           t_end = common_end(t, t_begin);
    const auto middle = [](const std::string& text, size_t begin, size_t end) {
      return text.substr(begin, text.size() - begin - end);
    };
    bool same = true;
    for (size_t i = 0; i < s.size(); ++i)
      same &= middle(s[i], s_begin, s_end) == middle(t[i], t_begin, t_end) && !middle(s[i], s_begin, s_end).empty();
    if (same) {
      // "query" and "key" have their last letter in common: take words whole where that costs nothing.
      const auto& first = s[0];
      while (s_begin > 0 && t_begin > 0 && first[s_begin - 1] == t[0][t_begin - 1] && first[s_begin - 1] != '_')
        --s_begin, --t_begin;
      while (s_end > 0 && t_end > 0 && first[first.size() - s_end] == t[0][t[0].size() - t_end] &&
             first[first.size() - s_end] != '_')
        --s_end, --t_end;
    } else {
      const auto at_border = [](const std::vector<std::string>& texts, size_t& begin, size_t& end) {
        while (begin > 0 && texts[0][begin - 1] != '_') --begin;
        while (end > 0 && texts[0][texts[0].size() - end] != '_') --end;
        for (const auto& text : texts)
          if (text.size() <= begin + end) begin = end = 0;
      };
      at_border(s, s_begin, s_end);
      at_border(t, t_begin, t_end);
    }
    if (!same && !belong_together(s, t)) return std::nullopt;
    PatternRule rule;
    const PatternRule& first = rules[std::get<0>(group[0])];
    rule.source = first.source;
    rule.operation = first.operation;
    rule.variables = first.variables;
    Variable words;
    for (size_t i = 0; i < s.size(); ++i) {
      const std::string a = middle(s[i], s_begin, s_end), b = middle(t[i], t_begin, t_end);
      for (const auto& word : {a, b})
        if (word.empty() || std::any_of(word.begin(), word.end(), [](char c) {
              return static_cast<unsigned char>(c) < 0x20 || c == '|' || c == ':' || c == '}';
            }))
          return std::nullopt;
      words.add(a, b);
      const PatternRule& part = rules[std::get<0>(group[i])];
      for (size_t v = 0; v < rule.variables.size(); ++v) {
        if (rule.variables[v].index != part.variables[v].index) return std::nullopt;
        if (!rule.variables[v].index && rule.variables[v].values != part.variables[v].values &&
            (rule.variables[v].translates() || part.variables[v].translates()))
          return std::nullopt;
        rule.variables[v].add(part.variables[v]);
      }
      rule.relations.insert(rule.relations.end(), part.relations.begin(), part.relations.end());
      rule.refs.insert(rule.refs.end(), part.refs.begin(), part.refs.end());
      rule.parts.push_back(part);
    }
    std::sort(words.values.begin(), words.values.end());
    const std::string hole = variable_text(rule.variables.size());
    const auto& [r, from, to] = group[0];
    rule.from =
        from.before + from.word.substr(0, s_begin) + hole + from.word.substr(from.word.size() - s_end) + from.after;
    rule.to = to.before + to.word.substr(0, t_begin) + hole + to.word.substr(to.word.size() - t_end) + to.after;
    rule.variables.push_back(std::move(words));
    return rule;
  }

  // ------------------------------------------------------------ no key but its own

  void all_keys(uint32_t source) {
    keys_.clear();
    const Manifest& manifest = problem_.sources[source].source->manifest();
    for (uint32_t t = 0; t < manifest.size(); ++t)
      if (is_below_root({source, t})) keys_.emplace_back(key_of({source, t}), Ref{source, t});
    std::sort(keys_.begin(), keys_.end());
  }

  std::string regex_of(const PatternRule& rule, const std::string& pattern) const {
    std::string regex;
    for (const auto& token : tokens_of(pattern)) {
      using Kind = PatternToken::Kind;
      if (token.kind == Kind::text)
        regex += RE2::QuoteMeta(token.text);
      else if (token.kind == Kind::rest)
        regex += "(?s:.+)";
      else {
        std::vector<std::string> texts;
        if (token.kind == Kind::each) {
          for (int64_t n = rule.operation.first; rule.operation.gathers() && n <= rule.operation.last; ++n)
            texts.push_back(std::to_string(n));
        } else if (token.kind == Kind::part) {
          for (const auto& name : rule.operation.names) texts.push_back(RE2::QuoteMeta(name));
        } else if (token.variable < rule.variables.size()) {
          const Variable& variable = rule.variables[token.variable];
          if (!variable.index || variable.listed)
            for (const auto& [value, ignored] : variable.values) texts.push_back(RE2::QuoteMeta(value));
        }
        if (texts.empty())
          regex += "[0-9]+";
        else {
          regex += "(?:";
          for (size_t i = 0; i < texts.size(); ++i) regex += (i > 0 ? "|" : "") + texts[i];
          regex += ")";
        }
      }
    }
    return regex;
  }

  static std::string regex_of_except(const std::string& pattern) {
    std::string regex;
    for (const auto& token : tokens_of(pattern)) {
      using Kind = PatternToken::Kind;
      regex += token.kind == Kind::text   ? RE2::QuoteMeta(token.text)
               : token.kind == Kind::rest ? "(?s:.+)"
               : token.kind == Kind::part ? "[^./]+"
                                          : "[0-9]+";
    }
    return regex;
  }

  // Whether the rule would take a key that is not its own, or leaves one of its own out.
  bool takes_others(const PatternRule& rule) const {
    const std::set<Ref> own(rule.refs.begin(), rule.refs.end());
    const RE2 pattern(regex_of(rule, rule.from), RE2::Quiet);
    std::vector<std::unique_ptr<RE2>> except;
    for (const auto& text : rule.except) except.push_back(std::make_unique<RE2>(regex_of_except(text), RE2::Quiet));
    const auto first = tokens_of(rule.from);
    const std::string prefix = first.empty() || first[0].kind != PatternToken::Kind::text ? "" : first[0].text;
    auto it = std::lower_bound(keys_.begin(), keys_.end(), prefix,
                               [](const auto& entry, const std::string& p) { return entry.first < p; });
    for (; it != keys_.end() && it->first.starts_with(prefix); ++it) {
      if (!RE2::FullMatch(it->first, pattern)) continue;
      const bool excepted =
          std::any_of(except.begin(), except.end(), [&](const auto& e) { return RE2::FullMatch(it->first, *e); });
      if (excepted == own.contains(it->second)) return true;
    }
    return false;
  }

  std::vector<PatternRule> narrowed(PatternRule rule) {
    if (!takes_others(rule)) return {std::move(rule)};
    PatternRule listed = rule;
    for (auto& variable : listed.variables) variable.listed = variable.index && variable.values.size() <= 64;
    if (!takes_others(listed)) return {std::move(listed)};
    for (PatternRule one : {rule, listed})
      if (give_end(one) && !takes_others(one)) return {std::move(one)};
    std::vector<PatternRule> result;
    const auto parts = rule.parts.empty() ? literal_rules(rule) : std::move(rule.parts);
    for (PatternRule part : parts) {
      if (parts.size() == 1 && takes_others(part)) give_end(part);
      if (parts.size() == 1)
        result.push_back(part);
      else
        for (auto& good : narrowed(part)) result.push_back(std::move(good));
    }
    return result;
  }

  // Numbered parts that other numbers follow which are not the rule's: how many there are is said. False: the relations
  // differ in it.
  bool give_end(PatternRule& rule) const {
    Operation& o = rule.operation;
    if (!o.gathers() || o.last >= 0 || rule.relations.empty() || rule.from.find(kEach) == std::string::npos)
      return false;
    const size_t parts = o.kind == Relation::Kind::stack_concat ? o.names.size() : 1,
                 count = findings_.relations[rule.relations[0]].sources.size();
    for (const size_t r : rule.relations)
      if (findings_.relations[r].sources.size() != count) return false;
    o.last = o.first + static_cast<int64_t>(count / parts) - 1;
    return true;
  }

  PatternRule literal_rule(const Pair& pair, uint32_t source) {
    PatternRule one;
    one.source = source;
    one.operation = operations_[pair.operation];
    one.from = pair.s;
    one.to = pair.t;
    add_relation(one, pair.relation);
    return one;
  }

  // One rule a relation, without variables.
  std::vector<PatternRule> literal_rules(const PatternRule& rule) {
    std::vector<PatternRule> rules;
    if (rule.kind == PatternRule::Kind::drop) {
      for (const Ref ref : rule.refs) {
        PatternRule one = rule;
        one.variables.clear();
        one.from = key_of(ref);
        one.refs = {ref};
        rules.push_back(std::move(one));
      }
      return rules;
    }
    for (const size_t r : rule.relations) {
      auto pair = pair_of(findings_.relations[r]);
      pair->relation = r;
      rules.push_back(literal_rule(*pair, rule.source));
    }
    return rules;
  }

  void note_checks(PatternRule& rule) const {
    std::set<std::string> known;
    for (const size_t r : rule.relations)
      if (const auto it = lessons_.open.find(r); it != lessons_.open.end() && known.insert(it->second).second)
        rule.open.push_back(it->second);
    for (const size_t r : rule.relations)
      for (const auto& check : findings_.relations[r].checks)
        if (known.insert(check).second) rule.checks.push_back(check);
    if (rule.checks.size() <= kMaxChecks) return;
    std::stable_partition(rule.checks.begin(), rule.checks.end(),
                          [](const std::string& check) { return !check.ends_with(kFitsAsWell); });
    const size_t more = rule.checks.size() - kMaxChecks + 1;
    rule.checks.resize(kMaxChecks - 1);
    rule.checks.push_back(fmt::format("and {} more reasons", more));
  }

  const Problem& problem_;
  const Findings& findings_;
  const std::vector<std::string>& roots_;
  const Lessons& lessons_;
  std::vector<Counted> counted_;  // a source each
  Counted counted_target_;
  std::vector<size_t>& left_;
  std::vector<Operation> operations_;
  std::vector<std::pair<std::string, Ref>> keys_;
};

}  // namespace

std::vector<PatternRule> generalise(const Problem& problem, const Findings& findings,
                                    const std::vector<std::string>& roots, const Lessons& lessons,
                                    std::vector<size_t>& left) {
  return Generaliser(problem, findings, roots, lessons, left).run();
}

}  // namespace remap::infer
