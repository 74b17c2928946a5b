#include <algorithm>
#include <map>

#include "base/json_members.h"
#include "remap/plan_diff.h"

namespace remap {
namespace {

// Sorted lists in step: `visit` gets the pair of entries with one key; null where a list has none.
template <typename Entry, typename Key, typename Visit>
void merge_by_key(const std::vector<Entry>& before, const std::vector<Entry>& after, const Key& key,
                  const Visit& visit) {
  std::map<std::string, std::pair<const Entry*, const Entry*>> pairs;
  for (const Entry& entry : before) pairs[key(entry, true)].first = &entry;
  for (const Entry& entry : after) pairs[key(entry, false)].second = &entry;
  for (const auto& [name, pair] : pairs) visit(name, pair.first, pair.second);
}

bool same_piece(const Plan& a, const Piece& x, const Plan& b, const Piece& y) {
  const PlanSource &from = a.sources[x.source], &to = b.sources[y.source];
  return x.axes == y.axes && x.target_origin == y.target_origin && x.source_origin == y.source_origin &&
         from.name == to.name && (*from.manifest)[x.tensor].key == (*to.manifest)[y.tensor].key;
}

bool same_source(const Plan& a, const PlannedTensor& x, const Plan& b, const PlannedTensor& y) {
  return x.fill == y.fill && x.filled == y.filled &&
         std::equal(x.pieces.begin(), x.pieces.end(), y.pieces.begin(), y.pieces.end(),
                    [&](const Piece& p, const Piece& q) { return same_piece(a, p, b, q); });
}

void compare_fields(const std::string& file, const std::string& prefix, const Json& before, const Json& after,
                    std::vector<FieldChange>& changes) {
  if (before == after) return;
  if (!before.is_object() || !after.is_object()) {
    changes.push_back({file, prefix, before, after});
    return;
  }
  const JsonMembers old_members(before), new_members(after);
  for (const auto& [name, value] : before.items()) {
    const std::string field = prefix.empty() ? name : prefix + "." + name;
    if (const Json* changed = new_members.find(name))
      compare_fields(file, field, value, *changed, changes);
    else
      changes.push_back({file, field, value, std::nullopt});
  }
  for (const auto& [name, value] : after.items())
    if (old_members.find(name) == nullptr)
      changes.push_back({file, prefix.empty() ? name : prefix + "." + name, std::nullopt, value});
}

void compare_files(const Plan& before, const Plan& after, std::vector<FieldChange>& changes) {
  compare_fields("config.json", "", before.config, after.config, changes);
  merge_by_key(
      before.files, after.files, [](const auto& file, bool) { return file.first; },
      [&](const std::string& name, const auto* a, const auto* b) {
        if (a && b)
          compare_fields(name, "", a->second, b->second, changes);
        else
          changes.push_back(
              {name, "", a ? std::optional(a->second) : std::nullopt, b ? std::optional(b->second) : std::nullopt});
      });
}

}  // namespace

PlanDiff diff_plans(const Plan& before, const Plan& after) {
  PlanDiff diff;
  diff.before = &before;
  diff.after = &after;
  merge_by_key(
      before.tensors, after.tensors, [](const PlannedTensor& t, bool) { return t.key; },
      [&](const std::string& key, const PlannedTensor* a, const PlannedTensor* b) {
        TensorChange change{key, a, b};
        if (a && b) {
          change.dtype = a->dtype != b->dtype;
          change.shape = a->shape != b->shape;
          change.source = !same_source(before, *a, after, *b);
          if (!change.dtype && !change.shape && !change.source) {
            ++diff.n_same;
            return;
          }
        }
        diff.tensors.push_back(std::move(change));
      });
  const auto dropped_key = [&](const DroppedTensor& d, bool is_before) {
    const PlanSource& source = (is_before ? before : after).sources[d.source];
    return (source.name.empty() ? "" : source.name + ":") + (*source.manifest)[d.tensor].key + d.part;
  };
  merge_by_key(before.dropped, after.dropped, dropped_key,
               [&](const std::string& key, const DroppedTensor* a, const DroppedTensor* b) {
                 if (!a || !b) diff.drops.push_back({key, a, b});
               });
  compare_files(before, after, diff.fields);
  return diff;
}

}  // namespace remap
