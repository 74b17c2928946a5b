#include "infer/operation_text.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "base/text.h"
#include "infer/values.h"
#include "infer/yaml_text.h"

namespace remap::infer {
namespace {

using Kind = Relation::Kind;
using Texts = std::vector<std::string>;

std::string axes_text(const std::vector<int>& axes) { return list_of(std::vector<int64_t>(axes.begin(), axes.end())); }
std::string reshape_step(const Texts& axes) { return "{reshape: " + list_of(axes) + "}"; }
std::string reshape_step(const Shape& shape) { return "{reshape: " + list_of(shape) + "}"; }
const std::vector<int> kTransposed = {1, 0};

// Of what the layout acts on: a part of the source tensor, if it is cut.
Shape part_shape(const Operation& operation) {
  Shape shape = operation.shape;
  const Layout& layout = operation.layout;
  if (layout.regroup_axis >= 0)
    shape[static_cast<size_t>(layout.regroup_axis)] = layout.blocks * layout.rows * layout.columns;
  if (operation.kind == Kind::split_into && operation.axis != layout.regroup_axis && operation.sizes.empty())
    shape[static_cast<size_t>(operation.axis)] /= static_cast<int64_t>(operation.names.size());
  return shape;
}

// What a rule says of a layout: the shape of the source tensor, if the steps name its sizes, and what is done.
struct LayoutText {
  std::string shape, change;
};

// The source tensor's sizes by the names of the part's.
Texts stated_shape(const Operation& operation, const Shape& part, const Texts& names) {
  Texts stated;
  for (size_t d = 0; d < part.size(); ++d) {
    const bool cut = operation.kind == Kind::split_into && static_cast<int>(d) == operation.axis;
    if (!cut)
      stated.push_back(names[d]);
    else if (operation.sizes.empty())
      stated.push_back(fmt::format("{}*{}", operation.names.size(), names[d]));
    else
      stated.push_back(fmt::format("{} + {}", names[d], operation.shape[d] - part[d]));
  }
  return stated;
}

// One axis as [blocks, rows, columns], the last two exchanged: the sizes by name, so that the rule holds for other
// sizes too.
LayoutText regrouping_text(const Operation& operation, SharedNames& shared) {
  const Layout& layout = operation.layout;
  const auto axis = static_cast<size_t>(layout.regroup_axis);
  const bool rows_small = layout.rows <= layout.columns, several = layout.blocks > 1;
  const std::string small = std::to_string(std::min(layout.rows, layout.columns));
  const Shape own = part_shape(operation);
  Texts names, reshape, back;
  for (size_t d = 0; d < own.size(); ++d) names.push_back(shared.dim(d == axis ? "rotated" : "width", own[d]));
  const auto stated = stated_shape(operation, own, names);
  const std::string blocks = several ? shared.groups(layout.blocks) : "1",
                    large = names[axis] + (several ? "/" + blocks : "") + "/" + small;
  std::vector<std::vector<int64_t>> places;  // of each axis, those that it becomes, in their new order
  int64_t next = 0;
  for (size_t d = 0; d < own.size(); ++d) {
    if (d != axis) {
      reshape.push_back(names[d]);
      places.push_back({next++});
      continue;
    }
    places.emplace_back();
    if (several) {
      reshape.push_back(blocks);
      places.back().push_back(next++);
    }
    reshape.push_back(rows_small ? small : large);
    reshape.push_back(rows_small ? large : small);
    places.back().insert(places.back().end(), {next + 1, next});
    next += 2;
  }
  std::vector<int64_t> permute;
  for (size_t d = 0; d < own.size(); ++d) {
    const size_t from = layout.order.empty() ? d : static_cast<size_t>(layout.order[d]);
    permute.insert(permute.end(), places[from].begin(), places[from].end());
    back.push_back(names[from]);
  }
  return {", shape: " + list_of(stated), fmt::format(", steps: [{}, {{permute: {}}}, {}]", reshape_step(reshape),
                                                     list_of(permute), reshape_step(back))};
}

// transpose, permute, reshape, or steps with the shape that they need.
LayoutText layout_text(const Operation& operation, SharedNames& shared) {
  const Layout& layout = operation.layout;
  if (layout.empty()) return {};
  if (layout.regroup_axis >= 0) return regrouping_text(operation, shared);
  if (layout.reshape.empty())
    return {"", layout.order == kTransposed ? ", transpose: true" : ", permute: " + axes_text(layout.order)};
  if (layout.order.empty()) return {"", ", reshape: " + list_of(layout.reshape)};
  const std::string reshape = reshape_step(layout.reshape), permute = "{permute: " + axes_text(layout.order) + "}";
  return {"", ", steps: [" + (layout.reshape_first ? reshape + ", " + permute : permute + ", " + reshape) + "]"};
}

// The layout as steps among others.
Texts layout_steps(const Layout& layout) {
  Texts steps;
  if (!layout.reshape.empty() && layout.reshape_first) steps.push_back(reshape_step(layout.reshape));
  if (layout.order == kTransposed)
    steps.push_back("{transpose: true}");
  else if (!layout.order.empty())
    steps.push_back("{permute: " + axes_text(layout.order) + "}");
  if (!layout.reshape.empty() && !layout.reshape_first) steps.push_back(reshape_step(layout.reshape));
  return steps;
}

// The axes of tensors whose parts take turns: those of the source as the rule states them, and those around the axis
// that is taken apart.
struct TurnAxes {
  Texts source, around;
  size_t axis;
  // The axes with others in place of the one.
  Texts with(const Texts& middle) const {
    Texts list(around.begin(), around.begin() + static_cast<std::ptrdiff_t>(axis));
    list.insert(list.end(), middle.begin(), middle.end());
    list.insert(list.end(), around.begin() + static_cast<std::ptrdiff_t>(axis) + 1, around.end());
    return list;
  }
};

// A part's own size is not said.
TurnAxes turn_axes(const Operation& o, SharedNames& shared) {
  const bool twice = o.kind == Kind::split_each_into, cutting = o.kind == Kind::split_into || twice,
             named = o.layout.reshape.empty();
  // Of one of those that are cut one by one.
  const Shape shape(o.shape.begin() + (twice && !o.shape.empty() ? 1 : 0), o.shape.end());
  TurnAxes axes{
      Texts(shape.size(), "_"), {}, static_cast<size_t>(o.kind == Kind::stack_concat || twice ? o.inner_axis : o.axis)};
  // Where each axis stands once the layout has changed.
  const auto from_axis = [&](size_t d) {
    return cutting || o.layout.order.empty() || !named ? d : static_cast<size_t>(o.layout.order[d]);
  };
  const Shape joined = cutting || named ? shape : shape_after(o.layout, shape);
  for (size_t d = 0; d < joined.size(); ++d) {
    const size_t own = from_axis(d);
    const bool apart = d == axes.axis;
    if (cutting || named) {
      axes.around.push_back(apart || o.groups == 1 ? "_" : shared.dim("width", shape[own]));
      if (!apart) axes.source[own] = axes.around.back();
    } else {
      axes.around.push_back(apart ? "_" : std::to_string(joined[d]));
    }
  }
  return axes;
}

Texts cutting_steps(const Operation& o, const TurnAxes& axes, const std::string& part, const std::string& each,
                    SharedNames& shared) {
  Texts steps, names;
  int64_t unit = 0, count = static_cast<int64_t>(o.names.size());
  for (const int64_t size : o.sizes) unit = std::gcd(unit, size);
  if (unit > 0) count = std::accumulate(o.sizes.begin(), o.sizes.end(), int64_t{0}) / unit;
  for (size_t i = 0; i < o.names.size(); ++i) {
    const bool sized = o.groups > 1 ? unit > 0 : i < o.sizes.size();
    names.push_back(quoted(o.names[i]) + (sized ? fmt::format(": {}", o.sizes[i] / (o.groups > 1 ? unit : 1)) : ""));
  }
  if (o.kind == Kind::split_each_into) steps.push_back(fmt::format("{{split: {{axis: {}, each: {}}}}}", o.axis, each));
  if (o.groups > 1) steps.push_back(reshape_step(axes.with({shared.groups(o.groups), std::to_string(count), "_"})));
  steps.push_back(fmt::format("{{split: {{axis: {}, into: {{{}: {}}}}}}}", axes.axis + (o.groups > 1 ? 1 : 0), part,
                              unit > 0 ? "{" + join(names, ", ") + "}" : list_of(names)));
  if (o.groups > 1) steps.push_back(reshape_step(axes.with({"_"})));
  const Texts change = layout_steps(o.layout);
  steps.insert(steps.end(), change.begin(), change.end());
  return steps;
}

Texts joining_steps(const Operation& o, const TurnAxes& axes, const std::string& part, const std::string& each,
                    SharedNames& shared) {
  Texts names, steps = layout_steps(o.layout);
  for (const auto& name : o.names) names.push_back(quoted(name));
  steps.push_back(reshape_step(axes.with({shared.groups(o.groups), "_"})));
  steps.push_back(o.names.empty()
                      ? fmt::format("{{concat: {{axis: {}, each: {}}}}}", axes.axis + 1, each)
                      : fmt::format("{{concat: {{axis: {}, of: {{{}: {}}}}}}}", axes.axis + 1, part, list_of(names)));
  if (o.kind != Kind::stack_concat) {
    steps.push_back(reshape_step(axes.with({"_"})));
    return steps;
  }
  steps.push_back(fmt::format("{{stack: {{axis: 0, each: {}}}}}", each));
  Texts whole = axes.with({std::to_string(o.total)});
  whole.insert(whole.begin(), "_");
  steps.push_back(reshape_step(whole));
  return steps;
}

// Parts that take turns along an axis: cut or joined as an axis of their own. Or tensors that are cut twice, with
// turns or without.
std::string turns_text(const Operation& o, const std::string& part, const std::string& each, SharedNames& shared) {
  const bool twice = o.kind == Kind::split_each_into;
  TurnAxes axes = turn_axes(o, shared);
  const Texts steps = o.kind == Kind::split_into || twice ? cutting_steps(o, axes, part, each, shared)
                                                          : joining_steps(o, axes, part, each, shared);
  const bool stated = std::any_of(axes.source.begin(), axes.source.end(), [](const auto& s) { return s != "_"; });
  if (twice) axes.source.insert(axes.source.begin(), "_");
  return (stated ? ", shape: " + list_of(axes.source) : "") + ", steps: " + list_of(steps);
}

std::string gathering_text(const Operation& o, const std::string& part, const std::string& each,
                           const std::string& named) {
  std::string text;
  if (o.kind == Kind::replicated)
    text += ", replicated: " + each;
  else if (o.kind == Kind::concat && o.names.empty())
    text += fmt::format(", concat: {{axis: {}, each: {}}}", o.axis, each);
  else if (o.kind == Kind::concat)
    text += fmt::format(", concat: {{axis: {}, of: {{{}: {}}}}}", o.axis, part, named);
  if (o.kind == Kind::stack_concat)
    text += fmt::format(", concat: {{axis: {}, of: {{{}: {}}}}}", o.inner_axis, part, named);
  if (o.kind == Kind::stack && !o.names.empty())
    text += fmt::format(", stack: {{axis: {}, of: {{{}: {}}}}}", o.axis, part, named);
  else if (o.kind == Kind::stack || o.kind == Kind::stack_concat)
    text += fmt::format(", stack: {{axis: {}, each: {}}}", o.axis, each);
  return text;
}

}  // namespace

std::string operation_text(const Operation& o, const std::string& part, const std::string& each, SharedNames& shared) {
  const std::string cast = o.cast ? fmt::format(", cast: {}", long_name(*o.cast)) : "";
  if (o.groups > 1 || o.kind == Kind::split_each_into) return turns_text(o, part, each, shared) + cast;
  Texts names;
  for (size_t i = 0; i < o.names.size(); ++i)
    names.push_back(quoted(o.names[i]) +
                    (o.sizes.empty() || o.kind != Kind::split_into ? "" : fmt::format(": {}", o.sizes[i])));
  const std::string named = o.sizes.empty() ? list_of(names) : "{" + join(names, ", ") + "}";
  std::string split;
  if (o.kind == Kind::split_each) split = fmt::format(", split: {{axis: {}, each: {}}}", o.axis, each);
  if (o.kind == Kind::split_into) split = fmt::format(", split: {{axis: {}, into: {{{}: {}}}}}", o.axis, part, named);
  const LayoutText layout = layout_text(o, shared);
  return layout.shape + split + layout.change + gathering_text(o, part, each, named) + cast;
}

}  // namespace remap::infer
