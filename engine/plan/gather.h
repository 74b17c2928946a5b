// concat and stack while planning: many parts become one target tensor.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plan/keys.h"
#include "plan/view.h"

namespace remap::plan {

// What one source key gives to a target, its rule's split and steps done.
struct Part {
  const SourceKey* key = nullptr;
  const TensorInfo* info = nullptr;
  std::string concat_name, stack_name;  // what the gathered holes took
  View view;
};

struct Gathered {
  Shape shape;
  std::vector<Piece> pieces;
  const SourceKey* first = nullptr;     // of the part at the origin
};

// Joins the parts along the rule's concat axis, and the results along its stack axis. nullopt if a part is missing, too much, or does
// not fit; that is reported.
std::optional<Gathered> gather(const lang::Rule& rule, const std::string& target, const std::vector<Part>& parts, Diagnostics& diagnostics);

}  // namespace remap::plan
