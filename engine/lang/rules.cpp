#include "lang/rules.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "lang/made_rules.h"
#include "lang/operations.h"
#include "lang/sections.h"

namespace remap::lang {
namespace {

// The list under 'rules', and the blocks in it.
class RuleListReader {
 public:
  // `set`: the sections of the file; its rules are appended.
  RuleListReader(NodeReader& in, RuleSet& set) : in_(in), set_(set) {}

  void read(const YamlNode& list) { parse_rule_list(list, {}, {}, "", {}); }

 private:
  using Prefix = KeyPattern;
  // Of a rule, or of the blocks around it.
  struct Conditions {
    std::optional<Expression> when;
    const YamlNode* where = nullptr;
  };

  void parse_rule_list(const YamlNode& list, const Prefix& from, const Prefix& to, const std::string& source,
                       const Conditions& when) {
    if (!in_.expect_list(list, "'rules'")) return;
    for (const auto& item : list.items) {
      if (!in_.expect_map(item, "a rule")) continue;
      if (item.find("within") != nullptr || item.find("rules") != nullptr)
        parse_block(item, from, to, source, when);
      else
        parse_rule(item, from, to, source, when);
    }
  }

  char separator(const std::string& source) const {
    for (const auto& spec : set_.sources)
      if (spec.name == source) return spec.separator;
    return '.';
  }

  // Both conditions must hold: that of the rule and those of the blocks around it.
  Conditions conditions(const YamlNode& item, const Conditions& outer) {
    Conditions both{in_.expression_field(item, "when"), item.find("where")};
    const auto refuse = [&](const char* field) {
      in_.error("rule-wrong-type", *item.find(field),
                fmt::format("the block around this rule has a '{}' already", field),
                "combine the two conditions, or remove one");
    };
    if (both.when && outer.when) refuse("when");
    if (both.where != nullptr && outer.where != nullptr) refuse("where");
    if (!both.when) both.when = outer.when;
    if (both.where == nullptr) both.where = outer.where;
    return both;
  }

  static std::vector<std::string> holes_of(const Rule& rule) {
    std::vector<std::string> holes;
    for (const PatternToken& token : rule.from.tokens)
      if (token.kind == PatternToken::Kind::hole) holes.push_back(token.text);
    return holes;
  }

  // A pattern that keys are matched with: it cannot compute.
  std::optional<KeyPattern> source_pattern(const YamlNode& node, const std::string& what) {
    auto pattern = in_.pattern(node, what);
    if (pattern) in_.refuse_computed(what, *pattern);
    return pattern;
  }

  // 'within' gives the rules of a block prefixes; a block may do without, and share a 'when' or a 'source' alone.
  void parse_block(const YamlNode& item, const Prefix& from, const Prefix& to, const std::string& source,
                   const Conditions& when) {
    in_.check_fields(item, {"within", "rules", "when", "where", "source"}, "a block of rules");
    const YamlNode* within = item.find("within");
    if (within != nullptr) {
      if (!in_.expect_map(*within, "'within'")) return;
      in_.check_fields(*within, {"from", "to"}, "'within'");
    }
    const std::string own_source = read_source_name(in_, set_, item, source);
    const auto prefix = [&](const char* field, const Prefix& outer, char sep) -> Prefix {
      const YamlNode* node = within == nullptr ? nullptr : within->find(field);
      if (node == nullptr) return outer;
      const bool is_source = field == std::string("from");
      auto parsed = is_source ? source_pattern(*node, "'from'") : in_.pattern(*node, "'to'");
      if (!parsed) return outer;
      if (parsed->is_regex) in_.error("pattern-syntax", *node, "an expression cannot be a prefix");
      return join(outer, sep, *parsed);
    };
    const YamlNode* rules = item.find("rules");
    if (rules == nullptr) {
      in_.error("rule-missing-field", item, "a 'within' block needs 'rules'");
      return;
    }
    const Prefix new_from = prefix("from", from, separator(own_source)), new_to = prefix("to", to, '.');
    parse_rule_list(*rules, new_from, new_to, own_source, conditions(item, when));
  }

  void parse_rule(const YamlNode& item, const Prefix& from, const Prefix& to, const std::string& source,
                  const Conditions& outer) {
    in_.check_fields(item, names_of(rule_field_table()), "a rule");
    Rule rule;
    rule.place = in_.place(item);
    rule.source = read_source_name(in_, set_, item, source);
    const Conditions both = conditions(item, outer);
    rule.when = both.when;
    rule.optional = in_.bool_field(item, "optional").value_or(false);
    rule.rest = in_.bool_field(item, "rest").value_or(false);
    if (item.find("drop")) return parse_drop(item, from, both.where, std::move(rule));
    if (item.find("fill") || item.find("copy_of")) {
      read_made(in_, item, to, both.where, rule);
      return set_.rules.push_back(std::move(rule));
    }
    parse_move(item, from, to, both.where, std::move(rule));
  }

  KeyPattern in_source(const Prefix& prefix, const std::string& source, const KeyPattern& pattern) {
    return join(prefix, separator(source), pattern);
  }

  void parse_except(const YamlNode& item, const Prefix& prefix, Rule& rule) {
    if (const YamlNode* except = item.find("except")) {
      const std::vector<YamlNode> list = except->is_sequence() ? except->items : std::vector<YamlNode>{*except};
      for (const auto& node : list)
        if (auto p = source_pattern(node, "'except'")) rule.except.push_back(in_source(prefix, rule.source, *p));
    }
  }

  void parse_drop(const YamlNode& item, const Prefix& prefix, const YamlNode* where, Rule rule) {
    rule.kind = Rule::Kind::drop;
    only_fields(in_, item, rule, "'drop'");
    const auto key = source_pattern(*item.find("drop"), "'drop'");
    rule.because = in_.text_field(item, "because").value_or("");
    if (rule.because.empty())
      in_.error("rule-drop-without-reason", item, "a key is dropped without saying why", "add 'because: …'");
    parse_except(item, prefix, rule);
    if (!key) return;
    rule.from = in_source(prefix, rule.source, *key);
    read_where(in_, where, holes_of(rule), rule);
    if (const YamlNode* twin = item.find("equal_to"))
      if (auto p = source_pattern(*twin, "'equal_to'")) {
        rule.equal_to = in_source(prefix, rule.source, *p);
        in_.check_expansion(*rule.equal_to, rule.from);
      }
    if (const YamlNode* split = item.find("split")) {
      read_operations(item, in_, rule);
      if (item.find("equal_to") != nullptr || !rule.split || !rule.split->leaves_parts())
        in_.error("rule-field-combination", *split, "a part is dropped where the others are left to another rule",
                  "call these '_', and leave 'equal_to' out; or drop the key without 'split'");
    }
    rule.summary = rule.from.text + " → (dropped)";
    set_.rules.push_back(std::move(rule));
  }

  void parse_move(const YamlNode& item, const Prefix& from_prefix, const Prefix& to_prefix, const YamlNode* where,
                  Rule rule) {
    only_fields(in_, item, rule, "'from'");
    rule.because = in_.text_field(item, "because").value_or("");
    if (rule.rest && rule.because.empty())
      in_.error("rule-drop-without-reason", item, "a rule for the rest does not say why no other rule takes these keys",
                "add 'because: …'");
    const YamlNode *from = item.find("from"), *to = item.find("to"), *keep = item.find("keep");
    if (keep != nullptr && (from != nullptr || to != nullptr))
      return in_.error("rule-field-combination", *keep, "'keep' is 'from' and 'to' at once");
    if (keep != nullptr) from = to = keep;
    if (from == nullptr || to == nullptr) {
      in_.error(
          "rule-missing-field", item, from == nullptr ? "'from' is missing" : "'to' is missing",
          "a rule has 'from' and 'to', or 'keep', or 'drop', or 'to' with 'fill' or 'copy_of'; a block has 'rules'");
      return;
    }
    auto source_key = source_pattern(*from, keep != nullptr ? "'keep'" : "'from'"),
         target_key = keep != nullptr ? source_key : in_.pattern(*to, "'to'");
    if (!source_key || !target_key) return;
    if (source_key->is_regex && !from_prefix.tokens.empty())
      in_.error("pattern-syntax", *from, "an expression matches the whole key; it cannot stand in a 'within' block");
    rule.from = in_source(from_prefix, rule.source, *source_key);
    rule.to = join(to_prefix, '.', *target_key);
    rule.summary = fmt::format("{} → {}", rule.from.text, rule.to.text);
    parse_except(item, from_prefix, rule);
    read_operations(item, in_, rule);
    std::vector<std::string> extra;
    for (const auto* split : {&rule.split, &rule.inner_split})
      if (*split) extra.push_back((*split)->hole);
    in_.check_expansion(rule.to, rule.from, extra);
    check_holes(rule, *to, *from);
    read_where(in_, where, holes_of(rule), rule);
    expand_module(item, std::move(rule));
  }

  void check_holes(const Rule& rule, const YamlNode& to, const YamlNode& from) {
    const auto taken = [](const AxisParts& split) {
      return std::count_if(split.parts.begin(), split.parts.end(),
                           [](const AxisPart& p) { return !is_left_part(p.name); });
    };
    for (const auto* split : {&rule.split, &rule.inner_split})
      if (*split && !names_hole(rule.to, (*split)->hole) && !is_gathered(rule, (*split)->hole) &&
          ((*split)->each || taken(**split) > 1))
        in_.error(
            "pattern-missing-capture", to,
            fmt::format("'split' gives '{{{}}}', which the target key does not have: all parts would have one name",
                        (*split)->hole));
    std::set<std::string> gone;
    const auto check_gone = [&](const std::string& hole, const char* what) {
      if (rule.from.hole(hole) == nullptr && !rule.is_split_hole(hole))
        in_.error("pattern-missing-capture", from,
                  fmt::format("'{{{}}}' is {}, but is not a hole of the source key", hole, what));
      if (names_hole(rule.to, hole))
        in_.error("pattern-missing-capture", to,
                  fmt::format("'{{{}}}' is {}: the target key cannot have it", hole, what));
      if (!gone.insert(hole).second)
        in_.error("rule-field-combination", from,
                  fmt::format("'{{{}}}' is used by two of 'concat', 'stack' and 'replicated'", hole),
                  "each needs a hole of its own");
    };
    if (rule.concat && !rule.concat->hole.empty()) check_gone(rule.concat->hole, "gathered");
    if (rule.stack) check_gone(rule.stack->hole, "gathered");
    if (!rule.replicated.empty()) check_gone(rule.replicated, "replicated");
  }

  static bool is_gathered(const Rule& rule, const std::string& hole) {
    return (rule.concat && rule.concat->hole == hole) || (rule.stack && rule.stack->hole == hole);
  }

  // 'linear' and 'norm' stand for two tensors, weight and bias.
  void expand_module(const YamlNode& item, Rule rule) {
    const YamlNode *linear = item.find("linear"), *norm = item.find("norm");
    if ((linear != nullptr) + (norm != nullptr) + (item.find("shape") != nullptr) > 1)
      in_.error("rule-field-combination", item, "only one of 'shape', 'linear' and 'norm' says the shape");
    if (linear == nullptr && norm == nullptr) {
      read_shape(in_, item, "shape", rule);
      set_.rules.push_back(std::move(rule));
      return;
    }
    if (rule.split || rule.concat || rule.stack || !rule.steps.empty())
      in_.error("rule-field-combination", item,
                "'linear' and 'norm' rename modules whole; write the two tensors as rules of their own");
    read_shape(in_, item, linear != nullptr ? "linear" : "norm", rule);
    if (!rule.shape) return;
    for (const char* part : {".weight", ".bias"}) {
      Rule one = rule;
      one.from = with_suffix(one.from, part);
      one.to = with_suffix(one.to, part);
      if (linear != nullptr && part == std::string(".bias")) one.shape->resize(1);
      one.summary = fmt::format("{} → {}", one.from.text, one.to.text);
      set_.rules.push_back(std::move(one));
    }
  }

  NodeReader& in_;
  RuleSet& set_;
};

}  // namespace

bool Rule::slices() const {
  return std::any_of(steps.begin(), steps.end(),
                     [](const LayoutStep& step) { return step.kind == LayoutStep::Kind::slice; });
}

bool AxisParts::leaves_parts() const {
  return std::any_of(parts.begin(), parts.end(), [](const AxisPart& part) { return is_left_part(part.name); });
}

std::optional<RuleSet> parse_rules(std::shared_ptr<const SourceText> text, Diagnostics& diagnostics,
                                   bool leave_unknown_names) {
  RuleSet set;
  set.text = text;
  NodeReader in(text, set.tables, diagnostics);
  const auto root = parse_yaml(*text, diagnostics);
  if (root && in.expect_map(*root, "a rule file")) {
    read_sections(*root, in, set);
    if (const YamlNode* rules = root->find("rules"))
      RuleListReader(in, set).read(*rules);
    else
      in.error("rule-missing-field", *root, "a rule file needs 'rules'");
    check_names(in.names(), leave_unknown_names, set, diagnostics);
  }
  if (diagnostics.has_errors())
    for (const auto& d : set.unknown_names) diagnostics.add(d);  // nobody will plan with them
  diagnostics.sort();
  return diagnostics.has_errors() ? std::nullopt : std::optional(std::move(set));
}

}  // namespace remap::lang
