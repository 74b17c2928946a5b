// Parts of tensors as boxes, and wholes that are cut along two axes. Private to infer.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "infer/tiling.h"
#include "infer/value_search.h"

namespace remap::infer {

// Shapes with one axis away, or of another extent.
Shape without(Shape shape, size_t axis);
Shape with(Shape shape, size_t axis, int64_t extent);

// A part of a whole.
struct PartBox {
  Box box;  // of the first group
  size_t axis = 0;
  Turns turns;
  Shape shape;  // of all groups
};
// `drop`: the axis itself is not one of the part's.
PartBox place_of(const Shape& whole, size_t axis, int64_t begin, int64_t length, const Turns& turns, bool drop);
Elements elements_at(const Source& source, size_t index, const PartBox& place, DType as);

// A whole that is stacked along its first axis, of what is joined along another one.
struct Grid {
  std::vector<size_t> parts;  // all of the first that is stacked, then of the second …
  std::vector<PartBox> places;
  Relation relation;  // axes, sizes and groups
};
// `slices`: of the axis, for each index of the first one after another.
std::optional<Grid> grid_along(const Shape& whole, size_t axis, const std::vector<uint64_t>& slices, const Turns& turns,
                               const PartPool& pool, const PartNames& names, size_t& windows);

// Calls try_cut(axis, turns) for the ways to cut a shape, from the given axis on: first in whole pieces, then by turns.
// True: it returned true.
bool any_cut(const Shape& shape, size_t first_axis, const std::function<bool(size_t, const Turns&)>& try_cut);

// Numbers of the parts, constants last: any layout fits these.
std::vector<size_t> telling_first(const std::vector<size_t>& parts, const std::function<bool(size_t)>& is_constant);

// One layout for all parts; nullopt: they need different ones, or one that turns do not allow. Of many the first, the
// second and the last are tried: the plan's values are compared in the end.
struct PartLayouts {
  std::function<bool(size_t, const Layout&)> fits;
  std::function<std::optional<Layout>(size_t)> find;
};
std::optional<Layout> common_layout(const std::vector<size_t>& order, bool by_turns, const PartLayouts& layouts);

}  // namespace remap::infer
