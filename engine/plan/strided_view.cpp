#include "plan/strided_view.h"

#include <algorithm>

#include <fmt/format.h>

namespace remap::plan {
namespace {

int64_t extent_of(const std::vector<Factor>& factors) {
  int64_t extent = 1;
  for (const Factor& f : factors) extent *= f.extent;
  return extent;
}

}  // namespace

StridedView StridedView::of(const Shape& shape) {
  StridedView view;
  view.origin.assign(shape.size(), 0);
  for (size_t d = 0; d < shape.size(); ++d) view.dims.push_back({{shape[d], 1, static_cast<uint8_t>(d)}});
  return view;
}

Shape StridedView::shape() const {
  Shape shape;
  for (const auto& factors : dims) shape.push_back(extent_of(factors));
  return shape;
}

std::string StridedView::slice(size_t axis, int64_t begin, int64_t length) {
  if (axis >= dims.size()) return fmt::format("there is no axis {} in {}", axis, to_string(shape()));
  const int64_t extent = extent_of(dims[axis]);
  if (begin < 0 || length < 0 || begin + length > extent)
    return fmt::format("[{}, {}) is not inside axis {} of {}", begin, begin + length, axis, to_string(shape()));
  if (extent == 0) return "";  // all of nothing
  int64_t inner = extent;
  for (Factor& f : dims[axis]) {
    inner = f.extent == 0 ? 1 : inner / f.extent;
    if (begin % inner == 0 && length % inner == 0 && begin / inner + length / inner <= f.extent) {
      origin[f.source_dim] += begin / inner * f.source_step;
      f.extent = length / inner;
      return "";
    }
    // The slice lies inside one step of this factor, or it cannot be expressed.
    if (begin / inner != (begin + length - 1) / inner)
      return fmt::format("[{}, {}) cuts across a reshaped axis of {}", begin, begin + length, to_string(shape()));
    origin[f.source_dim] += begin / inner * f.source_step;
    f.extent = 1;
    begin %= inner;
  }
  return "";
}

std::string StridedView::select(size_t axis, int64_t index) {
  std::string wrong = slice(axis, index, 1);
  if (wrong.empty()) dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
  return wrong;
}

std::string StridedView::permute(const std::vector<int>& order) {
  if (order.size() != dims.size())
    return fmt::format("{} axes are ordered, the tensor has {}: {}", order.size(), dims.size(), to_string(shape()));
  std::vector<std::vector<Factor>> permuted;
  for (const int axis : order) permuted.push_back(dims[static_cast<size_t>(axis)]);
  dims = std::move(permuted);
  return "";
}

std::string StridedView::reshape(const Shape& wanted) {
  const Shape before = shape();
  if (element_count(before) != element_count(wanted))
    return fmt::format("{} has {} elements, {} has {}", to_string(before), element_count(before), to_string(wanted),
                       element_count(wanted));
  if (element_count(before) == 0) {
    dims.clear();
    for (const int64_t dim : wanted) dims.push_back({{dim, 1, 0}});
    return "";
  }
  std::vector<Factor> flat;
  for (const auto& factors : dims)
    for (const Factor& f : factors)
      if (f.extent != 1) flat.push_back(f);
  std::vector<std::vector<Factor>> result;
  size_t next = 0;
  for (const int64_t dim : wanted) {
    std::vector<Factor> factors;
    int64_t left = dim;
    while (left > 1 && next < flat.size()) {
      Factor& f = flat[next];
      if (left % f.extent == 0) {
        factors.push_back(f);
        left /= f.extent;
        ++next;
      } else if (f.extent % left == 0) {
        factors.push_back({left, f.source_step * (f.extent / left), f.source_dim});
        f.extent /= left;
        left = 1;
      } else {
        return fmt::format("{} cannot be regrouped as {} without copying", to_string(before), to_string(wanted));
      }
    }
    if (factors.empty()) factors.push_back({dim, 1, 0});
    result.push_back(std::move(factors));
  }
  dims = std::move(result);
  return "";
}

StridedView StridedView::inverse(const Shape& viewed) const {
  struct Moved {
    int64_t step;   // in the viewed tensor
    Factor factor;  // in what is shown
  };
  std::vector<std::vector<Moved>> moved(viewed.size());
  for (size_t d = 0; d < dims.size(); ++d) {
    int64_t step = extent_of(dims[d]);
    for (const Factor& f : dims[d]) {
      step = f.extent == 0 ? 1 : step / f.extent;
      if (f.extent != 1) moved[f.source_dim].push_back({f.source_step, {f.extent, step, static_cast<uint8_t>(d)}});
    }
  }
  StridedView result;
  result.origin.assign(dims.size(), 0);
  for (auto& list : moved) {
    std::stable_sort(list.begin(), list.end(), [](const Moved& a, const Moved& b) { return a.step > b.step; });
    result.dims.emplace_back();
    for (const Moved& one : list) result.dims.back().push_back(one.factor);
    if (list.empty()) result.dims.back().push_back({1, 1, 0});
  }
  return result;
}

Piece StridedView::piece(uint32_t source, uint32_t tensor, const StridedView& target, std::string& wrong) const {
  Piece piece;
  piece.source = source;
  piece.tensor = tensor;
  const auto all_zero = [](const std::vector<int64_t>& v) {
    return std::all_of(v.begin(), v.end(), [](int64_t x) { return x == 0; });
  };
  if (!all_zero(target.origin)) piece.target_origin = target.origin;
  if (!all_zero(origin)) piece.source_origin = origin;
  std::vector<Axis> all;
  for (size_t d = 0; d < dims.size(); ++d) {
    // Innermost first: the smaller of both factors is an axis, and the larger one keeps the rest.
    std::vector<Factor> from = dims[d], to = target.dims[d];
    std::vector<Axis> axes;
    while (true) {
      while (!from.empty() && from.back().extent == 1) from.pop_back();
      while (!to.empty() && to.back().extent == 1) to.pop_back();
      if (from.empty() || to.empty()) break;
      Factor &a = from.back(), &b = to.back();
      const int64_t extent = std::min(a.extent, b.extent);
      if (extent == 0 ? a.extent != b.extent : a.extent % extent != 0 || b.extent % extent != 0) {
        wrong =
            fmt::format("axis {} of {} lies across what the target's regrouping makes of it", d, to_string(shape()));
        return piece;
      }
      axes.push_back({extent, b.source_step, a.source_step, b.source_dim, a.source_dim});
      if (extent == 0) break;
      a.extent /= extent, a.source_step *= extent;
      b.extent /= extent, b.source_step *= extent;
    }
    all.insert(all.end(), axes.rbegin(), axes.rend());
  }
  piece.axes = std::move(all);
  return piece;
}

Piece StridedView::piece(uint32_t source, uint32_t tensor, std::vector<int64_t> target_origin,
                         const std::vector<uint8_t>& target_axes) const {
  Piece piece;
  piece.source = source;
  piece.tensor = tensor;
  std::vector<Axis> axes;
  for (size_t d = 0; d < dims.size(); ++d) {
    int64_t step = extent_of(dims[d]);
    for (const Factor& f : dims[d]) {
      step = f.extent == 0 ? 1 : step / f.extent;
      // Axes of one element move nowhere; a rank-0 source has no dimension they could name.
      if (f.extent != 1) axes.push_back({f.extent, step, f.source_step, target_axes[d], f.source_dim});
    }
  }
  piece.axes = std::move(axes);
  const auto all_zero = [](const std::vector<int64_t>& v) {
    return std::all_of(v.begin(), v.end(), [](int64_t x) { return x == 0; });
  };
  if (!all_zero(target_origin)) piece.target_origin = std::move(target_origin);
  if (!all_zero(origin)) piece.source_origin = origin;
  return piece;
}

}  // namespace remap::plan
