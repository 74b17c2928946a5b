#include "lang/operations.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace remap::lang {
namespace {

int parse_axis(NodeReader& in, const YamlNode& node, const std::string& what) {
  constexpr int kMaxAxis = 31;
  const YamlNode* axis = node.find("axis");
  const Json number = axis == nullptr ? Json() : to_json(*axis);
  if (number.is_number_integer() && number >= 0 && number <= kMaxAxis) return number.get<int>();
  in.error("rule-wrong-type", axis == nullptr ? node : *axis, fmt::format("'{}' needs 'axis': a number from 0", what));
  return 0;
}

// {fill: 0, size: n} or {entry: name} among the names of a concat.
std::optional<AxisPart> parse_part(NodeReader& in, const YamlNode& node, const std::string& what) {
  if (what != "concat") {
    in.error("rule-wrong-type", node,
             fmt::format("'{}' lists names; only 'concat' can have constants or entries among them", what));
    return std::nullopt;
  }
  if (node.find("entry") != nullptr) {
    in.check_fields(node, {"entry"}, "a part that is one entry");
    const auto name = in.text_field(node, "entry");
    return name ? std::optional(AxisPart{*name, std::nullopt, std::nullopt, true}) : std::nullopt;
  }
  in.check_fields(node, {"fill", "size"}, "a constant part");
  const YamlNode *fill = node.find("fill"), *size = node.find("size");
  if (fill == nullptr || size == nullptr) {
    in.error("rule-missing-field", node, "a constant part needs 'fill', its value, and 'size', how long it is");
    return std::nullopt;
  }
  auto length = in.part_size(*size);
  if (!length) return std::nullopt;
  return AxisPart{"", std::move(length), parse_value(in, *fill)};
}

// `named`: the field that lists names in order; nullptr: there is none.
std::optional<AxisParts> parse_parts(NodeReader& in, const YamlNode& node, const std::string& what, const char* named) {
  if (!in.expect_map(node, "'" + what + "'")) return std::nullopt;
  std::vector<std::string> fields = {"axis", "each"};
  if (named != nullptr) fields.push_back(named);
  if (what == "split") fields.emplace_back("parts");
  in.check_fields(node, fields, "'" + what + "'");
  AxisParts parts;
  parts.axis = parse_axis(in, node, what);
  const YamlNode* each = node.find("each");
  const YamlNode* list = named == nullptr ? nullptr : node.find(named);
  if ((each != nullptr) == (list != nullptr)) {
    in.error("rule-missing-field", node,
             fmt::format("'{}' needs 'each: hole'{}", what,
                         named == nullptr ? "" : fmt::format(" or '{}: {{hole: [names]}}'", named)));
    return std::nullopt;
  }
  if (each != nullptr) {
    parts.each = true;
    parts.hole = in.text_of(*each, "'each'").value_or("");
    if (const YamlNode* count = what == "split" ? node.find("parts") : nullptr) parts.count = in.part_size(*count);
    return parts;
  }
  if (const YamlNode* count = what == "split" ? node.find("parts") : nullptr)
    in.error("rule-field-combination", *count, "'parts' says how many equal parts 'each' numbers",
             "parts with names are as many as there are names");
  if (!in.expect_map(*list, fmt::format("'{}'", named)) || list->entries.size() != 1) {
    in.error("rule-wrong-type", *list, fmt::format("'{}' has one entry: hole: [names in order]", named));
    return std::nullopt;
  }
  const auto& [hole, names] = list->entries.front();
  parts.hole = hole.text;
  if (names.is_sequence()) {
    for (const auto& name : names.items)
      if (!name.is_map())
        parts.parts.push_back({name.text, std::nullopt});
      else if (auto part = parse_part(in, name, what))
        parts.parts.push_back(std::move(*part));
  } else if (names.is_map()) {
    for (const auto& [name, size] : names.entries) parts.parts.push_back({name.text, in.part_size(size)});
  }
  if (parts.parts.empty())
    in.error("rule-wrong-type", names, "a list of names, or a mapping of names to sizes, was expected");
  return parts;
}

void parse_axis_field(NodeReader& in, const std::string& name, const YamlNode& node, Rule& rule) {
  auto& parts = name != "split" ? (name == "concat" ? rule.concat : rule.stack)
                : rule.split    ? rule.inner_split
                                : rule.split;
  if (name == "split" && !rule.split) rule.split_at = rule.steps.size();  // a 'slice' comes first
  parts = parse_parts(in, node, name, name == "split" ? "into" : "of");
  if (parts && name == "concat" && !parts->each &&
      std::all_of(parts->parts.begin(), parts->parts.end(), [](const AxisPart& p) { return p.fill.has_value(); }))
    in.error("rule-wrong-type", node, "all parts are constants: nothing is joined", "a constant is to, fill and shape");
  if (parts && name == "split" && !parts->each &&
      std::all_of(parts->parts.begin(), parts->parts.end(), [](const AxisPart& p) { return is_left_part(p.name); }))
    in.error("rule-wrong-type", node, "all parts are left to other rules");
}

// Joined with nothing but constants.
void parse_pad_field(NodeReader& in, const std::string&, const YamlNode& node, Rule& rule) {
  if (!in.expect_map(node, "'pad'")) return;
  in.check_fields(node, {"axis", "before", "after", "fill"}, "'pad'");
  if (rule.concat)
    return in.error("rule-field-combination", node, "'pad' and 'concat' in one rule",
                    "name the constants among the parts of 'concat': {fill: 0, size: n}");
  AxisParts parts;
  parts.axis = parse_axis(in, node, "pad");
  const YamlNode* fill = node.find("fill");
  if (fill == nullptr) in.error("rule-missing-field", node, "'pad' needs 'fill': the value of what is added");
  const double value = fill == nullptr ? 0 : parse_value(in, *fill);
  const auto add = [&](const char* field) {
    if (const YamlNode* size = node.find(field))
      if (auto length = in.part_size(*size)) parts.parts.push_back({"", std::move(length), value});
  };
  add("before");
  parts.parts.push_back({"", std::nullopt});
  add("after");
  if (node.find("before") == nullptr && node.find("after") == nullptr)
    in.error("rule-missing-field", node, "'pad' needs 'before' or 'after': how much is added there");
  rule.concat = std::move(parts);
}

// 'split', 'concat' and 'stack' among the steps: what stands before them acts before, what stands behind them after.
void parse_axis_step(NodeReader& in, const std::string& name, const YamlNode& body, Rule& rule) {
  const bool splits = name == "split";
  const bool concats = name == "concat" || name == "pad";
  if ((splits ? rule.inner_split : concats ? rule.concat : rule.stack).has_value())
    return in.error("rule-field-combination", body, fmt::format("more '{}' steps than a rule can have", name),
                    "a rule can have two of 'split', and one each of 'concat' (or 'pad') and 'stack'");
  if (splits && rule.gathers())
    return in.error("rule-field-combination", body, "'split' stands before 'concat' and 'stack'",
                    "parts are cut first, and joined then");
  if (concats && rule.stack)
    return in.error("rule-field-combination", body, fmt::format("'{}' stands before 'stack'", name),
                    "what is stacked has been joined before");
  if (name == "stack" && rule.concat && rule.gather_at != rule.steps.size())
    return in.error("rule-field-combination", body, "'stack' follows 'concat' at once",
                    "steps stand before both, or behind both");
  const bool again = splits && rule.split;
  (name == "pad" ? parse_pad_field : parse_axis_field)(in, name, body, rule);
  if (again && (rule.split->leaves_parts() || (rule.inner_split && rule.inner_split->leaves_parts())))
    in.error("rule-field-combination", body, "a tensor that is split twice leaves no parts to other rules",
             "name all parts");
  if (again && rule.inner_split && rule.inner_split->hole == rule.split->hole)
    in.error("rule-field-combination", body, fmt::format("both of 'split' give '{{{}}}'", rule.split->hole),
             "each needs a hole of its own");
  (again ? rule.inner_split_at : splits ? rule.split_at : rule.gather_at) = rule.steps.size();
}

LayoutStep step_at(NodeReader& in, const YamlNode& body) {
  LayoutStep step;
  step.place = in.place(body);
  return step;
}

void parse_transpose(NodeReader& in, const std::string&, const YamlNode& body, Rule& rule) {
  if (to_json(body) != Json(true))
    return in.error("rule-wrong-type", body, "'transpose' is true or left out", "for other axes: permute: [2, 0, 1]");
  LayoutStep step = step_at(in, body);
  step.transpose = true;
  step.order = {1, 0};
  rule.steps.push_back(std::move(step));
}

void parse_permute(NodeReader& in, const std::string&, const YamlNode& body, Rule& rule) {
  if (!in.expect_list(body, "'permute'")) return;
  LayoutStep step = step_at(in, body);
  for (const auto& axis : body.items) {
    const Json number = to_json(axis);
    if (!number.is_number_integer() || number < 0 || number >= static_cast<int64_t>(body.items.size()))
      return in.error("rule-wrong-type", axis,
                      fmt::format("'permute' lists the axes 0 … {} once each", body.items.size() - 1));
    step.order.push_back(number.get<int>());
  }
  if (std::set<int>(step.order.begin(), step.order.end()).size() != step.order.size())
    return in.error("rule-wrong-type", body, "'permute' names an axis twice");
  rule.steps.push_back(std::move(step));
}

void parse_reshape(NodeReader& in, const std::string&, const YamlNode& body, Rule& rule) {
  auto shape = in.shape(body);
  if (!shape) return;
  if (std::count_if(shape->begin(), shape->end(), [](const DimTerm& term) { return !term.expression; }) > 1)
    return in.error("rule-wrong-type", body, "'_' stands for the size that the others leave: 'reshape' can have one");
  LayoutStep step = step_at(in, body);
  step.kind = LayoutStep::Kind::reshape;
  step.shape = std::move(*shape);
  rule.steps.push_back(std::move(step));
}

void parse_slice(NodeReader& in, const std::string&, const YamlNode& body, Rule& rule) {
  if (!in.expect_map(body, "'slice'")) return;
  in.check_fields(body, {"axis", "begin", "end", "because"}, "'slice'");
  if (rule.gathers())
    return in.error("rule-field-combination", body, "'slice' stands before 'concat' and 'stack'",
                    "parts are cut first, and joined then");
  LayoutStep step = step_at(in, body);
  step.kind = LayoutStep::Kind::slice;
  step.axis = parse_axis(in, body, "slice");
  if (const YamlNode* begin = body.find("begin")) step.begin = in.part_size(*begin);
  if (const YamlNode* end = body.find("end")) step.end = in.part_size(*end);
  if (body.find("begin") == nullptr && body.find("end") == nullptr)
    in.error("rule-missing-field", body, "'slice' needs 'begin' or 'end': which entries of the axis are taken");
  step.because = in.text_field(body, "because").value_or("");
  if (step.because.empty())
    in.error("rule-drop-without-reason", body, "a part is dropped without saying why", "add 'because: …'");
  rule.steps.push_back(std::move(step));
}

struct Operation {
  using Read = void(NodeReader&, const std::string& name, const YamlNode& body, Rule&);
  std::string name;
  Read *as_field, *as_step;  // of the rule; of its 'steps'
  bool is_layout;            // a rule has one of these as a field at most
};

const std::vector<Operation>& operations() {
  static const std::vector<Operation> rows = {
      {"slice", parse_slice, parse_slice, false},           {"split", parse_axis_field, parse_axis_step, false},
      {"concat", parse_axis_field, parse_axis_step, false}, {"pad", parse_pad_field, parse_axis_step, false},
      {"stack", parse_axis_field, parse_axis_step, false},  {"transpose", parse_transpose, parse_transpose, true},
      {"permute", parse_permute, parse_permute, true},      {"reshape", parse_reshape, parse_reshape, true},
  };
  return rows;
}

}  // namespace

double parse_value(NodeReader& in, const YamlNode& node) {
  const Json value = to_json(node);
  if (value.is_number()) return value.get<double>();
  in.error("rule-wrong-type", node, "'fill' is a number");
  return 0;
}

void read_operations(const YamlNode& item, NodeReader& in, Rule& rule) {
  int layout_fields = 0;
  std::vector<std::string> names;
  for (const Operation& operation : operations()) {
    names.push_back(operation.name);
    const YamlNode* node = item.find(operation.name);
    if (node == nullptr) continue;
    operation.as_field(in, operation.name, *node, rule);
    layout_fields += operation.is_layout ? 1 : 0;
  }
  rule.replicated = in.text_field(item, "replicated").value_or("");
  const YamlNode* steps = item.find("steps");
  if (layout_fields > 1 || (layout_fields == 1 && steps != nullptr))
    in.error("rule-field-combination", item, "more than one change of layout: their order matters",
             "write them in order under 'steps'");
  if (steps != nullptr && in.expect_list(*steps, "'steps'"))
    for (const auto& step : steps->items) {
      if (!in.expect_map(step, "a step")) continue;
      in.check_fields(step, names, "a step");
      if (step.entries.size() != 1) in.error("rule-wrong-type", step, "a step is one operation");
      for (const auto& [name, body] : step.entries)
        for (const Operation& operation : operations())
          if (operation.name == name.text) operation.as_step(in, name.text, body, rule);
    }
  if (const YamlNode* cast = item.find("cast")) rule.cast = in.dtype(*cast);
}

}  // namespace remap::lang
