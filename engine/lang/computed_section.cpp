#include "lang/computed_section.h"

#include <fmt/format.h>

#include "lang/made_rules.h"

namespace remap::lang {
namespace {

std::optional<KeyPattern> operand(NodeReader& in, const YamlNode& node, const std::string& what) {
  auto pattern = in.pattern(node, what);
  if (!pattern) return pattern;
  in.refuse_computed(what, *pattern);
  for (const PatternToken& token : pattern->tokens)
    if (token.kind == PatternToken::Kind::variant)
      in.error("rule-wrong-type", node,
               fmt::format("{} cannot have '${{{}}}': keys are computed before variants are chosen", what, token.text),
               "write a hole, or the texts it may be: {name:a|b}");
  return pattern;
}

bool read_weight_norm(NodeReader& in, const YamlNode& node, Computed& one) {
  if (!in.expect_map(node, "'weight_norm'")) return false;
  in.check_fields(node, {"g", "v"}, "'weight_norm'");
  const YamlNode *g = node.find("g"), *v = node.find("v");
  if (g == nullptr || v == nullptr) {
    in.error("rule-missing-field", node, "'weight_norm' needs 'g' and 'v', the keys of the length and the direction");
    return false;
  }
  auto of_g = operand(in, *g, "'g'"), of_v = operand(in, *v, "'v'");
  if (!of_g || !of_v) return false;
  in.check_expansion(*of_g, *of_v);
  one.g = std::move(*of_g), one.from = std::move(*of_v);
  one.summary = fmt::format("weight_norm({}, {})", one.g.text, one.from.text);
  return true;
}

bool read_mean(NodeReader& in, const YamlNode& item, const YamlNode& node, Computed& one) {
  auto keys = operand(in, node, "'mean'");
  one.kind = Computed::Kind::mean;
  one.each = in.required_text(item, "each");
  if (!keys || one.each.empty()) return false;
  if (keys->hole(one.each) == nullptr)
    in.error("pattern-missing-capture", *item.find("each"),
             fmt::format("'{{{}}}' is not a hole of '{}'", one.each, keys->text));
  one.from = std::move(*keys);
  one.summary = fmt::format("mean({})", one.from.text);
  return true;
}

void read_one(NodeReader& in, const YamlNode& item, RuleSet& set) {
  if (!in.expect_map(item, "an entry of 'computed'")) return;
  in.check_fields(item, {"to", "weight_norm", "mean", "each", "source", "because", "optional"},
                  "an entry of 'computed'");
  Computed one;
  one.place = in.place(item);
  one.optional = in.bool_field(item, "optional").value_or(false);
  one.source = read_source_name(in, set, item, "");
  one.because = in.text_field(item, "because").value_or("");
  if (one.because.empty())
    in.error("rule-missing-field", item, "values are computed without saying why", "add 'because: …'");
  const YamlNode *to = item.find("to"), *norm = item.find("weight_norm"), *mean = item.find("mean");
  if (to == nullptr)
    in.error("rule-missing-field", item, "'to' is missing: the key under which the rules see what is computed");
  if ((norm == nullptr) == (mean == nullptr))
    return in.error("rule-missing-field", item, "an entry of 'computed' has either 'weight_norm' or 'mean'");
  if (const YamlNode* each = norm != nullptr ? item.find("each") : nullptr)
    in.error("rule-field-combination", *each, "'each' is the hole in which the keys of 'mean' differ");
  if (!(norm != nullptr ? read_weight_norm(in, *norm, one) : read_mean(in, item, *mean, one)) || to == nullptr) return;
  auto key = operand(in, *to, "'to'");
  if (!key) return;
  in.check_expansion(*key, one.from);
  if (!one.each.empty() && names_hole(*key, one.each))
    in.error("pattern-missing-capture", *to,
             fmt::format("the mean is taken over '{{{}}}': 'to' cannot have it", one.each));
  one.to = std::move(*key);
  one.summary += " → " + one.to.text;
  set.computed.push_back(std::move(one));
}

}  // namespace

void read_computed(NodeReader& in, const YamlNode& node, RuleSet& set) {
  if (!in.expect_list(node, "'computed'")) return;
  for (const auto& item : node.items) read_one(in, item, set);
}

}  // namespace remap::lang
