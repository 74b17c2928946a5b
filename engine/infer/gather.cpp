// Targets that are made of several sources: joined, stacked, joined and stacked.
#include <algorithm>
#include <map>

#include "infer/part_box.h"
#include "infer/value_search.h"

namespace remap::infer {
namespace {

// One target, and what may be its parts.
class Gathering {
 public:
  Gathering(ValueSearch& search, const NameGuide& guide, const PartPool& pool, uint32_t t, bool constants)
      : search_(search), pool_(pool), t_(t), info_(search.target_info(t)) {
    names_.key_of = [&search](size_t s) -> const std::string& { return search.source_key(s); };
    names_.score_of = [&search, &guide, t](size_t s) { return guide.score(search.sources[s].ref, t); };
    names_.constants = constants;
  }

  // target = concat(parts), or stack(parts)
  bool along_one() {
    const auto slices = slices_of(*search_.problem.target, t_, info_.dtype);
    const int64_t total = element_count(info_.shape);
    return any_cut(info_.shape, 0, [&](size_t axis, const Turns& turns) {
      const auto slots = slots_along({slices[axis], 0, total / info_.shape[axis]}, turns, pool_, search_.windows);
      if (slots.size() < 2) return false;
      const auto parts = assigned(slots, names_);
      return !parts.empty() && join(axis, slots, parts, turns);
    });
  }

  // target[e] = concat(parts of e)
  bool along_two() {
    if (info_.shape.size() < 2) return false;
    const auto slices = inner_slices_of(*search_.problem.target, t_, info_.dtype);
    return any_cut(info_.shape, 1, [&](size_t axis, const Turns& turns) {
      auto grid = grid_along(info_.shape, axis, slices[axis - 1], turns, pool_, names_, search_.windows);
      if (!grid) return false;
      const auto layout = layout_of(grid->places, grid->parts, turns);
      if (!layout) return false;
      Relation relation = std::move(grid->relation);
      relation.kind = Relation::Kind::stack_concat;
      take(std::move(relation), grid->parts, *layout);
      return true;
    });
  }

 private:
  bool join(size_t axis, const std::vector<Slot>& slots, const std::vector<size_t>& parts, const Turns& turns) {
    const bool ones = std::all_of(slots.begin(), slots.end(), [](const Slot& slot) { return slot.length == 1; });
    const bool stacking = ones && turns.groups == 1 && search_.info(parts[0]).shape.size() < info_.shape.size();
    std::vector<PartBox> places;
    for (const Slot& slot : slots)
      places.push_back(place_of(info_.shape, axis, slot.begin, slot.length, turns, stacking));
    const auto layout = layout_of(places, parts, turns);
    if (!layout) return false;
    Relation relation;
    relation.kind = stacking ? Relation::Kind::stack : Relation::Kind::concat;
    relation.axis = static_cast<int>(axis);
    relation.groups = turns.groups;
    for (size_t i = 0; i < slots.size() && !stacking; ++i) relation.sizes.push_back(slots[i].length);
    take(std::move(relation), parts, *layout);
    return true;
  }

  std::optional<Layout> layout_of(const std::vector<PartBox>& places, const std::vector<size_t>& parts,
                                  const Turns& turns) const {
    const auto is_constant = [&](size_t s) { return search_.sources[s].prints.at(info_.dtype).constant; };
    const auto from = [&](size_t i) { return search_.source_elements(parts[i], info_.dtype); };
    const auto to = [&](size_t i) { return elements_at(*search_.problem.target, t_, places[i], info_.dtype); };
    const auto shape = [&](size_t i) -> const Shape& { return search_.info(parts[i]).shape; };
    return common_layout(
        telling_first(parts, is_constant), turns.groups > 1,
        {[&](size_t i, const Layout& layout) { return gives(layout, from(i), shape(i), to(i), places[i].shape); },
         [&](size_t i) { return find_layout(from(i), shape(i), to(i), places[i].shape); }});
  }

  void take(Relation relation, const std::vector<size_t>& parts, const Layout& layout) {
    for (const size_t s : parts) relation.sources.push_back(search_.sources[s].ref);
    relation.targets = {t_};
    relation.layout = layout;
    search_.take(std::move(relation));
  }

  ValueSearch& search_;
  const PartPool& pool_;
  const uint32_t t_;
  const TensorInfo& info_;
  PartNames names_;
};

}  // namespace

void gather(ValueSearch& search, const NameGuide& guide, bool constants) {
  std::map<DType, PartPool> pools;
  for (size_t s = 0; s < search.sources.size(); ++s) {
    if (search.sources[s].used) continue;
    for (const auto& [dtype, print] : search.sources[s].prints) {
      if (!constants && print.constant && element_count(search.info(s).shape) != 1) continue;
      PartPool& pool = pools[dtype];
      pool.elements_of = [&search](size_t part) { return element_count(search.info(part).shape); };
      pool.is_taken = [&search](size_t part) { return search.sources[part].used; };
      pool.add(s, *print.multiset);
    }
  }
  for (uint32_t t = 0; t < search.targets.size(); ++t) {
    const TensorInfo& info = search.target_info(t);
    const auto pool = pools.find(info.dtype);
    if (search.targets[t].done || search.targets[t].print.constant || info.shape.empty() ||
        element_count(info.shape) == 0 || pool == pools.end())
      continue;
    Gathering one(search, guide, pool->second, t, constants);
    if (!one.along_one()) one.along_two();
  }
}

}  // namespace remap::infer
