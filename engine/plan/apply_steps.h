// What a rule does to the layout of a source tensor: its steps, and its split into parts.
#pragma once

#include <functional>
#include <utility>

#include "plan/claims.h"
#include "plan/planning.h"
#include "plan/strided_view.h"

namespace remap::plan {

// The sizes that terms stand for. Throws Error if one of them is not a size.
Shape evaluate_shape(const std::vector<lang::DimTerm>& terms, layout::CheckpointScope& scope);

// The rule's steps from `first` to before `last` on a view of the key's tensor; false, and reported, if one of them
// does not fit. What a 'slice' leaves is added to `dropped` (without its rule); nullptr: there is none among them.
// Throws Error if a size has no value.
bool apply_steps(const PlanInput& input, const lang::Rule& rule, const layout::SourceKey& key, StridedView& view,
                 size_t first, size_t last, layout::CheckpointScope& scope, std::vector<DroppedTensor>* dropped,
                 Diagnostics& diagnostics);

// "[50257:50304]": what a view of a tensor of this shape shows; "" if it is not a box of it.
std::string part_text(const StridedView& part, const Shape& shape);

// Cuts source tensors into the parts that rules make of them.
class TensorCutter {
 public:
  TensorCutter(const PlanInput& input, layout::CheckpointScope& scope, Diagnostics& diagnostics)
      : input_(input), scope_(scope), diagnostics_(diagnostics) {}

  // Calls visit for the match's tensor, or for each part of its split, with the rule's steps done, up to those that
  // follow on joining. A part that does not fit is reported, and ends it. Throws Error "limit-exceeded" for more than
  // `most` parts.
  using Visit = std::function<void(const lang::Captures& captures, StridedView view)>;
  void cut(const lang::Rule& rule, const Match& match, uint64_t most, const Visit& visit);

  // Of all rules so far that leave parts.
  const Claims& claims() const { return claims_; }
  // What the slices of the tensors so far left, since the last call.
  std::vector<DroppedTensor> take_dropped() { return std::exchange(dropped_, {}); }

 private:
  struct Cut {
    const lang::Rule& rule;
    const Match& match;
    uint64_t most;
  };
  using VisitPart = std::function<bool(const lang::Captures& captures, StridedView view)>;
  bool cut_axis(const Cut& cut, const lang::AxisParts& parts, const StridedView& whole, lang::Captures captures,
                const VisitPart& visit);
  std::vector<int64_t> part_sizes(const Cut& cut, const lang::AxisParts& parts, int64_t total);
  bool steps_fit(const Cut& cut, StridedView& view, size_t first, size_t last);
  bool fail(const Cut& cut, const std::string& wrong);

  const PlanInput& input_;
  layout::CheckpointScope& scope_;
  Diagnostics& diagnostics_;
  Claims claims_;
  std::vector<DroppedTensor> dropped_;
};

}  // namespace remap::plan
