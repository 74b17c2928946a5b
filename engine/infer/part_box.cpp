#include "infer/part_box.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace remap::infer {

Shape without(Shape shape, size_t axis) {
  shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis));
  return shape;
}

Shape with(Shape shape, size_t axis, int64_t extent) {
  shape[axis] = extent;
  return shape;
}

PartBox place_of(const Shape& whole, size_t axis, int64_t begin, int64_t length, const Turns& turns, bool drop) {
  PartBox place{{Shape(whole.size(), 0), whole}, axis, turns, with(whole, axis, length * turns.groups)};
  place.box.origin[axis] = begin;
  place.box.extent[axis] = length;
  if (drop) place.shape = without(whole, axis);
  return place;
}

Elements elements_at(const Source& source, size_t index, const PartBox& place, DType as) {
  return {source, index, place.box, place.axis, place.turns.period, place.turns.groups, as};
}

std::optional<Grid> grid_along(const Shape& whole, size_t axis, const std::vector<uint64_t>& slices, const Turns& turns,
                               const PartPool& pool, const PartNames& names, size_t& windows) {
  const int64_t slice = element_count(whole) / whole[0] / whole[axis];
  std::vector<std::vector<Slot>> rows;  // of each that is stacked
  for (int64_t e = 0; e < whole[0]; ++e) {
    rows.push_back(slots_along({slices, static_cast<size_t>(e * whole[axis]), slice}, turns, pool, windows));
    const auto same_length = [](const Slot& a, const Slot& b) { return a.length == b.length; };
    if (rows.back().size() < 2 ||
        !std::equal(rows.back().begin(), rows.back().end(), rows[0].begin(), rows[0].end(), same_length))
      return std::nullopt;
  }
  // Of each part, those of all that are stacked: their keys count.
  Grid grid;
  grid.parts.resize(rows.size() * rows[0].size());
  std::set<size_t> taken;
  for (size_t p = 0; p < rows[0].size(); ++p) {
    std::vector<Slot> column;
    for (const auto& slots : rows) {
      column.push_back(slots[p]);
      std::erase_if(column.back().candidates, [&](size_t part) { return taken.contains(part); });
      if (column.back().candidates.empty()) return std::nullopt;
    }
    const auto parts = assigned(column, names);
    if (parts.empty()) return std::nullopt;
    for (size_t e = 0; e < rows.size(); ++e) grid.parts[e * rows[0].size() + p] = parts[e];
    taken.insert(parts.begin(), parts.end());
  }
  if (taken.size() != grid.parts.size()) return std::nullopt;
  grid.relation.inner_axis = static_cast<int>(axis) - 1;
  grid.relation.groups = turns.groups;
  for (const Slot& slot : rows[0]) grid.relation.sizes.push_back(slot.length);
  for (size_t e = 0; e < rows.size(); ++e)
    for (const Slot& slot : rows[e]) {
      PartBox place = place_of(whole, axis, slot.begin, slot.length, turns, false);
      place.box.origin[0] = static_cast<int64_t>(e), place.box.extent[0] = 1;
      place.shape = without(place.shape, 0);
      grid.places.push_back(std::move(place));
    }
  return grid;
}

bool any_cut(const Shape& shape, size_t first_axis, const std::function<bool(size_t, const Turns&)>& try_cut) {
  for (const bool by_turns : {false, true})
    for (size_t axis = first_axis; axis < shape.size(); ++axis)
      for (const Turns& turns : turns_of(shape[axis]))
        if ((turns.groups > 1) == by_turns && try_cut(axis, turns)) return true;
  return false;
}

std::vector<size_t> telling_first(const std::vector<size_t>& parts, const std::function<bool(size_t)>& is_constant) {
  std::vector<size_t> order(parts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_partition(order.begin(), order.end(), [&](size_t i) { return !is_constant(parts[i]); });
  return order;
}

std::optional<Layout> common_layout(const std::vector<size_t>& order, bool by_turns, const PartLayouts& layouts) {
  std::optional<Layout> layout;
  for (size_t n = 0; n < order.size(); ++n) {
    if (layout && !layouts.fits(order[n], *layout)) return std::nullopt;
    if (!layout) layout = layouts.find(order[n]);
    if (!layout || (by_turns && layout->regroup_axis >= 0)) return std::nullopt;
    if (n == 2) n = std::max(n, order.size() - 2);
  }
  return layout;
}

}  // namespace remap::infer
