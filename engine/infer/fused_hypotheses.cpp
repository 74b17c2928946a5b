// Tensors that are made of several, or become several: query, key and value in one matrix.
#include <algorithm>
#include <map>
#include <set>

#include "infer/hypotheses.h"
#include "infer/key_text.h"
#include "infer/key_words.h"
#include "infer/vocabulary.h"

namespace remap::infer {
namespace {

using Side = std::vector<KeyTemplate>;
constexpr size_t kMaxUnnamedParts = 4;  // whose words have no role

// Templates that differ in one word.
struct Family {
  KeyForm before, after;  // around the word
  // What else the word says -> role -> template: q_norm is not a sibling of k_proj.
  std::map<std::string, std::map<std::string, size_t>> roles;
  std::vector<size_t> members;
};

std::string rest_of(const std::string& word, const std::string& role) {
  std::string rest;
  for (const auto& w : words_of(word))
    if (w != role && w != kFirstMatrix && w != kThirdMatrix) rest += w + ' ';
  return rest;
}

std::vector<Family> families_of(const Side& side) {
  std::map<std::pair<KeyForm, KeyForm>, Family> found;
  for (size_t i = 0; i < side.size(); ++i) {
    const KeyForm& key = side[i].key;
    auto ends = key.separators();
    ends.push_back(key.size());
    size_t begin = 0;
    for (const size_t end : ends) {
      const std::string word = key.substr(begin, end - begin).shown("#");
      Family& family = found[{key.substr(0, begin), key.substr(end)}];
      family.before = key.substr(0, begin), family.after = key.substr(end);
      family.members.push_back(i);
      for (const auto& role : part_roles(word)) family.roles[rest_of(word, role)].emplace(role, i);
      begin = end + 1;
    }
  }
  std::vector<Family> result;
  for (auto& [key, family] : found)
    if (family.members.size() >= 2) result.push_back(std::move(family));
  return result;
}

// The lists of members that may be the parts of a tensor, in the order in which they stand in it.
std::vector<std::vector<size_t>> part_lists(const Family& family, const Side& side) {
  std::vector<std::vector<size_t>> lists;
  for (const auto& [rest, members] : family.roles)
    for (const auto& roles : fused_orders()) {
      std::vector<size_t> list;
      for (const auto& role : roles)
        if (const auto it = members.find(role); it != members.end()) list.push_back(it->second);
      if (list.size() == roles.size() && std::set<size_t>(list.begin(), list.end()).size() == list.size())
        lists.push_back(std::move(list));
    }
  if (!lists.empty() || family.members.size() > kMaxUnnamedParts) return lists;
  const bool near_end = family.after.segments().size() <= 2;
  const bool tensors_of_module =
      family.after.empty() && std::all_of(family.members.begin(), family.members.end(),
                                          [&](size_t i) { return is_tensor_of_module(last_segment(side[i])); });
  if (near_end && !tensors_of_module) lists.push_back(family.members);
  return lists;
}

// The axis along which the parts add up to the whole; nullopt: they do not.
std::optional<int> axis_of_parts(const Shape& whole, const std::vector<Shape>& parts) {
  for (size_t axis = 0; axis < whole.size(); ++axis) {
    int64_t sum = 0;
    const auto fits = [&](const Shape& part) {
      if (part.size() != whole.size()) return false;
      for (size_t d = 0; d < whole.size(); ++d)
        if (d != axis && part[d] != whole[d]) return false;
      sum += part[axis];
      return true;
    };
    if (std::all_of(parts.begin(), parts.end(), fits) && sum == whole[axis]) return static_cast<int>(axis);
  }
  return std::nullopt;
}

bool are_alike(const std::vector<size_t>& parts, const Side& side) {
  const KeyTemplate& first = side[parts[0]];
  return std::all_of(parts.begin(), parts.end(), [&](size_t part) {
    const KeyTemplate& one = side[part];
    return one.numbers == first.numbers && one.is_uniform() && one.floating == first.floating && one.ranks == 1;
  });
}

// What the names of the whole and of its parts say.
double name_score(const KeyTemplate& whole, const KeyTemplate& first, size_t parts, bool named,
                  const std::vector<std::string>& module, const Weights& weights) {
  double score = alikeness(module, whole.words, weights.word_decay);
  switch (fused_name(whole.text, parts)) {
    case FusedName::of_as_many: score += weights.fused_name + weights.fused_of_as_many; break;
    case FusedName::of_others: score += weights.fused_name; break;
    case FusedName::none: score -= parts > 2 && named ? 0 : weights.fused_unlikely; break;
  }
  if (!named) score -= weights.unnamed_parts;
  if (first.leaf == whole.leaf)
    score += weights.fused_same_leaf;
  else if (is_tensor_of_module(first.leaf) && is_tensor_of_module(whole.leaf))
    score -= weights.fused_other_tensor;
  return score;
}

// One whole for these parts, on the other side. `joining`: the parts are sources.
void add_wholes(const std::vector<size_t>& parts, const Family& family, bool joining, const Templates& templates,
                const Weights& weights, std::vector<Hypothesis>& all) {
  const Side &side = joining ? templates.source : templates.target,
             &others = joining ? templates.target : templates.source;
  if (!are_alike(parts, side)) return;
  const KeyTemplate& first = side[parts[0]];
  std::vector<Shape> shapes;
  for (const size_t part : parts) shapes.push_back(side[part].shape());
  const auto module =
      roles_of((family.before + "fused" + family.after).shown("#"), [](const std::string&) { return false; });
  for (size_t w = 0; w < others.size(); ++w) {
    const KeyTemplate& whole = others[w];
    if (whole.floating != first.floating || !whole.is_uniform() || whole.ranks > 1) continue;
    Hypothesis one;
    (joining ? one.sources : one.targets) = parts;
    (joining ? one.targets : one.sources) = {w};
    std::optional<int> axis;
    if (whole.numbers == first.numbers) {
      axis = axis_of_parts(whole.shape(), shapes);
      one.kind = joining ? Relation::Kind::concat : Relation::Kind::split_into;
    }
    if (!axis && joining && first.columns == whole.columns + 1 && whole.shape().size() == first.shape().size() + 1) {
      const auto column = stacked_column(first, whole);
      if (column) axis = axis_of_parts(Shape(whole.shape().begin() + 1, whole.shape().end()), shapes);
      one.kind = Relation::Kind::stack_concat;
      one.column = column.value_or(0);
    }
    if (!axis) continue;
    one.axis = *axis;
    one.base = name_score(whole, first, parts.size(), !family.roles.empty(), module, weights);
    all.push_back(std::move(one));
  }
}

}  // namespace

FusedName fused_name(const std::string& text, size_t parts) {
  FusedName best = FusedName::none;
  const std::string near = text.substr(parent_of(parent_of(text)).size());
  for (const auto& [name, count] : fused_names())
    if (near.find(name) != std::string::npos)
      best = std::max(best, count == parts ? FusedName::of_as_many : FusedName::of_others);
  return best;
}

std::vector<Hypothesis> fused_hypotheses(const Templates& templates, const Weights& weights) {
  std::vector<Hypothesis> all;
  for (const bool joining : {false, true}) {
    const Side& side = joining ? templates.source : templates.target;
    for (const Family& family : families_of(side))
      for (const auto& parts : part_lists(family, side)) add_wholes(parts, family, joining, templates, weights, all);
  }
  return all;
}

}  // namespace remap::infer
