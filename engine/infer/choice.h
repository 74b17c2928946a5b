// Which hypotheses hold. Private to infer.
#pragma once

#include <vector>

#include "infer/hypotheses.h"

namespace remap::infer {

struct Choice {
  static constexpr size_t kNone = static_cast<size_t>(-1);
  std::vector<size_t> chosen;                      // numbers of hypotheses, the best first
  std::vector<size_t> source_owner, target_owner;  // of each template the hypothesis that it is in, or kNone
};

// The best are taken first, kRounds times over: what is taken says which modules correspond, and that is part of the
// next round's scores, which it sets.
Choice choose(std::vector<Hypothesis>& hypotheses, const Templates& templates, const Weights& weights);

}  // namespace remap::infer
