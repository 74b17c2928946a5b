#include "plan/share_once.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

namespace remap::plan {
namespace {

// Equal for two targets that hold the same bytes of the same memory.
using Origin = std::tuple<uint32_t, std::string, DType, Shape, std::vector<int64_t>>;

std::optional<Origin> origin_of(const PlanInput& input, const PlannedTensor& target) {
  if (target.pieces.size() != 1 || !target.filled.empty()) return std::nullopt;
  const Piece& piece = target.pieces.front();
  const TensorInfo& from = input.sources[piece.source].source->manifest()[piece.tensor];
  if (from.alias.empty()) return std::nullopt;
  std::vector<int64_t> layout;
  for (const Axis& axis : piece.axes)
    layout.insert(layout.end(), {axis.extent, axis.target_step, axis.source_step, axis.target_dim, axis.source_dim});
  layout.push_back(-1);  // where the origins begin
  layout.insert(layout.end(), piece.target_origin.begin(), piece.target_origin.end());
  layout.push_back(-1);
  layout.insert(layout.end(), piece.source_origin.begin(), piece.source_origin.end());
  return Origin{piece.source, from.alias, target.dtype, target.shape.list(), std::move(layout)};
}

}  // namespace

SharedOnce share_once(const PlanInput& input, Targets& targets) {
  SharedOnce result;
  if (!input.chose("shared", "once")) return result;
  std::map<Origin, std::string> first;
  for (const PlannedTensor& target : targets.tensors) {
    const auto origin = origin_of(input, target);
    if (!origin) continue;
    const auto [known, fresh] = first.try_emplace(*origin, target.key);
    if (!fresh) known->second = std::min(known->second, target.key);
  }
  Targets kept;
  kept.reserve(targets.tensors.size());
  for (PlannedTensor& target : targets.tensors) {
    const auto origin = origin_of(input, target);
    const std::string& name = origin ? first.at(*origin) : target.key;
    if (name == target.key) {
      kept.add(std::move(target));
      continue;
    }
    const Piece& piece = target.pieces.front();
    result.dropped.push_back({piece.source,
                              piece.tensor,
                              target.rule,
                              fmt::format("the same memory as {}, which stands for it (shared=once)", name),
                              {},
                              0});
    result.kept_as.emplace(target.key, name);
  }
  targets = std::move(kept);
  return result;
}

}  // namespace remap::plan
