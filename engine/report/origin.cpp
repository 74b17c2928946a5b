#include "report/origin.h"

#include <algorithm>
#include <bitset>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "report/fold.h"

namespace remap::report {
namespace {

const TensorInfo& source_of(const Plan& plan, const Piece& piece) {
  return (*plan.sources[piece.source].manifest)[piece.tensor];
}

std::string key_of(const Plan& plan, const Piece& piece) {
  const PlanSource& source = plan.sources[piece.source];
  return source.name.empty() ? source_of(plan, piece).key : source.name + ":" + source_of(plan, piece).key;
}

const Axis* axis_along(const Piece& piece, size_t dim) {
  const auto axis =
      std::find_if(piece.axes.begin(), piece.axes.end(), [&](const Axis& a) { return a.source_dim == dim; });
  return axis == piece.axes.end() ? nullptr : &*axis;
}

// Of a box: whether it is all of the tensor.
bool is_whole(const Piece& piece, const Shape& shape) {
  for (size_t d = 0; d < shape.size(); ++d) {
    const Axis* axis = axis_along(piece, d);
    if (axis == nullptr ? shape[d] != 1 : axis->extent != shape[d]) return false;
  }
  return true;
}

bool in_order(const Piece& piece) {
  return std::is_sorted(piece.axes.begin(), piece.axes.end(),
                        [](const Axis& a, const Axis& b) { return a.source_dim < b.source_dim; });
}

int64_t origin(const std::vector<int64_t>& origins, size_t dim) { return origins.empty() ? 0 : origins[dim]; }

// Each source dimension is walked by one axis, without gaps.
bool is_box(const Piece& piece) {
  std::bitset<256> used;
  return std::all_of(piece.axes.begin(), piece.axes.end(), [&](const Axis& a) {
    const bool first = !used[a.source_dim];
    used.set(a.source_dim);
    return a.source_step == 1 && a.target_step == 1 && first;
  });
}

// "[3]", "[0:32]", "[:, 4:8]", or "" for the whole tensor.
std::string slice_text(const Piece& piece, const Shape& shape) {
  if (is_whole(piece, shape)) return "";
  std::vector<std::string> parts;
  size_t used = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    const Axis* axis = axis_along(piece, d);
    const int64_t begin = origin(piece.source_origin, d);
    if (axis == nullptr && shape[d] != 1)
      parts.push_back(std::to_string(begin)), used = d + 1;
    else if (axis != nullptr && axis->extent != shape[d])
      parts.push_back(fmt::format("{}:{}", begin, begin + axis->extent)), used = d + 1;
    else
      parts.emplace_back(":");
  }
  parts.resize(used);
  return "[" + join(parts, ", ") + "]";
}

OriginKind origin_kind(const Plan& plan, const Piece& piece) {
  if (!is_box(piece)) return OriginKind::regrouped;
  if (!is_whole(piece, source_of(plan, piece).shape)) return OriginKind::part;
  return in_order(piece) ? OriginKind::renamed : OriginKind::transposed;
}

Origin piece_origin(const Plan& plan, const Piece& piece) {
  Origin result{origin_kind(plan, piece), key_of(plan, piece)};
  if (result.kind == OriginKind::regrouped) {
    result.text += ".regrouped";
    return result;
  }
  result.text += slice_text(piece, source_of(plan, piece).shape);
  if (in_order(piece)) return result;
  std::vector<uint8_t> order;
  for (const Axis& a : piece.axes) order.push_back(a.source_dim);
  result.text += order.size() == 2 ? ".T" : fmt::format(".permute({})", fmt::join(order, ", "));
  return result;
}

// Pieces and constants in the order in which they lie in the target.
std::vector<std::string> parts_in_place(const Plan& plan, const PlannedTensor& tensor) {
  std::vector<std::pair<std::vector<int64_t>, std::string>> placed;
  const auto add = [&](const Piece& piece, std::string text) {
    std::vector<int64_t> at = piece.target_origin;
    at.resize(tensor.shape.size());
    placed.emplace_back(std::move(at), std::move(text));
  };
  for (const Piece& piece : tensor.pieces) add(piece, piece_origin(plan, piece).text);
  for (const FilledPart& part : tensor.filled) add(part.region, filled_text(part));
  std::stable_sort(placed.begin(), placed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> texts;
  for (auto& [at, text] : placed) texts.push_back(std::move(text));
  return texts;
}

Json axes_json(const Piece& piece) {
  Json axes = Json::array();
  for (const Axis& a : piece.axes)
    axes.push_back(Json::array({a.extent, a.target_dim, a.target_step, a.source_dim, a.source_step}));
  return axes;
}

}  // namespace

std::string filled_text(const FilledPart& part) {
  if (part.step == 0) return fmt::format("all {:g}", part.value);
  int64_t count = 1;
  for (const Axis& axis : part.region.axes) count += (axis.extent - 1) * axis.source_step;
  const auto number = [&](int64_t i) {
    return fmt::format("{}", static_cast<int64_t>(part.value + part.step * static_cast<double>(i)));
  };
  std::string text = "counted: ";
  if (count <= 3) {
    for (int64_t i = 0; i < count; ++i) text += (i == 0 ? "" : ", ") + number(i);
    return text;
  }
  return text + fmt::format("{}, {} … {}", number(0), number(1), number(count - 1));
}

Json filled_json(const FilledPart& part) {
  Json json = {{"value", part.value}, {"step", part.step}};
  if (!part.region.target_origin.empty()) json["target_origin"] = part.region.target_origin;
  json["axes"] = axes_json(part.region);
  return json;
}

OriginKind kind_of(const Plan& plan, const PlannedTensor& tensor) {
  if (is_made(tensor)) return OriginKind::filled;
  if (is_computed(plan, tensor)) return OriginKind::computed;
  return tensor.pieces.size() == 1 && tensor.filled.empty() ? origin_kind(plan, tensor.pieces.front())
                                                            : OriginKind::joined;
}

Origin origin_of(const Plan& plan, const PlannedTensor& tensor) {
  if (tensor.fill) return {OriginKind::filled, fmt::format("all {:g}", *tensor.fill)};
  if (tensor.pieces.empty() && tensor.filled.size() == 1)
    return {OriginKind::filled, filled_text(tensor.filled.front())};
  if (!tensor.filled.empty()) return {OriginKind::joined, "join(" + join(parts_in_place(plan, tensor), ", ") + ")"};
  if (tensor.pieces.size() == 1) return piece_origin(plan, tensor.pieces.front());
  std::vector<std::string> parts;
  for (const Piece& piece : tensor.pieces) parts.push_back(piece_origin(plan, piece).text);
  // "rank.{0..7}.w", if the parts are joined in the order of their numbers.
  if (std::is_sorted(parts.begin(), parts.end(), natural_less)) {
    std::vector<Line> lines;
    for (const auto& part : parts) lines.push_back({{part}, {}});
    if (const auto folded = fold(std::move(lines)); folded.size() == 1) parts = folded.front();
  }
  return {OriginKind::joined, "join(" + join(parts, ", ") + ")"};
}

Json piece_json(const Plan& plan, const Piece& piece) {
  Json json = Json::object();
  if (!plan.sources[piece.source].name.empty()) json["source"] = plan.sources[piece.source].name;
  json["key"] = source_of(plan, piece).key;
  json["dtype"] = name(source_of(plan, piece).dtype);
  if (!piece.source_origin.empty()) json["source_origin"] = piece.source_origin;
  if (!piece.target_origin.empty()) json["target_origin"] = piece.target_origin;
  json["axes"] = axes_json(piece);
  return json;
}

}  // namespace remap::report
