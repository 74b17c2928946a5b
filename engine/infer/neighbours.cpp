// Relations whose keys are those of a known one, but for a number or a word.
#include <algorithm>
#include <map>

#include "infer/key_text.h"
#include "infer/value_search.h"
#include "infer/vocabulary.h"

namespace remap::infer {
namespace {

// The open tensors by their keys.
struct OpenTensors {
  std::map<std::string, uint32_t> targets;
  std::map<std::pair<uint32_t, std::string>, Ref> sources;

  explicit OpenTensors(const ValueSearch& search) {
    for (uint32_t t = 0; t < search.targets.size(); ++t)
      if (!search.targets[t].done) targets.emplace(search.target_key(t), t);
    for (size_t s = 0; s < search.sources.size(); ++s)
      if (search.is_open_source(s)) {
        const Ref ref = search.sources[s].ref;
        sources.emplace(std::pair(ref.source, search.source_key(s)), ref);
      }
  }
};

// The relation between other keys: those of its sources and of its targets; nullopt: they are not all open.
std::optional<Relation> with_keys(Relation relation, const std::vector<std::string>& sources,
                                  const std::vector<std::string>& targets, const OpenTensors& open) {
  for (size_t i = 0; i < sources.size(); ++i) {
    const auto it = open.sources.find({relation.sources[i].source, sources[i]});
    if (it == open.sources.end()) return std::nullopt;
    relation.sources[i] = it->second;
  }
  for (size_t i = 0; i < targets.size(); ++i) {
    if (relation.targets[i] == Relation::kNoPart) continue;
    const auto it = open.targets.find(targets[i]);
    if (it == open.targets.end()) return std::nullopt;
    relation.targets[i] = it->second;
  }
  return relation;
}

std::vector<std::string> source_keys_of(const ValueSearch& search, const Relation& relation) {
  std::vector<std::string> keys;
  for (const Ref ref : relation.sources) keys.push_back(search.problem.key(ref));
  return keys;
}

// "" for parts that another relation takes.
std::vector<std::string> target_keys_of(const ValueSearch& search, const Relation& relation) {
  std::vector<std::string> keys;
  for (const uint32_t t : relation.targets) keys.push_back(t == Relation::kNoPart ? "" : search.target_key(t));
  return keys;
}

bool take_if_true(ValueSearch& search, Relation relation) {
  if (!is_open(search, relation) || !holds(search, relation)) return false;
  search.take(std::move(relation));
  return true;
}

}  // namespace

std::vector<std::string> renumbered(const std::vector<std::string>& parts, const std::string& from,
                                    const std::string& to) {
  std::vector<Numbered> all;
  for (const auto& part : parts) all.push_back(numbered(part));
  const auto first = std::find_if(parts.begin(), parts.end(), [](const std::string& part) { return !part.empty(); });
  if (first == parts.end()) return {};
  const Numbered model = numbered(*first), before = numbered(from), after = numbered(to);
  for (size_t c = 0; c < model.numbers.size(); ++c)
    for (size_t d = 0; d < before.numbers.size(); ++d) {
      const auto own = std::stoll(before.numbers[d]), add = std::stoll(model.numbers[c]) - own,
                 moved = std::stoll(after.numbers[d]) + add;
      const bool alike = std::all_of(all.begin(), all.end(), [&](const Numbered& one) {
        return one.numbers.empty() || (c < one.numbers.size() && std::stoll(one.numbers[c]) - own == add);
      });
      if (!alike || moved < 0 || (add != 0 && before.numbers[d] == after.numbers[d])) continue;
      for (Numbered& one : all)
        if (c < one.numbers.size()) one.numbers[c] = std::to_string(moved);
      break;
    }
  std::vector<std::string> result;
  for (const Numbered& one : all) result.push_back(one.joined());
  return result;
}

void match_neighbours(ValueSearch& search) {
  const OpenTensors open(search);
  std::map<std::pair<uint32_t, KeyForm>, std::vector<std::string>> sources;
  std::map<KeyForm, std::vector<std::string>> targets;
  for (uint32_t t = 0; t < search.targets.size(); ++t)
    if (!search.targets[t].done) targets[numbered(search.target_key(t)).shape()].push_back(search.target_key(t));
  for (size_t s = 0; s < search.sources.size(); ++s)
    if (search.is_open_source(s))
      sources[{search.sources[s].ref.source, numbered(search.source_key(s)).shape()}].push_back(search.source_key(s));
  if (sources.empty() || targets.empty()) return;
  const size_t count = search.findings.relations.size();
  for (size_t r = 0; r < count; ++r) {
    const Relation known = search.findings.relations[r];
    const bool cutting = known.cuts();
    if (known.kind == Relation::Kind::rename || known.kind == Relation::Kind::replicated) continue;
    const auto own_sources = source_keys_of(search, known), own_targets = target_keys_of(search, known);
    const std::string& whole = cutting ? own_sources[0] : own_targets[0];
    const KeyForm shape = numbered(whole).shape();
    const auto& others = cutting ? sources[{known.sources[0].source, shape}] : targets[shape];
    for (const std::string& other : others) {
      const auto parts = renumbered(cutting ? own_targets : own_sources, whole, other);
      if (parts.empty()) continue;
      auto relation =
          with_keys(known, cutting ? std::vector{other} : parts, cutting ? parts : std::vector{other}, open);
      if (relation) take_if_true(search, std::move(*relation));
    }
  }
}

void match_siblings(ValueSearch& search) {
  const OpenTensors open(search);
  if (open.sources.empty() || open.targets.empty()) return;
  const auto siblings = [](std::vector<std::string> keys) {
    for (std::string& key : keys)
      key = key.ends_with(kWeight) ? key.substr(0, key.size() - kWeight.size()) + std::string(kBias) : "";
    return keys;
  };
  const size_t count = search.findings.relations.size();
  for (size_t r = 0; r < count; ++r) {
    const Relation& known = search.findings.relations[r];
    if (known.kind == Relation::Kind::rename) continue;
    auto relation =
        with_keys(known, siblings(source_keys_of(search, known)), siblings(target_keys_of(search, known)), open);
    if (!relation || relation->layout.order.size() > 1) continue;
    if (relation->layout.regroup_axis > 0 || !relation->layout.reshape.empty()) relation->layout = {};
    take_if_true(search, std::move(*relation));
  }
}

}  // namespace remap::infer
