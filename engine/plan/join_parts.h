// concat and stack while planning: many parts become one target tensor.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lang/rules.h"
#include "layout/key_table.h"
#include "plan/strided_view.h"

namespace remap::plan {

// What one source key gives to a target, its rule's split and steps done.
struct JoinInput {
  const layout::SourceKey* key = nullptr;
  const TensorInfo* info = nullptr;
  std::string concat_name, stack_name;  // what the holes that are joined along took
  StridedView view;
};

struct Joined {
  Shape shape;
  std::vector<Piece> pieces;
  std::vector<FilledPart> filled;
  const layout::SourceKey* first = nullptr;  // of the part at the origin
};

// Joins the parts along the rule's concat axis, and the results along its stack axis. nullopt if a part is missing, too
// much, or does not fit; that is reported. `sizes`: of the constants among the parts of concat, by their place there.
// `regroup`: the rule's further steps, on a view of what was joined; false, and reported, if they do not fit.
using Regroup = std::function<bool(const layout::SourceKey& first, StridedView& view)>;
std::optional<Joined> join_parts(const lang::Rule& rule, const std::string& target, const std::vector<JoinInput>& parts,
                                 const std::map<size_t, int64_t>& sizes, const Regroup& regroup,
                                 Diagnostics& diagnostics);

}  // namespace remap::plan
