#include "infer/pattern_rule.h"

#include <algorithm>

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

void PatternRule::add_relation(const Findings& findings, size_t relation) {
  relations.push_back(relation);
  const auto& own = findings.relations[relation].sources;
  refs.insert(refs.end(), own.begin(), own.end());
}

void PatternRule::add_relations(const PatternRule& other) {
  relations.insert(relations.end(), other.relations.begin(), other.relations.end());
  refs.insert(refs.end(), other.refs.begin(), other.refs.end());
}

}  // namespace remap::infer
