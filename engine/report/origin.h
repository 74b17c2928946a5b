// What a target tensor is made of, in words: "encoder/layers_1/mlp/expert/wi/kernel[3].T".
#pragma once

#include <string>

#include "remap/plan.h"

namespace remap::report {

enum class OriginKind { renamed, transposed, regrouped, part, joined, filled, computed };

struct Origin {
  OriginKind kind = OriginKind::renamed;
  std::string text;
};

// Numbers that are not from a source: "all 0", "2, 3 … 513".
std::string filled_text(const FilledPart& part);
Json filled_json(const FilledPart& part);
Origin origin_of(const Plan& plan, const PlannedTensor& tensor);
OriginKind kind_of(const Plan& plan, const PlannedTensor& tensor);
Json piece_json(const Plan& plan, const Piece& piece);

}  // namespace remap::report
