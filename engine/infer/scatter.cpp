// Sources that become several targets: cut along one axis or two.
#include <algorithm>
#include <map>

#include "infer/key_text.h"
#include "infer/part_box.h"
#include "infer/value_search.h"

namespace remap::infer {
namespace {

// One source, cast to what the targets are, and what may be its parts.
class Scattering {
 public:
  Scattering(ValueSearch& search, const NameGuide& guide, const PartPool& pool, size_t s, DType dtype, bool constants)
      : search_(search), pool_(pool), s_(s), dtype_(dtype), shape_(search.info(s).shape) {
    names_.key_of = [&search](size_t t) -> const std::string& { return search.target_key(t); };
    names_.score_of = [&search, &guide, s](size_t t) {
      return guide.score(search.sources[s].ref, static_cast<uint32_t>(t));
    };
    names_.constants = constants;
  }

  // parts = split(source)
  bool along_one() {
    const auto slices = slices_of(source(), index(), dtype_);
    const int64_t total = element_count(shape_);
    return any_cut(shape_, 0, [&](size_t axis, const Turns& turns) {
      const auto slots = slots_along({slices[axis], 0, total / shape_[axis]}, turns, pool_, search_.windows);
      if (slots.size() < 2) return false;
      const auto parts = assigned(slots, names_);
      return !parts.empty() && cut(axis, slots, parts, turns);
    });
  }

  // source[e] = the parts of e, joined
  bool along_two() {
    if (shape_.size() < 2) return false;
    const auto slices = inner_slices_of(source(), index(), dtype_);
    return any_cut(shape_, 1, [&](size_t axis, const Turns& turns) {
      auto grid = grid_along(shape_, axis, slices[axis - 1], turns, pool_, names_, search_.windows);
      if (!grid) return false;
      const auto from = [&](size_t i) { return elements_at(source(), index(), grid->places[i], dtype_); };
      const auto to = [&](size_t i) { return search_.target_elements(grid->parts[i]); };
      const auto shape = [&](size_t i) -> const Shape& { return search_.target_info(grid->parts[i]).shape; };
      const auto layout = common_layout(
          telling_first(grid->parts, [&](size_t t) { return is_constant(t); }), true,
          {[&](size_t i, const Layout& known) { return gives(known, from(i), grid->places[i].shape, to(i), shape(i)); },
           [&](size_t i) { return find_layout(from(i), grid->places[i].shape, to(i), shape(i)); }});
      if (!layout) return false;
      Relation relation = std::move(grid->relation);
      relation.kind = Relation::Kind::split_each_into;
      relation.sources = {search_.sources[s_].ref};
      for (const size_t t : grid->parts) relation.targets.push_back(static_cast<uint32_t>(t));
      relation.layout = *layout;
      search_.take(std::move(relation));
      return true;
    });
  }

 private:
  const Source& source() const { return search_.source_of(s_); }
  size_t index() const { return search_.sources[s_].ref.tensor; }
  bool is_constant(size_t t) const { return search_.targets[t].print.constant; }

  // Parts of one layout.
  struct Alike {
    Layout layout;
    std::vector<size_t> members;
  };

  // nullopt: some part needs a layout that is not known, or that turns do not allow. `each`: they are many, and of them
  // the first, the second and the last are tried.
  std::optional<std::vector<Alike>> by_layout(const std::vector<PartBox>& places, const std::vector<size_t>& parts,
                                              bool each) const {
    std::vector<Alike> groups;
    const auto order = telling_first(parts, [&](size_t t) { return is_constant(t); });
    for (size_t n = 0; n < order.size(); ++n) {
      const size_t i = order[n];
      if (each && n > 1 && n + 1 < parts.size()) {
        groups.front().members.push_back(i);
        continue;
      }
      const PartBox& place = places[i];
      const Shape& shape = search_.target_info(parts[i]).shape;
      const Elements from = elements_at(source(), index(), place, dtype_), to = search_.target_elements(parts[i]);
      // What another part needed fits constants too.
      const auto known = std::find_if(groups.begin(), groups.end(), [&](const Alike& group) {
        return gives(group.layout, from, place.shape, to, shape);
      });
      if (known != groups.end()) {
        known->members.push_back(i);
        continue;
      }
      const auto layout = find_layout(from, place.shape, to, shape);
      if (!layout || (place.turns.groups > 1 && layout->regroup_axis >= 0)) return std::nullopt;
      groups.push_back({*layout, {i}});
    }
    return groups;
  }

  // Parts of one layout form a relation; the others are left out of it, and have their own.
  bool cut(size_t axis, const std::vector<Slot>& slots, const std::vector<size_t>& parts, const Turns& turns) {
    const bool ones = std::all_of(slots.begin(), slots.end(), [](const Slot& slot) { return slot.length == 1; });
    std::vector<std::string> keys;
    for (const size_t part : parts) keys.push_back(search_.target_key(part));
    const bool each = ones && turns.groups == 1 && counting_place(keys).has_value();
    std::vector<PartBox> places;
    for (const Slot& slot : slots) places.push_back(place_of(shape_, axis, slot.begin, slot.length, turns, each));
    const auto groups = by_layout(places, parts, each);
    if (!groups || (each && groups->size() > 1)) return false;
    for (const Alike& group : *groups) {
      Relation relation;
      relation.kind = each ? Relation::Kind::split_each : Relation::Kind::split_into;
      relation.axis = static_cast<int>(axis);
      relation.groups = turns.groups;
      relation.layout = group.layout;
      relation.sources = {search_.sources[s_].ref};
      relation.targets.assign(parts.size(), Relation::kNoPart);
      for (const size_t i : group.members) relation.targets[i] = static_cast<uint32_t>(parts[i]);
      for (size_t i = 0; i < slots.size() && !each; ++i) relation.sizes.push_back(slots[i].length);
      search_.take(std::move(relation));
    }
    return true;
  }

  ValueSearch& search_;
  const PartPool& pool_;
  const size_t s_;
  const DType dtype_;
  const Shape& shape_;
  PartNames names_;
};

}  // namespace

void scatter(ValueSearch& search, const NameGuide& guide, bool constants) {
  std::map<DType, PartPool> pools;
  for (uint32_t t = 0; t < search.targets.size(); ++t) {
    const TensorInfo& info = search.target_info(t);
    const auto& [print, done, left] = search.targets[t];
    if (done || (!constants && print.constant && element_count(info.shape) != 1)) continue;
    PartPool& pool = pools[info.dtype];
    pool.elements_of = [&search](size_t part) { return element_count(search.target_info(part).shape); };
    pool.is_taken = [&search](size_t part) { return search.targets[part].done; };
    pool.add(t, *print.multiset);
  }
  for (size_t s = 0; s < search.sources.size(); ++s) {
    const Shape& shape = search.info(s).shape;
    if (search.sources[s].used || search.sources[s].prints.empty() || shape.empty() || element_count(shape) == 0)
      continue;
    for (const auto& [dtype, print] : search.sources[s].prints) {
      const auto pool = pools.find(dtype);
      if (print.constant || pool == pools.end()) continue;
      Scattering one(search, guide, pool->second, s, dtype, constants);
      if (one.along_one() || one.along_two()) break;
    }
  }
}

void match_parts(ValueSearch& search, bool constants) {
  if (!search.any_open()) return;
  search.sum_open();
  const NameGuide guide = search.guide();
  gather(search, guide, constants);
  scatter(search, guide, constants);
}

}  // namespace remap::infer
