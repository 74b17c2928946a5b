// What changes between two plans for the same sources: the review of a rule change.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "remap/plan.h"

namespace remap {

// A target tensor that only one plan makes, or that the two make differently.
struct TensorChange {
  std::string key;
  const PlannedTensor* before = nullptr;              // null: added
  const PlannedTensor* after = nullptr;               // null: removed
  bool dtype = false, shape = false, source = false;  // what differs, where there are both
};

// A source tensor that only one of the plans drops.
struct DropChange {
  std::string key;
  const DroppedTensor* before = nullptr;
  const DroppedTensor* after = nullptr;
};

// A field of a JSON file, "vision_config.num_layers".
struct FieldChange {
  std::string file, field;
  std::optional<Json> before, after;  // absent: not there
};

// Points into both plans, which must live as long.
struct PlanDiff {
  const Plan* before = nullptr;
  const Plan* after = nullptr;
  std::vector<TensorChange> tensors;  // sorted by key
  std::vector<DropChange> drops;
  std::vector<FieldChange> fields;  // config.json first
  size_t n_same = 0;                // target tensors that stay as they are
  bool empty() const { return tensors.empty() && drops.empty() && fields.empty(); }
};

// Pieces are compared by the names of the sources and of their tensors, so the plans may stem from different manifests.
PlanDiff diff_plans(const Plan& before, const Plan& after);

}  // namespace remap
