// Whether a relation that names suggest is true of the values.
#include <algorithm>

#include "infer/part_box.h"
#include "infer/value_search.h"

namespace remap::infer {
namespace {

using Kind = Relation::Kind;

// A relation seen as one whole and its parts.
struct WholeAndParts {
  bool cutting, twice, each;
  size_t parts;
  size_t axis;         // of the whole
  int64_t period = 0;  // of one group along it
  Shape shape;         // of the whole
};

// Whether axes, sizes and numbers of parts are those of the whole.
bool fits(const Relation& r, const WholeAndParts& w) {
  if (w.axis >= w.shape.size()) return false;
  if (w.each) return static_cast<int64_t>(w.parts) == w.shape[w.axis];
  if (w.period * r.groups != w.shape[w.axis]) return false;
  return w.twice ? w.shape[0] * static_cast<int64_t>(r.sizes.size()) == static_cast<int64_t>(w.parts)
                 : r.sizes.size() == w.parts;
}

PartBox place_in(const Relation& r, const WholeAndParts& w, size_t part, int64_t begin) {
  const int64_t length = w.each ? 1 : r.sizes[part % r.sizes.size()];
  PartBox place = place_of(w.shape, w.axis, begin, length, {r.groups, w.period}, w.each);
  if (w.twice) {
    place.box.origin[0] = static_cast<int64_t>(part / r.sizes.size()), place.box.extent[0] = 1;
    place.shape = without(place.shape, 0);
  }
  return place;
}

}  // namespace

bool is_open(const ValueSearch& search, const Relation& relation) {
  const auto is_used = [&](Ref ref) { return search.sources[search.number_of(ref)].used; };
  const auto is_open_target = [&](uint32_t t) { return t == Relation::kNoPart || !search.targets[t].done; };
  return std::none_of(relation.sources.begin(), relation.sources.end(), is_used) &&
         std::all_of(relation.targets.begin(), relation.targets.end(), is_open_target);
}

bool holds(const ValueSearch& search, const Relation& r) {
  const auto first =
      std::find_if(r.targets.begin(), r.targets.end(), [](uint32_t t) { return t != Relation::kNoPart; });
  if (first == r.targets.end()) return false;
  const DType dtype = search.target_info(*first).dtype;
  for (const Ref ref : r.sources)
    if (!search.sources[search.number_of(ref)].prints.contains(dtype)) return false;
  for (const uint32_t t : r.targets)
    if (t != Relation::kNoPart && search.target_info(t).dtype != dtype) return false;
  const auto source_shape = [&](size_t i) -> const Shape& { return search.problem.info(r.sources[i]).shape; };
  const auto source_elements = [&](size_t i) { return search.source_elements(search.number_of(r.sources[i]), dtype); };
  const auto target_shape = [&](uint32_t t) -> const Shape& { return search.target_info(t).shape; };
  if (r.kind == Kind::rename || r.kind == Kind::replicated) {
    for (size_t i = 0; i < r.sources.size(); ++i)
      if (!gives(r.layout, source_elements(i), source_shape(i), search.target_elements(*first), target_shape(*first)))
        return false;
    return true;
  }
  WholeAndParts w;
  w.cutting = r.cuts(), w.twice = r.cuts_or_joins_twice();
  w.each = r.kind == Kind::split_each || r.kind == Kind::stack;
  w.parts = w.cutting ? r.targets.size() : r.sources.size();
  w.axis = static_cast<size_t>(w.twice ? r.inner_axis + 1 : r.axis);
  for (const int64_t size : r.sizes) w.period += size;
  w.shape = w.cutting ? source_shape(0) : target_shape(*first);
  if (!fits(r, w)) return false;
  int64_t begin = 0;
  for (size_t i = 0; i < w.parts; ++i) {
    if (w.twice && i % r.sizes.size() == 0) begin = 0;
    const PartBox place = place_in(r, w, i, begin);
    begin += w.each ? 1 : r.sizes[i % r.sizes.size()];
    if (!w.cutting) {
      const Elements to = elements_at(*search.problem.target, *first, place, dtype);
      if (!gives(r.layout, source_elements(i), source_shape(i), to, place.shape)) return false;
    } else if (const uint32_t t = r.targets[i]; t != Relation::kNoPart) {
      const Ref ref = r.sources[0];
      const Elements from = elements_at(search.source_of(search.number_of(ref)), ref.tensor, place, dtype);
      if (!gives(r.layout, from, place.shape, search.target_elements(t), target_shape(t))) return false;
    }
  }
  return true;
}

}  // namespace remap::infer
