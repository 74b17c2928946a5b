#include "infer/values.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <numeric>

#include <xxhash.h>

#include "ops/cast.h"
#include "read/blocks.h"
#include "tensor/box.h"

namespace remap::infer {
namespace {

constexpr int64_t kReadElements = int64_t{1} << 22;  // at a time
constexpr int64_t kCastElements = int64_t{1} << 16;  // at a time, of what is in memory: they stay in the cache
constexpr int64_t kKeptElements = int64_t{1} << 22;  // of a box that is looked at closely
constexpr int64_t kSamples = 256;

uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint64_t bits_at(const std::byte* data, int size, int64_t i) {
  uint64_t low = 0, high = 0;
  std::memcpy(&low, data + i * size, static_cast<size_t>(std::min(size, 8)));
  if (size > 8) std::memcpy(&high, data + i * size + 8, static_cast<size_t>(size - 8)), low ^= mixed(high);
  return low;
}

// The elements themselves, or in `out` as another type.
const std::byte* cast(const std::byte* data, int64_t count, DType from, DType as, std::vector<std::byte>& out) {
  if (from == as) return data;
  out.resize(static_cast<size_t>(count * size_bytes(as)));
  ops::strided_cast(out.data(), as, data, from, ops::normalised({0, 0, {{count, 1, 1}}}));
  return out.data();
}

// The elements of a box, row-major, cast.
const std::byte* read_cast(const Source& source, size_t index, const Box& box, int64_t count, DType as,
                           std::vector<std::byte>& raw, std::vector<std::byte>& out, TileBuffer& scratch) {
  const DType from = source.manifest()[index].dtype;
  raw.resize(static_cast<size_t>(count * size_bytes(from)));
  read_box(source, index, box, raw.data(), scratch);
  return cast(raw.data(), count, from, as, out);
}

int64_t product(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

void read_in_order(const Source& source, size_t index, DType as,
                   const std::function<void(const std::byte*, int64_t, int64_t)>& body) {
  const TensorInfo& info = source.manifest()[index];
  if (element_count(info.shape, info.key) == 0) return;
  const Shape shape = stored_form(info).shape;
  std::vector<std::byte> raw, out;
  TileBuffer scratch;
  int64_t first = 0;
  if (const auto tiles = source.tile_boxes(index); tiles.size() == 1) {
    const TileView view = source.load(index, 0, scratch);
    const auto count = product(shape);
    if (ops::is_contiguous(ops::normalised(reading_region(tiles[0], tiles[0], view, 0)))) {
      for (; first < count; first += kCastElements) {
        const int64_t some = std::min(kCastElements, count - first);
        body(cast(view.data + first * size_bytes(info.dtype), some, info.dtype, as, out), first, some);
      }
      return;
    }
  }
  for_each_part(
      {Shape(shape.size(), 0), shape}, 0,
      [&](const Box& part) {
        const int64_t count = product(part.extent);
        body(read_cast(source, index, part, count, as, raw, out, scratch), first, count);
        first += count;
        return true;
      },
      kReadElements);
}

Print print_of(const Source& source, size_t index, DType as) {
  Print print;
  const auto size = static_cast<size_t>(size_bytes(as));
  std::array<std::byte, 16> one = {};  // the first element
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  if (!state) throw std::bad_alloc();
  XXH3_64bits_reset(state.get());
  read_in_order(source, index, as, [&](const std::byte* data, int64_t first, int64_t count) {
    const size_t bytes = static_cast<size_t>(count) * size;
    if (first == 0) std::memcpy(one.data(), data, size);
    print.constant =
        print.constant && std::memcmp(one.data(), data, size) == 0 && std::memcmp(data, data + size, bytes - size) == 0;
    XXH3_64bits_update(state.get(), data, bytes);
  });
  print.ordered = XXH3_64bits_digest(state.get());
  return print;
}

namespace {

template <typename Word>
uint64_t sum_of_words(const std::byte* data, int64_t count) {
  uint64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    Word word;
    std::memcpy(&word, data + static_cast<size_t>(i) * sizeof word, sizeof word);
    sum += mixed(word);
  }
  return sum;
}

uint64_t sum_of(const std::byte* data, int size, int64_t count) {
  switch (size) {
    case 1: return sum_of_words<uint8_t>(data, count);
    case 2: return sum_of_words<uint16_t>(data, count);
    case 4: return sum_of_words<uint32_t>(data, count);
    case 8: return sum_of_words<uint64_t>(data, count);
    default: break;
  }
  uint64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += mixed(bits_at(data, size, i));
  return sum;
}

}  // namespace

uint64_t multiset_of(const Source& source, size_t index, DType as) {
  uint64_t sum = 0;
  read_in_order(source, index, as,
                [&](const std::byte* data, int64_t, int64_t count) { sum += sum_of(data, size_bytes(as), count); });
  return sum;
}

std::vector<std::vector<uint64_t>> slices_of(const Source& source, size_t index, DType as) {
  const Shape& shape = source.manifest()[index].shape;
  std::vector<std::vector<uint64_t>> sums;
  for (const int64_t extent : shape) sums.emplace_back(static_cast<size_t>(extent), 0);
  const auto strides = row_major_strides(shape);
  const int size = size_bytes(as);
  read_in_order(source, index, as, [&](const std::byte* data, int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const uint64_t hash = mixed(bits_at(data, size, i));
      for (size_t d = 0; d < shape.size(); ++d)
        sums[d][static_cast<size_t>((first + i) / strides[d] % shape[d])] += hash;
    }
  });
  return sums;
}

std::vector<std::vector<uint64_t>> inner_slices_of(const Source& source, size_t index, DType as) {
  const Shape& shape = source.manifest()[index].shape;
  std::vector<std::vector<uint64_t>> sums;
  for (size_t d = 1; d < shape.size(); ++d) sums.emplace_back(static_cast<size_t>(shape[0] * shape[d]), 0);
  const auto strides = row_major_strides(shape);
  const int size = size_bytes(as);
  read_in_order(source, index, as, [&](const std::byte* data, int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const uint64_t hash = mixed(bits_at(data, size, i));
      for (size_t d = 1; d < shape.size(); ++d)
        sums[d - 1][static_cast<size_t>((first + i) / strides[0] * shape[d] + (first + i) / strides[d] % shape[d])] +=
            hash;
    }
  });
  return sums;
}

Elements::Elements(const Source& source, size_t index, Box box, DType as)
    : Elements(source, index, std::move(box), 0, 0, 1, as) {}

Elements::Elements(const Source& source, size_t index, Box box, size_t axis, int64_t period, int64_t groups, DType as)
    : source_(source), index_(index), box_(std::move(box)), axis_(axis), period_(groups > 1 ? period : 0), as_(as) {
  if (period_ > 0) {
    length_ = box_.extent[axis_];
    box_.extent[axis_] = length_ * groups;
  }
  count_ = product(box_.extent);
  if (count_ == 0 || count_ > kKeptElements) return;
  // All that lies between is read with it.
  Box read = box_;
  if (period_ > 0) read.extent[axis_] = period_ * (groups - 1) + length_;
  const int64_t count = product(read.extent);
  if (count > 4 * kKeptElements) return;
  std::vector<std::byte> raw, out;
  TileBuffer scratch;
  const std::byte* data = read_cast(source_, index_, read, count, as_, raw, out, scratch);
  const auto strides = row_major_strides(read.extent), own = row_major_strides(box_.extent);
  bits_.resize(static_cast<size_t>(count_));
  for (int64_t i = 0; i < count_; ++i) {
    int64_t at = i;
    if (period_ > 0) {
      const int64_t along = i / own[axis_] % box_.extent[axis_];
      at = i / own[axis_] / box_.extent[axis_] * strides[axis_] * read.extent[axis_] +
           (along / length_ * period_ + along % length_) * strides[axis_] + i % own[axis_];
    }
    bits_[static_cast<size_t>(i)] = bits_at(data, size_bytes(as_), at);
  }
}

uint64_t Elements::at(int64_t i) const {
  if (in_memory()) return bits_[static_cast<size_t>(i)];
  const auto [it, fresh] = seen_.try_emplace(i, 0);
  if (!fresh) return it->second;
  Box one{box_.origin, Shape(box_.extent.size(), 1)};
  const auto strides = row_major_strides(box_.extent);
  for (size_t d = 0; d < strides.size(); ++d) {
    const int64_t along = i / strides[d] % box_.extent[d];
    one.origin[d] += period_ > 0 && d == axis_ ? along / length_ * period_ + along % length_ : along;
  }
  std::vector<std::byte> raw, out;
  TileBuffer scratch;
  return it->second = bits_at(read_cast(source_, index_, one, 1, as_, raw, out, scratch), size_bytes(as_), 0);
}

namespace {

// Factors of the target's index, outermost first: the element with these digits is at sum(digit * step) in the source.
struct Digit {
  int64_t extent, step;
};
using Digits = std::vector<Digit>;

Shape permuted(const Shape& shape, const std::vector<int>& order) {
  Shape result;
  for (const int axis : order) result.push_back(shape[static_cast<size_t>(axis)]);
  return result;
}

// The digits of a layout; the shape after it must be known to fit.
Digits digits_of(const Layout& layout, const Shape& shape) {
  const bool reshaped = !layout.reshape.empty() && layout.reshape_first;
  const Shape& base = reshaped ? layout.reshape : shape;
  const auto strides = row_major_strides(base);
  std::vector<Digits> axes;
  for (size_t d = 0; d < base.size(); ++d) {
    if (static_cast<int>(d) == layout.regroup_axis)
      axes.push_back({{layout.blocks, strides[d] * layout.rows * layout.columns},
                      {layout.columns, strides[d]},
                      {layout.rows, strides[d] * layout.columns}});
    else
      axes.push_back({{base[d], strides[d]}});
  }
  Digits digits;
  for (size_t d = 0; d < axes.size(); ++d) {
    const auto& own = axes[layout.order.empty() ? d : static_cast<size_t>(layout.order[d])];
    digits.insert(digits.end(), own.begin(), own.end());
  }
  return digits;
}

int64_t position(const Digits& digits, int64_t target) {
  int64_t source = 0;
  for (size_t d = digits.size(); d-- > 0;) {
    source += target % digits[d].extent * digits[d].step;
    target /= digits[d].extent;
  }
  return source;
}

bool fits(const Layout& layout, const Elements& from, const Shape& from_shape, const Elements& to) {
  const Digits digits = digits_of(layout, from_shape);
  const int64_t count = to.size(), step = std::max<int64_t>(1, count / kSamples);
  const auto same = [&](int64_t i) { return from.at(position(digits, i)) == to.at(i); };
  for (int64_t i = 0; i < std::min<int64_t>(count, 48); ++i)
    if (!same(i)) return false;
  for (int64_t i = 0; i < count; i += step)
    if (!same(std::min(count - 1, i + i / step % std::min<int64_t>(step, 97)))) return false;
  if (!from.in_memory() || !to.in_memory()) return true;  // the values of the plan are compared in the end
  for (int64_t i = 0; i < count; ++i)
    if (!same(i)) return false;
  return true;
}

// All ways to see an axis of n entries as [blocks, rows, columns] with both of the last more than 1; small numbers
// first.
std::vector<Layout> regroupings(int axis, int64_t n) {
  std::vector<Layout> all;
  std::vector<int64_t> divisors;
  for (int64_t d = 1; d * d <= n && d < 65536; ++d)
    if (n % d == 0) {
      divisors.push_back(d);
      if (d != n / d) divisors.push_back(n / d);
    }
  std::sort(divisors.begin(), divisors.end());
  for (const int64_t rows : divisors)
    for (const int64_t blocks : divisors) {
      if (rows < 2 || n / rows % blocks != 0 || n / rows / blocks < 2) continue;
      Layout layout;
      layout.regroup_axis = axis;
      layout.blocks = blocks, layout.rows = rows, layout.columns = n / rows / blocks;
      all.push_back(layout);
    }
  std::stable_sort(all.begin(), all.end(), [](const Layout& a, const Layout& b) {
    return std::min(a.rows, a.columns) < std::min(b.rows, b.columns);
  });
  return all;
}

std::vector<std::vector<int>> orders(size_t rank) {
  std::vector<int> order(rank);
  std::iota(order.begin(), order.end(), 0);
  std::vector<std::vector<int>> all;
  if (rank > 5) return {order};
  do all.push_back(order);
  while (std::next_permutation(order.begin(), order.end()));
  return all;
}

}  // namespace

Shape shape_after(const Layout& layout, const Shape& shape) {
  Shape result = layout.reshape_first && !layout.reshape.empty() ? layout.reshape : shape;
  if (!layout.order.empty()) result = permuted(result, layout.order);
  return layout.reshape_first || layout.reshape.empty() ? result : layout.reshape;
}

bool gives(const Layout& layout, const Elements& from, const Shape& from_shape, const Elements& to,
           const Shape& to_shape) {
  if (from.size() != to.size() || layout.order.size() > std::max(from_shape.size(), layout.reshape.size()) ||
      shape_after(layout, from_shape) != to_shape)
    return false;
  return fits(layout, from, from_shape, to);
}

std::optional<Layout> find_layout(const Elements& from, const Shape& from_shape, const Elements& to,
                                  const Shape& to_shape) {
  if (from.size() != to.size()) return std::nullopt;
  const auto try_layout = [&](const Layout& layout) { return fits(layout, from, from_shape, to); };
  const auto all_orders = orders(from_shape.size());
  // Permutations, followed by a reshape where the shapes differ.
  for (const auto& order : all_orders) {
    Layout layout;
    if (order != all_orders.front()) layout.order = order;
    if (permuted(from_shape, order) != to_shape) layout.reshape = to_shape;
    if (try_layout(layout)) return layout;
  }
  if (from_shape.size() != to_shape.size())
    for (const auto& order : orders(to_shape.size())) {
      Layout layout;
      layout.order = order;
      layout.reshape_first = true;
      layout.reshape.resize(to_shape.size());
      for (size_t d = 0; d < order.size(); ++d) layout.reshape[static_cast<size_t>(order[d])] = to_shape[d];
      if (try_layout(layout)) return layout;
    }
  for (const auto& order : all_orders) {
    if (permuted(from_shape, order) != to_shape) continue;
    for (size_t axis = 0; axis < from_shape.size(); ++axis)
      for (Layout layout : regroupings(static_cast<int>(axis), from_shape[axis])) {
        if (order != all_orders.front()) layout.order = order;
        if (try_layout(layout)) return layout;
      }
  }
  return std::nullopt;
}

}  // namespace remap::infer
