#include "tensor/flat_range.h"

#include <algorithm>

namespace remap {
namespace {

// `inner[d]`: elements of a step along dimension d. `box` has the coordinates that are chosen already; begin and end
// count from its first element.
void add_range(const Shape& shape, const std::vector<int64_t>& inner, size_t d, Box box, int64_t begin, int64_t end,
               int64_t first, std::vector<RangeBox>& out) {
  if (begin >= end) return;
  if (d == shape.size()) return out.push_back({std::move(box), first});
  const int64_t step = inner[d];
  const auto rows = [&](int64_t from, int64_t to, int64_t number) {
    Box whole = box;
    whole.origin[d] = from;
    whole.extent[d] = to - from;
    for (size_t k = d + 1; k < shape.size(); ++k) whole.extent[k] = shape[k];
    if (from < to) out.push_back({std::move(whole), number});
  };
  const auto part_of_row = [&](int64_t row, int64_t from, int64_t to, int64_t number) {
    Box one = box;
    one.origin[d] = row;
    one.extent[d] = 1;
    add_range(shape, inner, d + 1, std::move(one), from, to, number, out);
  };
  const int64_t first_row = begin / step, last_row = (end - 1) / step;
  const int64_t head = begin % step, tail = end - last_row * step;
  if (first_row == last_row && (head != 0 || tail != step)) return part_of_row(first_row, head, tail, first);
  const int64_t whole_from = first_row + (head != 0 ? 1 : 0), whole_to = last_row + (tail == step ? 1 : 0);
  if (head != 0) part_of_row(first_row, head, step, first);
  rows(whole_from, whole_to, first + whole_from * step - begin);
  if (tail != step) part_of_row(last_row, 0, tail, first + last_row * step - begin);
}

}  // namespace

std::vector<RangeBox> boxes_of_range(const Shape& shape, int64_t begin, int64_t end) {
  std::vector<RangeBox> boxes;
  std::vector<int64_t> inner(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) inner[d - 1] = inner[d] * shape[d];
  add_range(shape, inner, 0, {Shape(shape.size(), 0), Shape(shape.size(), 1)}, begin, end, begin, boxes);
  return boxes;
}

std::vector<Box> cut_box(const Box& box, int64_t max_elements) {
  std::vector<Box> boxes = {box}, next;
  for (size_t d = 0; d < box.extent.size(); ++d) {
    next.clear();
    for (const Box& whole : boxes) {
      int64_t inner = 1;
      for (size_t k = d + 1; k < whole.extent.size(); ++k) inner *= whole.extent[k];
      for (size_t k = 0; k < d; ++k) inner *= whole.extent[k];
      const int64_t step = std::max<int64_t>(1, max_elements / std::max<int64_t>(inner, 1));
      for (int64_t begin = 0; begin < whole.extent[d]; begin += step) {
        Box part = whole;
        part.origin[d] += begin;
        part.extent[d] = std::min(step, whole.extent[d] - begin);
        next.push_back(std::move(part));
      }
    }
    boxes.swap(next);
  }
  return boxes;
}

}  // namespace remap
