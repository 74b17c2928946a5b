// What of the choice is not certain. Private to infer.
#pragma once

#include <vector>

#include "infer/choice.h"

namespace remap::infer {

// Adds checks to the chosen hypotheses: why a reader should look at them.
void note_doubts(std::vector<Hypothesis>& hypotheses, const Choice& choice, const Templates& templates,
                 const Weights& weights);

}  // namespace remap::infer
