#include "infer/indices.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>

#include "infer/key_text.h"

namespace remap::infer {
namespace {

// Pairs of one operation whose keys differ in numbers only. Columns are the places of numbers.
struct Group {
  std::vector<const KeyPair*> pairs;
  std::vector<NumberedForm> sources, targets;
  void add(const KeyPair* pair, NumberedForm source, NumberedForm target) {
    pairs.push_back(pair);
    sources.push_back(std::move(source));
    targets.push_back(std::move(target));
  }
};

int64_t number_at(const NumberedForm& key, size_t column) { return std::stoll(key.numbers[column]); }

bool varies(const std::vector<NumberedForm>& side, size_t column) {
  return std::any_of(side.begin(), side.end(),
                     [&](const auto& key) { return key.numbers[column] != side[0].numbers[column]; });
}

// Columns that do not vary, but count 0, 1, 2 … under their prefix on both sides: they are indices too.
struct Constants {
  std::set<size_t> source, target;
};

Constants counted_constants(const Group& group, const CountedPrefixes& counted) {
  Constants constants;
  const NumberedForm &s = group.sources[0], &t = group.targets[0];
  for (size_t c = 0; c < s.numbers.size(); ++c) {
    if (varies(group.sources, c) || !counted.source.contains(s.prefix(c))) continue;
    for (size_t d = 0; d < t.numbers.size(); ++d) {
      if (varies(group.targets, d) || constants.target.contains(d) || t.numbers[d] != s.numbers[c] ||
          !counted.target.contains(t.prefix(d)))
        continue;
      constants.source.insert(c);
      constants.target.insert(d);
      break;
    }
  }
  return constants;
}

// Where the numbers of the targets come from.
struct Origins {
  std::vector<size_t> open;  // columns of the source that are variables
  struct Origin {
    size_t column;
    int64_t add;
  };
  std::vector<std::optional<Origin>> of;  // of each column of the target; nullopt: it does not vary
  bool explained = false;                 // all that varies comes from somewhere, and is used
};

int64_t offset(const Group& group, size_t pair, size_t source, size_t target) {
  return number_at(group.targets[pair], target) - number_at(group.sources[pair], source);
}

// The same number comes before a moved one, and one that is not used yet before one that is.
std::optional<Origins::Origin> origin_of(const Group& group, size_t target, const std::vector<size_t>& columns,
                                         const std::set<size_t>& used) {
  for (const bool exact : {true, false})
    for (const bool fresh : {true, false})
      for (const size_t column : columns) {
        const int64_t add = offset(group, 0, column, target);
        if (used.contains(column) == fresh || exact != (add == 0)) continue;
        size_t same = 1;
        while (same < group.pairs.size() && offset(group, same, column, target) == add) ++same;
        if (same == group.pairs.size()) return Origins::Origin{column, add};
      }
  return std::nullopt;
}

Origins origins_of(const Group& group, const Constants& constants) {
  Origins origins;
  for (size_t c = 0; c < group.sources[0].numbers.size(); ++c)
    if (constants.source.contains(c) || varies(group.sources, c)) origins.open.push_back(c);
  origins.of.resize(group.targets[0].numbers.size());
  if (origins.open.size() > kMaxVariables) return origins;
  std::set<size_t> used;
  for (size_t c = 0; c < origins.of.size(); ++c) {
    const bool constant = constants.target.contains(c);
    if (!constant && !varies(group.targets, c)) continue;
    std::vector<size_t> columns = origins.open;
    std::erase_if(columns, [&](size_t column) { return constants.source.contains(column) != constant; });
    origins.of[c] = origin_of(group, c, columns, used);
    if (!origins.of[c]) return origins;
    used.insert(origins.of[c]->column);
  }
  origins.explained = used.size() == origins.open.size();
  return origins;
}

// The column that is rather a name: the one with the fewest values.
size_t name_column(const Group& group, const std::vector<size_t>& open) {
  size_t best = open[0], fewest = std::numeric_limits<size_t>::max();
  for (const size_t column : open) {
    std::set<std::string> values;
    for (const auto& key : group.sources) values.insert(key.numbers[column]);
    if (values.size() < fewest) best = column, fewest = values.size();
  }
  return best;
}

Variable index_variable(const Group& group, size_t column) {
  Variable variable;
  variable.index = true;
  std::set<std::string> known;
  for (const auto& key : group.sources)
    if (const auto& number = key.numbers[column]; known.insert(number).second)
      variable.values.emplace_back(number, number);
  std::sort(variable.values.begin(), variable.values.end(),
            [](const auto& a, const auto& b) { return std::stoll(a.first) < std::stoll(b.first); });
  return variable;
}

PatternRule rule_of(const Group& group, const Origins& origins, uint32_t source, const Findings& findings,
                    const Operations& operations) {
  PatternRule rule;
  rule.source = source;
  rule.operation = operations[group.pairs[0]->operation];
  std::map<size_t, size_t> variables;  // column -> variable
  for (const size_t column : origins.open) {
    variables.emplace(column, rule.variables.size());
    rule.variables.push_back(index_variable(group, column));
  }
  const NumberedForm &s = group.sources[0], &t = group.targets[0];
  rule.from = s.texts[0];
  for (size_t c = 0; c < s.numbers.size(); ++c) {
    const auto variable = variables.find(c);
    if (variable == variables.end())
      rule.from += s.numbers[c];
    else
      rule.from += KeyForm::variable(variable->second);
    rule.from += s.texts[c + 1];
  }
  rule.to = t.texts[0];
  for (size_t c = 0; c < t.numbers.size(); ++c) {
    if (const auto& origin = origins.of[c])
      rule.to += KeyForm::variable(variables.at(origin->column), origin->add);
    else
      rule.to += t.numbers[c];
    rule.to += t.texts[c + 1];
  }
  for (const KeyPair* pair : group.pairs) rule.add_relation(findings, pair->relation);
  return rule;
}

}  // namespace

std::vector<PatternRule> with_indices(const std::vector<KeyPair>& pairs, uint32_t source, const Findings& findings,
                                      const Operations& operations, const CountedPrefixes& counted) {
  std::vector<PatternRule> rules;
  // `counting`: numbers that do not vary may be indices.
  const std::function<void(const Group&, bool)> add = [&](const Group& group, bool counting) {
    const Constants constants = counting ? counted_constants(group, counted) : Constants{};
    const Origins origins = origins_of(group, constants);
    if (origins.explained) {
      rules.push_back(rule_of(group, origins, source, findings, operations));
      return;
    }
    if (!constants.source.empty()) return add(group, false);
    if (origins.open.empty()) {  // the sources are the same, and the targets are not
      for (const KeyPair* pair : group.pairs) rules.push_back(literal_rule(*pair, source, findings, operations));
      return;
    }
    const size_t column = name_column(group, origins.open);
    std::map<std::string, Group> by_value;
    for (size_t i = 0; i < group.pairs.size(); ++i)
      by_value[group.sources[i].numbers[column]].add(group.pairs[i], group.sources[i], group.targets[i]);
    for (const auto& [value, same] : by_value) add(same, counting);
  };
  std::map<std::tuple<size_t, KeyForm, KeyForm>, Group> groups;
  for (const KeyPair& pair : pairs) {
    auto s = numbered(pair.source), t = numbered(pair.target);
    Group& group = groups[{pair.operation, s.shape(), t.shape()}];
    group.add(&pair, std::move(s), std::move(t));
  }
  for (const auto& [key, group] : groups) add(group, true);
  return rules;
}

PatternRule literal_rule(const KeyPair& pair, uint32_t source, const Findings& findings, const Operations& operations) {
  PatternRule rule;
  rule.source = source;
  rule.operation = operations[pair.operation];
  rule.from = pair.source;
  rule.to = pair.target;
  rule.add_relation(findings, pair.relation);
  return rule;
}

}  // namespace remap::infer
