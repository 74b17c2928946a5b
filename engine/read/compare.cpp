#include "remap/compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include <fmt/format.h>

#include "base/parallel_for.h"
#include "base/progress_counter.h"
#include "ops/cast.h"
#include "ops/strided_copy.h"
#include "read/blocks.h"
#include "remap/diagnostic.h"
#include "tensor/box.h"

namespace remap {
namespace {

struct Side {
  const Source& source;
  size_t index;
  const TensorInfo& info() const { return source.manifest()[index]; }
};

// A block of equally many elements of both sides (bytes, of a type of less than one), in the same order: dense copies,
// row-major over the region they come from.
struct Block {
  const std::byte* a;
  const std::byte* b;
  int64_t count;
};

void require_data(const Side& side) {
  if (side.source.has_data()) return;
  throw Error("source-without-data", BytePlace{side.source.path(), {}, {}},
              fmt::format("the values of '{}' are to be compared, and this file knows only its shape", side.info().key),
              "give the checkpoint itself; a manifest has no values");
}

bool same_by_alias(const Side& a, const Side& b) {
  return &a.source == &b.source &&
         (a.index == b.index || (!a.info().alias.empty() && a.info().alias == b.info().alias));
}

// The tile loaded last, kept: a side with one tile is loaded once however the other side is cut.
class TileReader {
 public:
  explicit TileReader(const Side& side) : side_(side), tiles_(side.source.tile_boxes(side.index)) {}
  const std::vector<Box>& tiles() const { return tiles_; }
  const TileView& load(size_t tile) {
    if (loaded_ != tile) view_ = side_.source.load(side_.index, tile, buffer_), loaded_ = tile;
    return view_;
  }

 private:
  const Side& side_;
  std::vector<Box> tiles_;
  TileBuffer buffer_;
  TileView view_;
  size_t loaded_ = static_cast<size_t>(-1);
};

// Calls `body` with every block of both tensors until it returns false. Shapes are equal. The side with more tiles
// leads, so that each of its tiles is loaded once.
void for_each_block(const Side& a, const Side& b, const std::function<bool(const Block&)>& body) {
  TileReader read_a(a), read_b(b);
  std::vector<std::byte> scratch_a, scratch_b;
  const auto visit = [&](size_t tile_a, size_t tile_b) {
    const Box &box_a = read_a.tiles()[tile_a], &box_b = read_b.tiles()[tile_b];
    const Box common = common_part(box_a, box_b);
    if (is_empty(common)) return true;
    const TileView &view_a = read_a.load(tile_a), &view_b = read_b.load(tile_b);
    const int64_t base_a = offset_in_tile(common, box_a, view_a.strides),
                  base_b = offset_in_tile(common, box_b, view_b.strides);
    return for_each_part(
        common, 0,
        [&](const Box& part) {
          const auto region_a = reading_region(part, common, view_a, base_a),
                     region_b = reading_region(part, common, view_b, base_b);
          return body({dense(view_a.data, region_a, size_bytes(a.info().dtype), scratch_a),
                       dense(view_b.data, region_b, size_bytes(b.info().dtype), scratch_b),
                       ops::element_count(region_a)});
        },
        block_units(a.info().dtype));
  };
  const bool a_leads = read_a.tiles().size() >= read_b.tiles().size();
  const size_t n_outer = (a_leads ? read_a : read_b).tiles().size(),
               n_inner = (a_leads ? read_b : read_a).tiles().size();
  bool going_on = true;
  for (size_t outer = 0; outer < n_outer && going_on; ++outer)
    for (size_t inner = 0; inner < n_inner && going_on; ++inner)
      going_on = a_leads ? visit(outer, inner) : visit(inner, outer);
  a.source.check_bytes();
  b.source.check_bytes();
}

bool is_complex(DType dtype) { return dtype == DType::c64 || dtype == DType::c128; }

// Sums differences block by block, in the order of the elements' blocks, so that the mean is reproducible.
class Comparison {
 public:
  Comparison(DType a, DType b) : a_(a), b_(b) {}

  void add(const Block& block) {
    // Parts of complex numbers are compared one by one.
    const int64_t count = elements_in(a_, block.count) * (is_complex(a_) ? 2 : 1);
    result_.count += count;
    const bool same = a_ == b_ && std::memcmp(block.a, block.b, static_cast<size_t>(block.count * size_bytes(a_))) == 0;
    if (same) return;  // nothing to add; the mean is over all elements that are not NaN on one side only
    bits_differ_ = true;
    compare(to_double(block.a, a_, count, doubles_a_), to_double(block.b, b_, count, doubles_b_), block, count);
  }

  TensorDifference result() const {
    TensorDifference result = result_;
    result.bits_equal = a_ == b_ && !bits_differ_;
    const int64_t measured = result.count - result.count_nan_mismatch;
    if (measured > 0) result.mean_absolute_diff = sum_ / static_cast<double>(measured);
    return result;
  }

 private:
  static DType part(DType dtype) {
    return dtype == DType::c64 ? DType::f32 : dtype == DType::c128 ? DType::f64 : dtype;
  }

  static const double* to_double(const std::byte* data, DType dtype, int64_t count, std::vector<double>& out) {
    out.resize(static_cast<size_t>(count));
    ops::to_doubles(data, part(dtype), count, out.data());
    return out.data();
  }

  bool same_integer(const Block& block, int64_t i) const {
    const int64_t bytes = size_bytes(a_);
    return std::memcmp(block.a + i * bytes, block.b + i * bytes, static_cast<size_t>(bytes)) == 0;
  }

  // Beyond 2^53 a double is not exact.
  double integer_difference(const Block& block, int64_t i) const {
    const auto between = [&]<typename T>(T x) {
      T y = 0;
      std::memcpy(&x, block.a + i * static_cast<int64_t>(sizeof x), sizeof x);
      std::memcpy(&y, block.b + i * static_cast<int64_t>(sizeof y), sizeof y);
      const auto ux = static_cast<uint64_t>(x), uy = static_cast<uint64_t>(y);
      return static_cast<double>(x > y ? ux - uy : uy - ux);
    };
    return a_ == DType::u64 ? between(uint64_t{0}) : between(int64_t{0});
  }

  void compare(const double* a, const double* b, const Block& block, int64_t count) {
    const bool by_bits = a_ == b_ && !is_floating(part(a_)) && a_ != DType::boolean;
    const bool is_long = a_ == b_ && (a_ == DType::i64 || a_ == DType::u64);
    for (int64_t i = 0; i < count; ++i) {
      const bool nan_a = std::isnan(a[i]), nan_b = std::isnan(b[i]);
      if (nan_a || nan_b) {
        result_.count_nan_mismatch += nan_a != nan_b;
        result_.count_different += nan_a != nan_b;
        continue;
      }
      const double difference = is_long ? integer_difference(block, i) : a[i] == b[i] ? 0 : std::abs(a[i] - b[i]);
      result_.count_different += by_bits ? !same_integer(block, i) : difference != 0;
      result_.max_absolute_diff = std::max(result_.max_absolute_diff, difference);
      sum_ += difference;
    }
  }

  DType a_, b_;
  TensorDifference result_;
  bool bits_differ_ = false;
  double sum_ = 0;
  std::vector<double> doubles_a_, doubles_b_;
};

}  // namespace

bool tensors_equal(const Source& a, size_t index_a, const Source& b, size_t index_b) {
  const Side side_a{a, index_a}, side_b{b, index_b};
  require_read(side_a.info(), a.path());
  require_read(side_b.info(), b.path());
  if (side_a.info().dtype != side_b.info().dtype || side_a.info().shape != side_b.info().shape) return false;
  if (same_by_alias(side_a, side_b)) return true;
  require_data(side_a);
  require_data(side_b);
  bool equal = true;
  const auto element_bytes = size_bytes(side_a.info().dtype);
  for_each_block(side_a, side_b, [&](const Block& block) {
    equal = std::memcmp(block.a, block.b, static_cast<size_t>(block.count * element_bytes)) == 0;
    return equal;
  });
  return equal;
}

namespace {

TensorDifference difference_of(const Source& a, size_t index_a, const Source& b, size_t index_b,
                               ProgressCounter& progress) {
  const Side side_a{a, index_a}, side_b{b, index_b};
  const TensorInfo &info_a = side_a.info(), &info_b = side_b.info();
  require_read(info_a, a.path());
  require_read(info_b, b.path());
  if (info_a.shape != info_b.shape)
    throw Error("compare-shape", {},
                fmt::format("'{}' has the shape {} and '{}' {}", info_a.key, to_string(info_a.shape), info_b.key,
                            to_string(info_b.shape)));
  if (is_complex(info_a.dtype) != is_complex(info_b.dtype))
    throw Error("compare-dtype", {},
                fmt::format("'{}' is {} and '{}' is {}: complex and real numbers are not compared", info_a.key,
                            long_name(info_a.dtype), info_b.key, long_name(info_b.dtype)));
  if (info_a.dtype != info_b.dtype && (is_sub_byte(info_a.dtype) || is_sub_byte(info_b.dtype)))
    throw Error("compare-dtype", {},
                fmt::format("'{}' is {} and '{}' is {}: elements of less than a byte are compared with their like only",
                            info_a.key, name(info_a.dtype), info_b.key, name(info_b.dtype)));
  Comparison comparison(info_a.dtype, info_b.dtype);
  require_data(side_a);
  require_data(side_b);
  if (same_by_alias(side_a, side_b)) {
    progress.add(static_cast<uint64_t>(data_bytes(info_a)));
    return {true, element_count(info_a.shape) * (is_complex(info_a.dtype) ? 2 : 1), 0, 0, 0, 0};
  }
  for_each_block(side_a, side_b, [&](const Block& block) {
    comparison.add(block);
    progress.add(static_cast<uint64_t>(block.count * size_bytes(info_a.dtype)));
    return true;
  });
  return comparison.result();
}

}  // namespace

TensorDifference compare_tensors(const Source& a, size_t index_a, const Source& b, size_t index_b) {
  const ProgressFunction nobody;
  ProgressCounter progress(nobody, 0);
  return difference_of(a, index_a, b, index_b, progress);
}

std::vector<TensorDifference> compare_tensors(const Source& a, const Source& b, const std::vector<TensorPair>& pairs,
                                              const ProgressFunction& progress) {
  std::vector<TensorDifference> differences(pairs.size());
  int64_t bytes = 0;
  for (const TensorPair& pair : pairs) bytes += data_bytes(a.manifest()[pair.a]);
  ProgressCounter counter(progress, static_cast<uint64_t>(bytes));
  parallel_each(pairs.size(), bytes, [&] {
    return [&](size_t i) { differences[i] = difference_of(a, pairs[i].a, b, pairs[i].b, counter); };
  });
  counter.finish();
  return differences;
}

}  // namespace remap
