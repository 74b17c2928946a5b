#include "exec/check_plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/checked.h"
#include "ops/cast.h"
#include "remap/diagnostic.h"

namespace remap::exec {
namespace {

[[noreturn]] void fail(const PlannedTensor& target, const std::string& why) {
  throw Error("plan-inconsistent", {},
              fmt::format("the plan for '{}' {} cannot be run: {}", target.key, to_string(target.shape), why),
              "this is a mistake in the planner, not in your rules; please report it");
}

// The lowest and the highest coordinate a piece reaches in each dimension lie inside the shape. `step` and `dim` choose
// the side.
template <typename Step, typename Dim>
bool stays_inside(const std::vector<Axis>& axes, const std::vector<int64_t>& origin, const Shape& shape, Step step,
                  Dim dim) {
  if (!origin.empty() && origin.size() != shape.size()) return false;
  std::vector<int64_t> low = origin, high = origin;
  low.resize(shape.size(), 0), high.resize(shape.size(), 0);
  // A piece without elements reaches nowhere.
  if (std::any_of(axes.begin(), axes.end(), [](const Axis& axis) { return axis.extent == 0; })) return true;
  for (const Axis& axis : axes) {
    if (axis.extent < 1 || dim(axis) >= shape.size()) return false;
    const auto reach = checked_mul<int64_t>(axis.extent - 1, step(axis));
    if (!reach) return false;
    auto& end = *reach < 0 ? low[dim(axis)] : high[dim(axis)];
    const auto sum = checked_add(end, *reach);
    if (!sum) return false;
    end = *sum;
  }
  for (size_t d = 0; d < shape.size(); ++d)
    if (low[d] < 0 || high[d] >= shape[d]) return false;
  return true;
}

bool stays_in_target(const Piece& piece, const PlannedTensor& target) {
  return stays_inside(
      piece.axes, piece.target_origin, target.shape, [](const Axis& axis) { return axis.target_step; },
      [](const Axis& axis) { return axis.target_dim; });
}

void check_piece(const PlannedTensor& target, const Piece& piece, const std::vector<const Source*>& sources) {
  if (piece.source >= sources.size())
    fail(target, fmt::format("a piece names source {} of {}", piece.source, sources.size()));
  const Source& source = *sources[piece.source];
  if (piece.tensor >= source.manifest().size())
    fail(target, fmt::format("a piece names tensor {} of {}", piece.tensor, source.manifest().size()));
  const TensorInfo& from = source.manifest()[piece.tensor];
  require_read(from, source.path());
  if (!source.has_data())
    throw Error("source-without-data", BytePlace{source.path(), {}, {}},
                fmt::format("'{}' is made of '{}', of which this file knows only the shape", target.key, from.key),
                "give the checkpoint itself; a manifest is enough for planning only");
  const auto source_step = [](const Axis& axis) { return axis.source_step; };
  const auto source_dim = [](const Axis& axis) { return axis.source_dim; };
  if (!stays_in_target(piece, target)) fail(target, "a piece reaches outside of it");
  // Bytes of elements that share them, as stored() makes it.
  const bool bytes = target.dtype == DType::u8 && is_sub_byte(from.dtype);
  const Shape shape = bytes ? stored_form(from).shape : from.shape.list();
  if (!stays_inside(piece.axes, piece.source_origin, shape, source_step, source_dim))
    fail(target, fmt::format("a piece reaches outside of its source '{}' {}", from.key, to_string(shape)));
  if (!bytes && element_count(from.shape) > 0 && !ops::cast_supported(target.dtype, from.dtype))
    throw Error("cast-unsupported", {},
                fmt::format("'{}' is {} and is made of '{}', which is {}: there is no such cast", target.key,
                            long_name(target.dtype), from.key, long_name(from.dtype)),
                std::string(ops::kCastHint));
}

// Its first and its last number; those between them are as good.
void check_filled(const PlannedTensor& target, const FilledPart& part) {
  if (!stays_in_target(part.region, target)) fail(target, "numbers reach outside of it");
  int64_t last = part.region.source_origin.empty() ? 0 : part.region.source_origin[0];
  const int64_t first = last;
  for (const Axis& axis : part.region.axes) last += (axis.extent - 1) * axis.source_step;
  for (const int64_t at : {first, last}) {
    const double number = part.value + part.step * static_cast<double>(at);
    std::byte value[16];
    if (!ops::encode_value(number, target.dtype, value))
      throw Error(
          "fill-unrepresentable", {},
          fmt::format("'{}' is filled with {}, which {} cannot hold", target.key, number, long_name(target.dtype)));
  }
}

void check_tensor(const PlannedTensor& target, const std::vector<const Source*>& sources) {
  const int64_t count = remap::element_count(target.shape, target.key);
  if (target.fill) {
    std::byte value[16];
    if (!target.pieces.empty()) fail(target, "it has both a fill value and pieces");
    if (!ops::encode_value(*target.fill, target.dtype, value))
      throw Error("fill-unrepresentable", {},
                  fmt::format("'{}' is filled with {}, which {} cannot hold", target.key, *target.fill,
                              long_name(target.dtype)));
    return;
  }
  int64_t covered = 0;
  const auto cover = [&](const Piece& piece) {
    int64_t elements = 1;
    for (const Axis& axis : piece.axes) elements = checked_mul(elements, axis.extent).value_or(count + 1);
    covered = checked_add(covered, elements).value_or(count + 1);
  };
  for (const Piece& piece : target.pieces) {
    check_piece(target, piece, sources);
    cover(piece);
  }
  for (const FilledPart& part : target.filled) {
    check_filled(target, part);
    cover(part.region);
  }
  if (covered != count) fail(target, fmt::format("its pieces have {} elements", covered));
}

}  // namespace

void check_plan(const std::vector<PlannedTensor>& tensors, const std::vector<const Source*>& sources) {
  for (const PlannedTensor& target : tensors) check_tensor(target, sources);
}

}  // namespace remap::exec
