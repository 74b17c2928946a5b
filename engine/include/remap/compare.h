// Compares tensors of two checkpoints by streaming them: memory is bounded by one tile of each side, whatever their
// size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "remap/progress.h"
#include "remap/source.h"

namespace remap {

// True if dtype, shape and every bit of the data are the same. Tensors of one source that share an alias are equal
// without reading. Throws: Error if reading fails, "source-without-data" for a manifest.
bool tensors_equal(const Source& a, size_t index_a, const Source& b, size_t index_b);

// How two tensors of one shape differ in value. Equal values may have different bits (-0.0 and 0.0, NaNs, other
// dtypes).
struct TensorDifference {
  bool bits_equal = false;         // same dtype, same bytes: then everything below is 0
  int64_t count = 0;               // elements compared; a complex number counts as two
  int64_t count_different = 0;     // elements whose values differ; NaN equals NaN, 0.0 equals -0.0
  int64_t count_nan_mismatch = 0;  // NaN on one side only; these are different too
  double max_absolute_diff = 0;    // over elements that are not NaN on one side only; infinity if only one is infinite
  double mean_absolute_diff = 0;   // over the same elements; exact zeros count
  bool operator==(const TensorDifference&) const = default;
};

// Values are compared as double; integers of one dtype are equal only if their bits are.
// Throws: Error "compare-shape" if the shapes differ, "compare-dtype" if one is complex and the other is not; as above.
TensorDifference compare_tensors(const Source& a, size_t index_a, const Source& b, size_t index_b);

// The same of many pairs of tensors, on all cores. Throws what the first pair that fails would. Progress is counted in
// bytes of `a`.
struct TensorPair {
  size_t a = 0, b = 0;  // indices into the manifests
};
std::vector<TensorDifference> compare_tensors(const Source& a, const Source& b, const std::vector<TensorPair>& pairs,
                                              const ProgressFunction& progress = {});

}  // namespace remap
