#include <fmt/format.h>

#include "base/json_members.h"
#include "lang/rules.h"

namespace remap::lang {

std::optional<Template> parse_template(const std::shared_ptr<const SourceText>& text, const YamlNode& node,
                                       Diagnostics& diagnostics) {
  Template result;
  result.place = place_of(*text, node);
  if (node.is_sequence()) {
    result.kind = Template::Kind::list;
    for (const auto& item : node.items)
      if (auto value = parse_template(text, item, diagnostics)) result.items.push_back(std::move(*value));
  } else if (node.is_map()) {
    result.kind = Template::Kind::object;
    for (const auto& [name, item] : node.entries)
      if (auto value = parse_template(text, item, diagnostics)) {
        value->name_place = place_of(*text, name);
        result.fields.push_back({name.text, std::move(*value)});
      }
  } else if (node.is_scalar() && node.text.starts_with("$") && !node.text.starts_with("$$")) {
    result.kind = Template::Kind::expression;
    result.expression = parse_expression(node.text.substr(1), span_of(text, node, 1), diagnostics);
    if (!result.expression) return std::nullopt;
  } else {
    result.constant = to_json(node);
    if (node.is_scalar() && node.text.starts_with("$$")) result.constant = node.text.substr(1);
  }
  return result;
}

std::optional<std::vector<DimTerm>> parse_shape(const std::shared_ptr<const SourceText>& text, const YamlNode& node,
                                                Diagnostics& diagnostics) {
  if (!node.is_sequence()) {
    diagnostics.error("rule-wrong-type", place_of(*text, node),
                      fmt::format("a shape is a list, such as [hidden, hidden]; found {}", node.kind_name()));
    return std::nullopt;
  }
  std::vector<DimTerm> shape;
  bool good = true;
  for (const auto& item : node.items) {
    DimTerm term;
    if (!item.is_scalar()) {
      diagnostics.error("rule-wrong-type", place_of(*text, item),
                        fmt::format("a dim is a name, a number or an expression; found {}", item.kind_name()));
      good = false;
    } else if (item.text != "_") {
      term.expression = parse_expression(item.text, span_of(text, item), diagnostics);
      good &= term.expression.has_value();
    }
    shape.push_back(std::move(term));
  }
  return good ? std::optional(std::move(shape)) : std::nullopt;
}

std::optional<Json> instantiate(const Template& value, Scope& scope) {
  switch (value.kind) {
    case Template::Kind::constant: return value.constant;
    case Template::Kind::expression: {
      Value result = evaluate(*value.expression, scope);
      if (result.state == Value::State::omit) return std::nullopt;
      if (result.state != Value::State::present)
        return evaluate_present(*value.expression, scope);  // throws, saying what is missing
      return std::move(result.json);
    }
    case Template::Kind::list: {
      Json list = Json::array();
      for (const auto& item : value.items)
        if (auto made = instantiate(item, scope)) list.push_back(std::move(*made));
      return list;
    }
    case Template::Kind::object: {
      Json object = Json::object();
      JsonMembers members(object);
      for (const auto& [name, field] : value.fields)
        if (auto made = instantiate(field, scope)) members.set(name, std::move(*made));
      return object;
    }
  }
  return std::nullopt;
}

}  // namespace remap::lang
