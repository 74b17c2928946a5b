#include "plan/apply_steps.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace remap::plan {
namespace {

using lang::LayoutStep;

void layout_error(const PlanInput& input, const layout::SourceKey& key, const TextPlace& place,
                  const std::string& wrong, Diagnostics& diagnostics) {
  diagnostics.error("plan-layout", place,
                    fmt::format("'{}' of shape {}: {}", key.key, to_string(input.info(key).shape), wrong));
}

// Regroups a view; '_' is the size that the others leave. Returns "" or what is wrong.
std::string reshape(std::vector<lang::DimTerm> terms, StridedView& view, layout::CheckpointScope& scope) {
  const auto open =
      std::find_if(terms.begin(), terms.end(), [](const lang::DimTerm& term) { return !term.expression; });
  const auto place = open - terms.begin();
  const bool any = open != terms.end();
  if (any) terms.erase(open);
  Shape shape = evaluate_shape(terms, scope);
  if (any) {
    const int64_t others = element_count(shape), all = element_count(view.shape());
    if (others == 0 || all % others != 0)
      return fmt::format("{} has {} elements, which {} does not divide: '_' has no size", to_string(view.shape()), all,
                         others);
    shape.insert(shape.begin() + place, all / others);
  }
  return view.reshape(shape);
}

// The place that an expression stands for along an axis of so many entries, counted from its end below 0.
int64_t place_along(const lang::Expression& expression, int64_t extent, layout::CheckpointScope& scope) {
  const Json value = lang::evaluate_present(expression, scope);
  if (!value.is_number_integer())
    throw Error("expression-value", expression.written.place(),
                fmt::format("'{}' is {}; a whole number was expected", expression.text, value.dump()));
  const auto place = value.get<int64_t>();
  return place < 0 ? place + extent : place;
}

class Slicing {
 public:
  Slicing(const PlanInput& input, const layout::SourceKey& key, const LayoutStep& step,
          std::vector<DroppedTensor>& dropped)
      : input_(input), key_(key), step_(step), dropped_(dropped) {}

  std::string run(StridedView& view, layout::CheckpointScope& scope) {
    const Shape shape = view.shape();
    if (axis() >= shape.size()) return fmt::format("there is no axis {} to slice", axis());
    const int64_t extent = shape[axis()];
    const int64_t begin = step_.begin ? place_along(*step_.begin, extent, scope) : 0;
    const int64_t end = step_.end ? place_along(*step_.end, extent, scope) : extent;
    if (begin < 0 || begin >= end || end > extent)
      return fmt::format("axis {} has {} entries, of which 'slice' cannot take those from {} to before {}", axis(),
                         extent, begin, end);
    const StridedView whole = view;
    std::string wrong = view.slice(axis(), begin, end - begin);
    if (wrong.empty()) wrong = drop(whole, 0, begin);
    return wrong.empty() ? drop(whole, end, extent) : wrong;
  }

 private:
  size_t axis() const { return static_cast<size_t>(step_.axis); }

  std::string drop(const StridedView& whole, int64_t begin, int64_t end) {
    if (begin == end) return "";
    StridedView part = whole;
    const std::string wrong = part.slice(axis(), begin, end - begin);
    if (!wrong.empty()) return wrong;
    std::string text = part_text(part, input_.info(key_).shape);
    if (text.empty()) text = fmt::format(".regrouped, {}:{} of axis {}", begin, end, axis());
    dropped_.push_back({key_.source, key_.tensor, 0, step_.because, std::move(text), element_count(part.shape())});
    return "";
  }

  const PlanInput& input_;
  const layout::SourceKey& key_;
  const LayoutStep& step_;
  std::vector<DroppedTensor>& dropped_;
};

std::string apply(const LayoutStep& step, StridedView& view, layout::CheckpointScope& scope) {
  if (step.kind == LayoutStep::Kind::reshape) return reshape(step.shape, view, scope);
  if (step.transpose && view.dims.size() != 2)
    return fmt::format("'transpose' exchanges the axes of a matrix; this is {}", to_string(view.shape()));
  return view.permute(step.order);
}

}  // namespace

std::string part_text(const StridedView& part, const Shape& shape) {
  std::vector<std::string> ranges(shape.size());
  for (size_t d = 0; d < shape.size(); ++d) ranges[d] = std::to_string(part.origin[d]);
  for (const auto& factors : part.dims) {
    const Factor& factor = factors.front();
    if (factors.size() != 1 || factor.source_step != 1) return "";
    const int64_t begin = part.origin[factor.source_dim];
    ranges[factor.source_dim] =
        factor.extent == shape[factor.source_dim] ? ":" : fmt::format("{}:{}", begin, begin + factor.extent);
  }
  while (!ranges.empty() && ranges.back() == ":") ranges.pop_back();
  return fmt::format("[{}]", fmt::join(ranges, ", "));
}

Shape evaluate_shape(const std::vector<lang::DimTerm>& terms, layout::CheckpointScope& scope) {
  Shape shape;
  for (const auto& term : terms) {
    if (!term.expression) throw Error("expression-value", {}, "'_' is not a size");
    const Json value = lang::evaluate_present(*term.expression, scope);
    if (!value.is_number_integer() || value < 0)
      throw Error("expression-value", term.expression->written.place(),
                  fmt::format("'{}' is {}; a size was expected", term.expression->text, value.dump()));
    shape.push_back(value.get<int64_t>());
  }
  return shape;
}

bool apply_steps(const PlanInput& input, const lang::Rule& rule, const layout::SourceKey& key, StridedView& view,
                 size_t first, size_t last, layout::CheckpointScope& scope, std::vector<DroppedTensor>* dropped,
                 Diagnostics& diagnostics) {
  for (size_t i = first; i < last; ++i) {
    const LayoutStep& step = rule.steps[i];
    const std::string wrong = step.kind == LayoutStep::Kind::slice
                                  ? Slicing(input, key, step, *dropped).run(view, scope)
                                  : apply(step, view, scope);
    if (wrong.empty()) continue;
    layout_error(input, key, step.place, wrong, diagnostics);
    return false;
  }
  return true;
}

bool TensorCutter::steps_fit(const Cut& cut, StridedView& view, size_t first, size_t last) {
  return apply_steps(input_, cut.rule, *cut.match.key, view, first, last, scope_, &dropped_, diagnostics_);
}

bool TensorCutter::fail(const Cut& cut, const std::string& wrong) {
  layout_error(input_, *cut.match.key, cut.rule.place, wrong, diagnostics_);
  return false;
}

void TensorCutter::cut(const lang::Rule& rule, const Match& match, uint64_t most, const Visit& visit) {
  const Cut cut{rule, match, most};
  StridedView whole = StridedView::of(input_.info(*match.key).shape);
  const auto finish = [&](const lang::Captures& captures, StridedView view, size_t done) {
    const bool good = steps_fit(cut, view, done, rule.steps_of_parts());
    if (good) visit(captures, std::move(view));
    return good;
  };
  if (!rule.split) return static_cast<void>(finish(match.captures, std::move(whole), 0));
  if (!steps_fit(cut, whole, 0, rule.split_at)) return;
  cut_axis(cut, *rule.split, whole, match.captures, [&](const lang::Captures& captures, StridedView view) {
    if (!rule.inner_split) return finish(captures, std::move(view), rule.split_at);
    return steps_fit(cut, view, rule.split_at, rule.inner_split_at) &&
           cut_axis(cut, *rule.inner_split, view, captures, [&](const lang::Captures& both, StridedView part) {
             return finish(both, std::move(part), rule.inner_split_at);
           });
  });
}

// Each part of a view, until one does not fit: false, and reported.
bool TensorCutter::cut_axis(const Cut& cut, const lang::AxisParts& parts, const StridedView& whole,
                            lang::Captures captures, const VisitPart& visit) {
  const size_t axis = static_cast<size_t>(parts.axis);
  const Shape shape = whole.shape();
  if (axis >= shape.size()) return fail(cut, fmt::format("there is no axis {} to split", axis));
  captures.holes.emplace_back(parts.hole, "");
  const auto visit_part = [&](const std::string& part, StridedView view, const std::string& wrong) {
    captures.holes.back().second = part;
    return wrong.empty() ? visit(captures, std::move(view)) : fail(cut, wrong);
  };
  if (parts.each) {
    if (shape[axis] == 0) return fail(cut, fmt::format("axis {} has no entries to split", axis));
    const int64_t count = parts.count ? evaluate_shape({lang::DimTerm{*parts.count}}, scope_).front() : shape[axis];
    if (count == 0 || shape[axis] % count != 0)
      return fail(cut, fmt::format("axis {} has {} entries, which are not {} equal parts", axis, shape[axis], count));
    if (static_cast<uint64_t>(count) > cut.most) throw too_many_tensors(input_, cut.rule);
    const int64_t length = shape[axis] / count;
    for (int64_t i = 0; i < count; ++i) {
      StridedView view = whole;
      const std::string wrong = parts.count ? view.slice(axis, i * length, length) : view.select(axis, i);
      if (!visit_part(std::to_string(i), std::move(view), wrong)) return false;
    }
    return true;
  }
  const auto sizes = part_sizes(cut, parts, shape[axis]);
  int64_t begin = 0;
  for (size_t i = 0; i < sizes.size(); begin += sizes[i++]) {
    const std::string& part = parts.parts[i].name;
    if (cut.rule.split->leaves_parts())
      claims_[{cut.match.key->source, cut.match.key->tensor}].push_back(
          {cut.match.key, &cut.rule, part, axis, begin, begin + sizes[i], whole});
    if (lang::is_left_part(part)) continue;
    StridedView view = whole;
    const std::string wrong = view.slice(axis, begin, sizes[i]);
    if (!visit_part(part, std::move(view), wrong)) return false;
  }
  return !sizes.empty();
}

// Empty, and reported, if they are not as long as the axis together.
std::vector<int64_t> TensorCutter::part_sizes(const Cut& cut, const lang::AxisParts& split, int64_t total) {
  const auto& parts = split.parts;
  std::vector<int64_t> sizes;
  int64_t sum = 0;
  for (const auto& part : parts) {
    const Json size =
        part.size ? lang::evaluate_present(*part.size, scope_) : Json(total / static_cast<int64_t>(parts.size()));
    if (!size.is_number_integer() || size < 0)
      throw Error("expression-value", part.size->written.place(), fmt::format("'{}' is not a size", part.size->text));
    sizes.push_back(size.get<int64_t>());
    sum += sizes.back();
  }
  if (sum == total) return sizes;
  fail(cut, fmt::format("axis {} has {} entries; the {} parts have {}", split.axis, total, parts.size(), sum));
  return {};
}

}  // namespace remap::plan
