#include "lang/node_reader.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "lang/functions.h"
#include "remap/nearest.h"

namespace remap::lang {

std::vector<std::string> names_of(const std::vector<FieldRow>& rows) {
  std::vector<std::string> names;
  for (const auto& row : rows) names.emplace_back(row.name);
  return names;
}

void NodeReader::error(const std::string& id, const YamlNode& node, const std::string& message,
                       const std::string& hint) {
  diagnostics_.error(id, place_of(*text_, node), message, hint);
}

bool NodeReader::expect_map(const YamlNode& node, const std::string& what) {
  if (node.is_map()) return true;
  error("rule-wrong-type", node, fmt::format("{} is a mapping; found {}", what, node.kind_name()));
  return false;
}

bool NodeReader::expect_list(const YamlNode& node, const std::string& what) {
  if (node.is_sequence()) return true;
  error("rule-wrong-type", node, fmt::format("{} is a list; found {}", what, node.kind_name()));
  return false;
}

void NodeReader::check_fields(const YamlNode& map, const std::vector<std::string>& allowed, const std::string& what) {
  for (const auto& [key, value] : map.entries) {
    if (std::find(allowed.begin(), allowed.end(), key.text) != allowed.end()) continue;
    if (value.kind == YamlNode::Kind::null && key.text.find(' ') != std::string::npos) {
      error("rule-unknown-field", key, fmt::format("'{}' is not a field of {}", key.text, what),
            "a comma ends a value inside { }: quote strings that hold one");
      continue;
    }
    error("rule-unknown-field", key, fmt::format("'{}' is not a field of {}", key.text, what),
          did_you_mean(nearest_name(key.text, allowed), fmt::format("there are: {}", remap::join(allowed, ", "))));
  }
}

std::optional<std::string> NodeReader::text_of(const YamlNode& node, const std::string& what) {
  if (node.is_scalar()) return node.text;
  error("rule-wrong-type", node, fmt::format("{} is a string; found {}", what, node.kind_name()));
  return std::nullopt;
}

std::optional<std::string> NodeReader::text_field(const YamlNode& map, const std::string& field) {
  const YamlNode* node = map.find(field);
  return node == nullptr ? std::nullopt : text_of(*node, "'" + field + "'");
}

std::string NodeReader::required_text(const YamlNode& map, const std::string& field) {
  if (map.find(field) == nullptr) error("rule-missing-field", map, fmt::format("'{}' is missing", field));
  return text_field(map, field).value_or("");
}

std::string NodeReader::name_field(const YamlNode& map, const std::string& field, TextPlace* place) {
  const std::string name = text_field(map, field).value_or("");
  if (const YamlNode* node = map.find(field)) *place = this->place(*node);
  if (name.find_first_of("/\\") != std::string::npos || name.starts_with("."))
    error("rule-wrong-type", *map.find(field), fmt::format("'{}' is not a name", name),
          "a name without slashes; the file is found beside the rules or is built in");
  return name;
}

std::optional<bool> NodeReader::bool_field(const YamlNode& map, const std::string& field) {
  const YamlNode* node = map.find(field);
  if (node == nullptr) return std::nullopt;
  const Json json = to_json(*node);
  if (json.is_boolean()) return json.get<bool>();
  error("rule-wrong-type", *node, fmt::format("'{}' is true or false", field));
  return std::nullopt;
}

std::optional<Expression> NodeReader::expression(const YamlNode& node, const std::string& what) {
  if (!node.is_scalar()) {
    error("rule-wrong-type", node, fmt::format("{} is an expression; found {}", what, node.kind_name()));
    return std::nullopt;
  }
  auto parsed = parse_expression(node.text, span_of(text_, node), diagnostics_);
  if (parsed) note(*parsed);
  return parsed;
}

std::optional<Expression> NodeReader::expression_field(const YamlNode& map, const std::string& field) {
  const YamlNode* node = map.find(field);
  return node == nullptr ? std::nullopt : expression(*node, "'" + field + "'");
}

std::optional<Expression> NodeReader::hole_expression(const YamlNode& node, const std::string& what,
                                                      const std::vector<std::string>& holes) {
  if (!node.is_scalar()) return expression(node, what);
  auto parsed = parse_expression(node.text, span_of(text_, node), diagnostics_);
  if (parsed) note(*parsed, holes);
  return parsed;
}

void NodeReader::refuse_computed(const std::string& what, const KeyPattern& pattern) {
  for (const PatternToken& token : pattern.tokens)
    if (token.kind == PatternToken::Kind::computed)
      diagnostics_.error(
          "pattern-syntax", pattern.place_of(token),
          fmt::format("{}: '{{={}}}' computes, and a pattern that keys are matched with does not", what, token.text),
          "take the number with {i:int}, say with 'where' which are meant, and compute in 'to'");
}

std::optional<KeyPattern> NodeReader::pattern(const YamlNode& node, const std::string& what) {
  if (!node.is_scalar()) {
    error("rule-wrong-type", node, fmt::format("{} is a key pattern; found {}", what, node.kind_name()),
          "quote patterns that begin with '*' or '{'");
    return std::nullopt;
  }
  auto parsed = parse_pattern(node.text, span_of(text_, node), tables_, diagnostics_);
  if (parsed) names_.note(*parsed);
  return parsed;
}

std::optional<DType> NodeReader::dtype(const YamlNode& node) {
  const auto found = parse_dtype(node.text);
  if (!found)
    error("rule-wrong-type", node, fmt::format("'{}' is not a dtype", node.text),
          "for example float32, float16, bfloat16");
  return found;
}

std::optional<Template> NodeReader::value_template(const YamlNode& node) {
  auto value = parse_template(text_, node, diagnostics_);
  if (value) note(*value);
  return value;
}

std::optional<std::vector<DimTerm>> NodeReader::shape(const YamlNode& node) {
  auto shape = parse_shape(text_, node, diagnostics_);
  if (shape)
    for (const DimTerm& term : *shape)
      if (term.expression) {
        note(*term.expression);
        names_.note_dims(*term.expression);
      }
  return shape;
}

std::optional<Expression> NodeReader::part_size(const YamlNode& node) {
  auto size = expression(node, "a part's size");
  if (size) names_.note_dims(*size);
  return size;
}

void NodeReader::check_expansion(const KeyPattern& to, const KeyPattern& from, const std::vector<std::string>& extra) {
  lang::check_expansion(to, from, extra, tables_, diagnostics_);
  std::vector<std::string> holes = extra;
  for (const PatternToken& token : from.tokens)
    if (token.kind == PatternToken::Kind::hole) holes.push_back(token.text);
  for (const PatternToken& token : to.tokens)
    if (token.expression) note(*token.expression, holes);
}

void NodeReader::note(const Expression& expression, const std::vector<std::string>& holes) {
  names_.note(expression, holes);
  visit(expression.root, [&](const ExpressionNode& node) {
    if (node.kind == NodeKind::call) check_key(expression, node);
  });
}

void NodeReader::note(const Template& value) {
  if (value.expression) note(*value.expression);
  for (const auto& item : value.items) note(item);
  for (const auto& [name, field] : value.fields) note(field);
}

// A pattern that a function is given as it is can be checked before there is any checkpoint.
void NodeReader::check_key(const Expression& expression, const ExpressionNode& call) {
  if (call.function->takes != FunctionRow::Takes::key_first || !call.children[0].literal.is_string()) return;
  parse_pattern(call.children[0].literal.get<std::string>(), expression.written.from(call.children[0].offset + 1),
                tables_, diagnostics_);
}

}  // namespace remap::lang
