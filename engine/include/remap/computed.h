// Tensors that are computed from others of one checkpoint, where a rule file asks for it ('computed'). All else that a
// plan does moves values; what is computed is served by a Source like any other, so that the executor need not know.
//
// All arithmetic is in float32, on values widened from float16 and bfloat16 exactly; the result is rounded once to the
// dtype of the operands. It is the same whatever the number of threads and however the tensor is read.
//
//   weight_norm(g, v)  v * (g / |v|), with |v| the square root of the sum of squares over the axes along which g has
//                      one element: what torch.nn.utils.weight_norm computes before each forward pass. The sum is
//                      taken in float64, in row-major order, and its root rounded to float32; the quotient and the
//                      product are rounded to float32 each. Where |v| is 0, the quotient is infinite, or NaN.
//   mean(a, b, …)      (a + b + …) / n, added in this order.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "remap/source.h"

namespace remap {

struct ComputedTensor {
  enum class Kind { weight_norm, mean } kind = Kind::weight_norm;
  std::vector<size_t> operands;  // tensors of the source: g and v; or those whose mean is taken, in their order
};

// "weight_norm(conv.weight_g, conv.weight_v)": the key under which it is listed.
std::string computed_text(const Manifest& manifest, const ComputedTensor& tensor);
// Why these operands cannot be computed with: their dtypes, shapes; "" if they can.
std::string computing_fault(const Manifest& manifest, const ComputedTensor& tensor);

// A source with computed tensors beside its own.
struct WithComputed {
  std::shared_ptr<const Source> source;
  std::vector<uint32_t> own, computed;  // where each of the given source's tensors, and each computed one, is now
};
// `of` must outlive the result. The operands have no fault and are read. Memory: for each thread that loads, about
// 4 MiB beside the tile that `of` serves. Throws Error "manifest-duplicate-key" if two are computed alike.
WithComputed with_computed(const Source& of, const std::vector<ComputedTensor>& tensors);

}  // namespace remap
