// What tensors hold, as numbers.
#pragma once

#include <atomic>
#include <vector>

#include "remap/plan.h"
#include "remap/sink.h"
#include "remap/source.h"

namespace remap {

// The elements of a small tensor, row-major: integers as integers, floats as doubles, bool as 0 and 1.
// Throws Error "limit-exceeded" beyond 65536 elements, "expression-value" for complex types.
Json tensor_values(const Source& source, size_t index);

// Sums of all values on both sides of a plan that was executed into `sink`, or into what `target` now reads, in double
// precision and in a fixed order. A source tensor counts as often as the plan uses it whole; constants of the target
// count nowhere. `cancel` becomes true to stop: then Error "cancelled".
struct ParameterSums {
  std::vector<double> sources;  // a source each
  double source = 0, target = 0;
  bool agree = false;  // within 1e-5 relative and 1e-3 absolute, and every tensor used whole
};
ParameterSums parameter_sums(const Plan& plan, const std::vector<const Source*>& sources, Sink& sink,
                             const std::atomic<bool>* cancel = nullptr);
ParameterSums parameter_sums(const Plan& plan, const std::vector<const Source*>& sources, const Source& target);

}  // namespace remap
