#include "infer/key_pairs.h"

#include <algorithm>

#include <fmt/format.h>

#include "infer/key_text.h"

namespace remap::infer {
namespace {

template <typename Text>
KeyForm with_token(const PlaceIn<Text>& place, const KeyForm& token) {
  return KeyForm() + place.before + token + place.after;
}

}  // namespace

size_t Operations::number_of(Operation operation) {
  const auto it = std::find(list_.begin(), list_.end(), operation);
  if (it != list_.end()) return static_cast<size_t>(it - list_.begin());
  list_.push_back(std::move(operation));
  return list_.size() - 1;
}

std::optional<KeyPair> pair_of(const Problem& problem, const Findings& findings, const Roots& roots,
                               size_t number_of_relation, Operations& operations) {
  const Relation& relation = findings.relations[number_of_relation];
  const auto key_of = [&](Ref ref) { return key_below_root(problem, roots, ref); };
  const auto keys_of = [&](const std::vector<Ref>& refs) {
    std::vector<std::string> keys;
    for (const Ref ref : refs) keys.push_back(key_of(ref));
    return keys;
  };
  for (const Ref ref : relation.sources)
    if (!can_be_written(key_of(ref)) || ref.source != relation.sources.front().source) return std::nullopt;
  std::vector<std::string> targets;
  for (const uint32_t t : relation.targets) {
    if (t == Relation::kNoPart) continue;
    targets.push_back(problem.info(t).key);
    if (!can_be_written(targets.back())) return std::nullopt;
  }
  Operation operation;
  operation.kind = relation.kind;
  operation.axis = relation.axis, operation.inner_axis = relation.inner_axis;
  operation.layout = relation.layout;
  operation.cast = relation.cast;
  operation.groups = relation.groups;
  if (relation.layout.regroup_axis >= 0 || !relation.layout.reshape.empty() || relation.groups > 1)
    operation.shape = problem.info(relation.sources.front()).shape;
  if (std::adjacent_find(relation.sizes.begin(), relation.sizes.end(), std::not_equal_to<>()) != relation.sizes.end() &&
      relation.cuts())
    operation.sizes = relation.sizes;
  KeyPair pair;
  pair.relation = number_of_relation;
  using Kind = Relation::Kind;
  // Numbered parts: from which number on. What is left of others has an end too.
  const auto number = [&](const auto& place) {
    operation.first = std::stoll(place.names[0]);
    if (operation.first > 0 && operation.gathers())
      operation.last = operation.first + static_cast<int64_t>(place.names.size()) - 1;
  };
  switch (relation.kind) {
    case Kind::rename:
      pair.source = KeyForm(key_of(relation.sources[0]));
      pair.target = KeyForm(targets[0]);
      break;
    case Kind::split_each: {
      const auto place = counting_place(targets);
      if (!place) return std::nullopt;
      pair.source = KeyForm(key_of(relation.sources[0]));
      pair.target = with_token(*place, KeyForm::each());
      number(*place);
      break;
    }
    case Kind::split_into: {
      pair.source = KeyForm(key_of(relation.sources[0]));
      const auto place = targets.size() > 1 ? differing_place(targets) : std::optional(Place{targets[0], "", {"part"}});
      if (!place) return std::nullopt;
      pair.target = targets.size() > 1 ? with_token(*place, KeyForm::part()) : KeyForm(targets[0]);
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
      pair.source = with_token(*place, counted ? KeyForm::each() : KeyForm::part());
      pair.target = KeyForm(targets[0]);
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
        pair.source = with_token(*counted, KeyForm::each());
        pair.target = KeyForm(targets[0]);
        number(*counted);
        break;
      }
      if (relation.kind == Kind::replicated) return std::nullopt;
      const auto place = differing_place(keys);
      if (!place) return std::nullopt;
      pair.source = with_token(*place, KeyForm::part());
      pair.target = KeyForm(targets[0]);
      operation.names = place->names;
      break;
    }
    case Kind::split_each_into: {
      const size_t parts = relation.sizes.size();
      std::vector<KeyForm> each;
      for (size_t i = 0; i < targets.size(); i += parts) {
        const auto place = differing_place({targets.begin() + static_cast<std::ptrdiff_t>(i),
                                            targets.begin() + static_cast<std::ptrdiff_t>(i + parts)});
        if (!place || (i > 0 && place->names != operation.names)) return std::nullopt;
        operation.names = place->names;
        each.push_back(with_token(*place, KeyForm::part()));
      }
      const auto place = each.size() > 1 ? counting_place(each) : std::nullopt;
      if (!place) return std::nullopt;
      pair.source = KeyForm(key_of(relation.sources[0]));
      pair.target = with_token(*place, KeyForm::each());
      number(*place);
      break;
    }
    case Kind::stack_concat: {
      const size_t parts = relation.sizes.size();
      std::vector<KeyForm> each;
      for (size_t i = 0; i < relation.sources.size(); i += parts) {
        const auto place =
            differing_place(keys_of({relation.sources.begin() + static_cast<std::ptrdiff_t>(i),
                                     relation.sources.begin() + static_cast<std::ptrdiff_t>(i + parts)}));
        if (!place || (i > 0 && place->names != operation.names)) return std::nullopt;
        operation.names = place->names;
        each.push_back(with_token(*place, KeyForm::part()));
      }
      const auto place = each.size() > 1 ? counting_place(each) : std::nullopt;
      if (!place) return std::nullopt;
      pair.source = with_token(*place, KeyForm::each());
      pair.target = KeyForm(targets[0]);
      number(*place);
      if (relation.groups > 1)
        operation.total = problem.info(relation.targets[0]).shape[static_cast<size_t>(relation.inner_axis) + 1];
      break;
    }
  }
  for (const auto& name : operation.names)
    if (name.find_first_of("|}:, ") != std::string::npos) return std::nullopt;
  pair.operation = operations.number_of(std::move(operation));
  return pair;
}

namespace {

std::vector<KeyPair> writable_pairs_of(const Problem& problem, const Findings& findings, const Roots& roots,
                                       uint32_t source, const std::set<size_t>& out, Operations& operations,
                                       std::vector<size_t>& left) {
  std::vector<KeyPair> pairs;
  for (size_t r = 0; r < findings.relations.size(); ++r) {
    if (findings.relations[r].sources.front().source != source) continue;
    auto pair = out.contains(r) ? std::nullopt : pair_of(problem, findings, roots, r, operations);
    if (pair)
      pairs.push_back(std::move(*pair));
    else
      left.push_back(r);
  }
  return pairs;
}

}  // namespace

std::vector<KeyPair> pairs_of(const Problem& problem, const Findings& findings, const Roots& roots, uint32_t source,
                              const std::set<size_t>& out, Operations& operations, std::vector<size_t>& left) {
  auto pairs = writable_pairs_of(problem, findings, roots, source, out, operations, left);
  // Relations share a source tensor: where one of them has no rule, none has.
  while (true) {
    std::set<Ref> dropped;
    for (const size_t r : left)
      dropped.insert(findings.relations[r].sources.begin(), findings.relations[r].sources.end());
    const auto is_dropped = [&](const KeyPair& pair) {
      const auto& refs = findings.relations[pair.relation].sources;
      return std::any_of(refs.begin(), refs.end(), [&](Ref ref) { return dropped.contains(ref); });
    };
    const size_t before = left.size();
    for (const KeyPair& pair : pairs)
      if (is_dropped(pair)) left.push_back(pair.relation);
    std::erase_if(pairs, is_dropped);
    if (left.size() == before) return pairs;
  }
}

}  // namespace remap::infer
