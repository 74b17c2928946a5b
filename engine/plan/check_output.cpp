#include "plan/check_output.h"

#include "tensor/storable.h"

namespace remap::plan {

void check_output(const PlanInput& input, const Targets& targets, Diagnostics& diagnostics) {
  for (const PlannedTensor& tensor : targets.tensors)
    if (const auto why = why_not_storable(tensor.key, tensor.dtype, tensor.shape, input.limits))
      diagnostics.error(why->id, input.rules.rules[tensor.rule].place, why->message, why->hint);
}

}  // namespace remap::plan
