// What tensors hold, as hashes: of whole tensors, and of the slices of those that need a closer look. Private to infer.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "infer/relation.h"

namespace remap::infer {

// What is told of a tensor's elements once they are cast to a dtype.
struct Print {
  uint64_t ordered = 0;              // a hash that depends on the row-major order of the elements
  bool constant = true;              // all elements have the same bits
  std::optional<uint64_t> multiset;  // a hash that does not, and costs more: set where ValueSearch::sum_open() was here
};

// Calls `body` with the tensor's elements in row-major order, cast to `as`, in blocks of bounded size. Of a type of
// less than a byte, with its bytes.
void read_in_order(const Source& source, size_t index, DType as,
                   const std::function<void(const std::byte* data, int64_t first, int64_t count)>& body);

// Without the multiset.
Print print_of(const Source& source, size_t index, DType as);
// The hash of the elements in any order: its sum over parts is that of the whole.
uint64_t multiset_of(const Source& source, size_t index, DType as);

// For every axis, and every index of it, the multiset hash of that slice.
std::vector<std::vector<uint64_t>> slices_of(const Source& source, size_t index, DType as);
// For every index of axis 0, the slices of what is left: [axis - 1][i0 * extent + i].
std::vector<std::vector<uint64_t>> inner_slices_of(const Source& source, size_t index, DType as);

// A box of a tensor, elements by their row-major number in the box. Keeps all of it in memory if it is small.
class Elements {
 public:
  Elements(const Source& source, size_t index, Box box, DType as);
  // What takes turns with others along an axis: of each group of `period` entries those of the box, one group after
  // another.
  Elements(const Source& source, size_t index, Box box, size_t axis, int64_t period, int64_t groups, DType as);
  int64_t size() const { return count_; }
  bool in_memory() const { return !bits_.empty(); }
  uint64_t at(int64_t i) const;

 private:
  const Source& source_;
  size_t index_;
  Box box_;
  size_t axis_ = 0;
  int64_t length_ = 0, period_ = 0;  // of a group, if there are several
  DType as_;
  int64_t count_ = 0;
  std::vector<uint64_t> bits_;
  mutable std::map<int64_t, uint64_t> seen_;
};

// The simplest change of layout that makes `to` (of shape `to_shape`) out of `from`; nullopt: none that is known.
std::optional<Layout> find_layout(const Elements& from, const Shape& from_shape, const Elements& to,
                                  const Shape& to_shape);

// Whether this layout does that: every element, or a sample of those of large tensors.
bool gives(const Layout& layout, const Elements& from, const Shape& from_shape, const Elements& to,
           const Shape& to_shape);

// The shape after the layout.
Shape shape_after(const Layout& layout, const Shape& shape);

}  // namespace remap::infer
