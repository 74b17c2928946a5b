#include "tensor/tiling.h"

#include <algorithm>

#include <fmt/format.h>

namespace remap {
namespace {

// A corner of a box along the axes that are cut, and its sign.
struct Corner {
  Shape at;
  int64_t sign = 0;
};

void add_corners(const Shape& origin, const Shape& extent, const std::vector<size_t>& axes, int64_t sign,
                 std::vector<Corner>& corners) {
  for (uint64_t bits = 0; bits < uint64_t{1} << axes.size(); ++bits) {
    Corner corner{{}, sign};
    for (size_t i = 0; i < axes.size(); ++i) {
      const bool far = ((bits >> i) & 1) != 0;
      corner.at.push_back(origin[axes[i]] + (far ? extent[axes[i]] : 0));
      if (far) corner.sign = -corner.sign;
    }
    corners.push_back(std::move(corner));
  }
}

}  // namespace

// The sum of the boxes' indicator functions is told by its mixed differences, which are not zero at corners only: the
// boxes tile the shape if theirs, with signs, are those of the whole.
std::string tiling_fault(const std::vector<Box>& boxes, const Shape& shape, uint64_t max_work) {
  std::vector<size_t> axes;
  for (size_t d = 0; d < shape.size(); ++d)
    if (std::any_of(boxes.begin(), boxes.end(),
                    [&](const Box& box) { return box.origin[d] != 0 || box.extent[d] != shape[d]; }))
      axes.push_back(d);
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return "";
  std::vector<Corner> corners;
  if (axes.size() >= 32 || (boxes.size() + 1) > (max_work >> axes.size()))
    return fmt::format("{} parts cut along {} axes are more than can be compared", boxes.size(), axes.size());
  for (const Box& box : boxes)
    if (std::find(box.extent.begin(), box.extent.end(), 0) == box.extent.end())
      add_corners(box.origin, box.extent, axes, 1, corners);
  add_corners(Shape(shape.size(), 0), shape, axes, -1, corners);
  std::sort(corners.begin(), corners.end(), [](const Corner& a, const Corner& b) { return a.at < b.at; });
  bool fits = true;
  for (size_t i = 0; i < corners.size() && fits;) {
    int64_t sum = 0;
    const size_t first = i;
    for (; i < corners.size() && corners[i].at == corners[first].at; ++i) sum += corners[i].sign;
    fits = sum == 0;
  }
  if (fits) return "";
  // Which of the two: what is covered, counted with repetitions, against what there is.
  long double covered = 0, whole = 1;
  for (const int64_t dim : shape) whole *= static_cast<long double>(dim);
  for (const Box& box : boxes) {
    long double volume = 1;
    for (const int64_t extent : box.extent) volume *= static_cast<long double>(extent);
    covered += volume;
  }
  return covered < whole ? "they leave a part uncovered" : "they overlap";
}

}  // namespace remap
