#include "remap/lint.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/mapped_file.h"
#include "lint/linter.h"

namespace remap {
namespace {

// Whether the planner has said, and better, what this finding says.
bool is_said(const Diagnostic& finding, const Diagnostics& planned) {
  static const std::set<std::pair<std::string, std::string>> kPlanned = {
      {"lint-dim-unbound", "plan-dim-unbound"},
      {"lint-dim-unbound", "expression-unknown-name"},
      {"lint-rule-unmatched", "plan-rule-unused"},
      {"lint-rules-overlap", "plan-key-matched-twice"}};
  const auto* place = std::get_if<TextPlace>(&finding.place);
  if (place == nullptr)
    return std::any_of(planned.items().begin(), planned.items().end(), [&](const Diagnostic& d) {
      return d.id == finding.id && d.place == finding.place && d.message == finding.message;
    });
  return std::any_of(planned.items().begin(), planned.items().end(), [&](const Diagnostic& d) {
    const auto* at = std::get_if<TextPlace>(&d.place);
    if (at == nullptr || at->file != place->file || at->line != place->line) return false;
    return d.id == finding.id ? at->column == place->column : kPlanned.contains({finding.id, d.id});
  });
}

}  // namespace

void lint(const Rules& rules, const LintOptions& options, Diagnostics& diagnostics) {
  Diagnostics planned, own;
  linting::Linter planner{rules.impl(), options, planned}, linter{rules.impl(), options, own};
  Diagnostics ignored;
  if (auto root = lang::parse_yaml(*linter.set.text, ignored)) linter.root = std::move(*root);
  for (const auto& variant : linter.set.variants) {
    if (!variant.values || variant.values->root.kind != lang::NodeKind::list) continue;
    std::vector<Json> values;
    for (const auto& item : variant.values->root.children)
      if (item.kind == lang::NodeKind::literal) values.push_back(item.literal);
    if (!values.empty() && values.size() == variant.values->root.children.size())
      linter.conditions.limit(variant.name, std::move(values));
  }
  linting::lint_plans(planner);
  for (const auto& d : linter.set.unknown_names)
    if (!is_said(d, planned)) planned.add(d);
  linting::lint_refused(linter);
  linting::lint_expressions(linter);
  linting::lint_names(linter);
  linting::lint_conditions(linter);
  linting::lint_overlaps(linter);
  linting::lint_manifests(linter);
  linting::lint_config(linter);
  if (options.reverse) linting::lint_reverse(linter);
  for (const auto& d : planned.items()) diagnostics.add(d);
  for (const auto& d : own.items())
    if (!is_said(d, planned)) diagnostics.add(d);
  diagnostics.sort();
}

RuleFileKind rule_file_kind(const std::string& path, const Limits& limits) {
  const std::string text = "\n" + read_text_file(path, limits.max_index_bytes);
  const auto has = [&](const char* section) {
    return text.find(std::string("\n") + section + ":") != std::string::npos;
  };
  if (has("remap")) return RuleFileKind::rules;
  if (has("remap_schema") || has("remap_fields")) return RuleFileKind::schema;
  return has("remap_model") ? RuleFileKind::model : RuleFileKind::other;
}

void lint_schema(const std::string& path, Diagnostics& diagnostics, const Limits& limits) {
  const auto text = std::make_shared<lang::SourceText>(path, read_text_file(path, limits.max_index_bytes));
  if (("\n" + text->text()).find("\nremap_fields:") != std::string::npos)
    lang::parse_common_fields(*text, diagnostics);
  else if (rule_file_kind(path, limits) == RuleFileKind::schema)
    lang::parse_schema(text, diagnostics);
  else
    lang::parse_yaml(*text, diagnostics);
  diagnostics.sort();
}

}  // namespace remap
