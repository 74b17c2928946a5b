#include "lang/made_rules.h"

#include <algorithm>

#include <fmt/format.h>

#include "lang/operations.h"

namespace remap::lang {
namespace {

// The loops under 'each': their names.
std::vector<std::string> read_each(NodeReader& in, const YamlNode& item, Rule& rule) {
  std::vector<std::string> names;
  const YamlNode* each = item.find("each");
  if (each == nullptr || !in.expect_map(*each, "'each'")) return names;
  for (const auto& [name, list] : each->entries) {
    names.push_back(name.text);
    if (auto parsed = in.expression(list, "an entry of 'each'")) rule.each.push_back({name.text, std::move(*parsed)});
  }
  return names;
}

// 'fill': a number, or {begin, step, axis}.
void read_fill(NodeReader& in, const YamlNode& item, const std::vector<std::string>& loops, Rule& rule) {
  const YamlNode& node = *item.find("fill");
  if (!node.is_map()) {
    rule.fill = parse_value(in, node);
    return;
  }
  in.check_fields(node, {"begin", "step", "axis"}, "'fill'");
  Counting counting;
  if (const YamlNode* begin = node.find("begin")) counting.begin = in.hole_expression(*begin, "'begin'", loops);
  if (const YamlNode* step = node.find("step")) counting.step = in.hole_expression(*step, "'step'", loops);
  if (const YamlNode* axis = node.find("axis")) {
    const Json number = to_json(*axis);
    if (!number.is_number_integer() || number < 0 || number > 31)
      in.error("rule-wrong-type", *axis, "'axis' is a number from 0");
    else
      counting.axis = number.get<int>();
  }
  if (item.find("cast") == nullptr)
    in.error("rule-missing-field", node, "a tensor that counts needs 'cast': its dtype", "for example: cast: int64");
  rule.counting = std::move(counting);
}

}  // namespace

void only_fields(NodeReader& in, const YamlNode& item, const Rule& rule, const std::string& what) {
  const auto has = [&](const FieldRow& row) {
    if (row.name == "because" && rule.kind == Rule::Kind::move) return rule.rest;
    return (row.kinds & kind_bit(rule.kind)) != 0;
  };
  for (const auto& [key, value] : item.entries)
    for (const FieldRow& row : rule_field_table())
      if (row.name == key.text && !has(row))
        in.error("rule-field-combination", key, fmt::format("'{}' has no meaning beside {}", key.text, what));
}

std::string read_source_name(NodeReader& in, const RuleSet& set, const YamlNode& item, const std::string& inherited) {
  const auto name = in.text_field(item, "source");
  if (!name) return inherited;
  if (std::none_of(set.sources.begin(), set.sources.end(), [&](const SourceSpec& s) { return s.name == *name; }))
    in.error("rule-unknown-source", *item.find("source"), fmt::format("there is no source '{}'", *name),
             "name it under 'sources'");
  return *name;
}

void read_where(NodeReader& in, const YamlNode* where, const std::vector<std::string>& holes, Rule& rule) {
  if (where == nullptr) return;
  if (holes.empty())
    in.error("rule-field-combination", *where, "'where' asks what the holes of a key took, and this rule has none",
             "give it a hole, {i:int} in place of '*'; what does not depend on the key is a 'when'");
  rule.where = in.hole_expression(*where, "'where'", holes);
}

void read_shape(NodeReader& in, const YamlNode& item, const char* field, Rule& rule) {
  const YamlNode* node = item.find(field);
  if (node == nullptr) return;
  rule.shape_place = in.place(*node);
  rule.shape = in.shape(*node);
}

void read_made(NodeReader& in, const YamlNode& item, const KeyPattern& prefix, const YamlNode* where, Rule& rule) {
  const bool fill = item.find("fill") != nullptr;
  rule.kind = fill ? Rule::Kind::fill : Rule::Kind::copy;
  only_fields(in, item, rule, fill ? "'fill'" : "'copy_of'");
  const auto loops = read_each(in, item, rule);
  read_where(in, where, loops, rule);
  const YamlNode* to = item.find("to");
  if (to == nullptr) return in.error("rule-missing-field", item, "'to' is missing: the target key");
  if (auto p = in.pattern(*to, "'to'")) rule.to = join(prefix, '.', *p);
  in.check_expansion(rule.to, {}, loops);
  for (const auto& name : loops)
    if (!names_hole(rule.to, name))
      in.error("pattern-missing-capture", *to,
               fmt::format("'each' gives '{{{}}}', which the target key does not have: all would have one name", name));
  if (fill) {
    read_fill(in, item, loops, rule);
    read_shape(in, item, "shape", rule);
    if (item.find("shape") == nullptr) in.error("rule-missing-field", item, "'fill' needs 'shape'");
    if (rule.shape &&
        std::any_of(rule.shape->begin(), rule.shape->end(), [](const DimTerm& term) { return !term.expression; }))
      in.error("rule-wrong-type", *item.find("shape"), "'_' does not say a size; 'fill' needs one for every axis");
    if (const YamlNode* cast = item.find("cast")) rule.cast = in.dtype(*cast);
    rule.summary = fmt::format("{} → {}", rule.counting ? "counted" : item.find("fill")->text, rule.to.text);
  } else if (auto p = in.pattern(*item.find("copy_of"), "'copy_of'")) {
    rule.copy_of = join(prefix, '.', *p);
    in.check_expansion(rule.copy_of, {}, loops);
    rule.summary = fmt::format("{} → {}", rule.copy_of.text, rule.to.text);
  }
}

}  // namespace remap::lang
