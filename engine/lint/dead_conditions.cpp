// Conditions that no checkpoint meets, and variants whose values do not fit together.
#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "lint/linter.h"

namespace remap::linting {
namespace {

using lang::ExpressionNode;
using lang::NodeKind;

// The texts that an expression can be, where it says them outright.
void results_of(const ExpressionNode& node, const std::function<void(const ExpressionNode&)>& visitor) {
  if (node.kind == NodeKind::literal && node.literal.is_string()) visitor(node);
  if (node.kind == NodeKind::conditional) {
    results_of(node.children[0], visitor);
    results_of(node.children[2], visitor);
  }
  if (node.kind == NodeKind::binary && node.text == "??")
    for (const auto& child : node.children) results_of(child, visitor);
}

void check_variant(const lang::Variant& variant, Diagnostics& diagnostics) {
  if (!variant.values && variant.doc.empty())
    diagnostics.warning("lint-variant-unexplained", variant.place,
                        fmt::format("the values that --set {}=… takes are not listed", variant.name),
                        "add 'doc: …', and 'values: …' if there are few");
  if (!variant.values || variant.values->root.kind != NodeKind::list) return;
  std::vector<std::string> values;
  for (const auto& item : variant.values->root.children) {
    if (item.kind != NodeKind::literal || !item.literal.is_string()) return;
    values.push_back(item.literal.get<std::string>());
  }
  if (!variant.detect) return;
  results_of(variant.detect->root, [&](const ExpressionNode& node) {
    const auto text = node.literal.get<std::string>();
    if (std::find(values.begin(), values.end(), text) != values.end()) return;
    diagnostics.warning("lint-variant-value", variant.detect->written.place(node.offset, node.length),
                        fmt::format("'{}' is none of the values of '{}': {}", text, variant.name, join(values, ", ")),
                        did_you_mean(text, values, "add it under 'values'"));
  });
}

}  // namespace

void lint_conditions(Linter& linter) {
  for (const auto& variant : linter.set.variants) check_variant(variant, linter.diagnostics);
  std::set<std::pair<int, int>> seen;  // a block's condition is that of each of its rules
  const auto check = [&](const std::optional<lang::Expression>& when) {
    if (!when || linter.conditions.can_hold({&*when})) return;
    const TextPlace place = when->written.place();
    if (seen.emplace(place.line, place.column).second)
      linter.diagnostics.warning("lint-condition-never", place, "this condition never holds",
                                 "it contradicts itself, or asks for a value that a variant cannot have");
  };
  for (const auto& rule : linter.set.rules) check(rule.when);
  for (const auto& file : linter.set.files) check(file.when);
}

}  // namespace remap::linting
