#include "lang/used_names.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>

#include "remap/nearest.h"

namespace remap::lang {

void UsedNames::note(const Expression& expression, const std::vector<std::string>& holes) {
  visit(expression.root, [&](const ExpressionNode& node) {
    if (node.kind == NodeKind::name && std::find(holes.begin(), holes.end(), node.text) == holes.end())
      in_expressions.push_back({node.text, expression.written, node.offset, node.length});
  });
}

void UsedNames::note(const KeyPattern& pattern) {
  for (const auto& token : pattern.tokens)
    if (token.kind == PatternToken::Kind::variant)
      in_patterns.push_back({token.text, pattern.written, token.offset, token.length});
}

void UsedNames::note_dims(const Expression& expression) {
  visit(expression.root, [&](const ExpressionNode& node) {
    if (node.kind == NodeKind::name) dims.insert(node.text);
  });
}

namespace {

// What a file is called is a guess: only the default of what the user can say with --set.
void refuse_file_name(const UsedNames& names, const RuleSet& set, Diagnostics& diagnostics) {
  const auto is_default = [&](const UsedNames::Use& use) {
    return std::any_of(set.variants.begin(), set.variants.end(), [&](const Variant& variant) {
      return variant.detect && variant.detect->written.line == use.written.line &&
             variant.detect->written.column == use.written.column;
    });
  };
  for (const auto& use : names.in_expressions)
    if (use.name == "checkpoint" && !is_default(use))
      diagnostics.error("rule-field-combination", use.written.place(use.at, use.length),
                        "the name of the checkpoint's file is a guess, which a user must be able to correct",
                        "ask for it in 'detect' of a variant, which --set overrides, and use the variant here");
}

}  // namespace

void check_names(const UsedNames& names, bool leave_unknown, RuleSet& set, Diagnostics& diagnostics) {
  std::vector<std::string> for_patterns;
  for (const auto& [name, e] : set.let) for_patterns.push_back(name);
  for (const auto& v : set.variants) for_patterns.push_back(v.name);
  std::vector<std::string> known = {"meta", "dtype", "config", "set", "checkpoint"};
  for (const auto& s : set.sources) known.push_back(s.name);
  for (const auto& d : set.documents) known.push_back(d.name);
  known.insert(known.end(), names.dims.begin(), names.dims.end());
  known.insert(known.end(), for_patterns.begin(), for_patterns.end());
  const std::unordered_set<std::string> all_known(known.begin(), known.end());
  const std::unordered_set<std::string> all_for_patterns(for_patterns.begin(), for_patterns.end());
  constexpr size_t kMostCompared = 1000;  // more names than anybody writes: none of them is looked at as a near one
  if (known.size() > kMostCompared) known.clear();

  for (const auto& use : names.in_expressions) {
    if (all_known.contains(use.name)) continue;
    Diagnostic unknown{Severity::error,
                       "expression-unknown-name",
                       use.written.place(use.at, use.length),
                       fmt::format("unknown name '{}'", use.name),
                       {},
                       did_you_mean(nearest_name(use.name, known),
                                    "names are dims of shapes, entries of 'let', variants, further sources, 'config' "
                                    "(--config), and 'meta' for the checkpoint's metadata")};
    if (leave_unknown)
      set.unknown_names.push_back(std::move(unknown));
    else
      diagnostics.add(std::move(unknown));
  }
  refuse_file_name(names, set, diagnostics);
  for (const auto& use : names.in_patterns)
    if (!all_for_patterns.contains(use.name))
      diagnostics.error("expression-unknown-name", use.written.place(use.at, use.length),
                        fmt::format("there is no variant or entry of 'let' called '{}'", use.name));
}

}  // namespace remap::lang
