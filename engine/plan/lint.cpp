#include "remap/lint.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/mapped_file.h"
#include "plan/lint_parts.h"

namespace remap {
namespace plan {

using lang::Expression;
using lang::KeyPattern;

namespace {

void visit_template(const lang::Template& value, const std::function<void(const Expression&)>& visitor) {
  if (value.expression) visitor(*value.expression);
  for (const auto& item : value.items) visit_template(item, visitor);
  for (const auto& [name, field] : value.fields) visit_template(field, visitor);
}

void visit_rule(const lang::Rule& rule, const std::function<void(const Expression&)>& visitor) {
  const auto maybe = [&](const std::optional<Expression>& e) {
    if (e) visitor(*e);
  };
  maybe(rule.when);
  if (rule.shape)
    for (const auto& term : *rule.shape) maybe(term.expression);
  for (const auto* parts : {&rule.split, &rule.inner_split, &rule.concat, &rule.stack})
    if (*parts)
      for (const auto& part : (*parts)->parts) maybe(part.size);
  for (const auto& step : rule.steps)
    for (const auto& term : step.shape) maybe(term.expression);
}

}  // namespace

void visit_expressions(const lang::RuleSet& set, const std::function<void(const Expression&)>& visitor) {
  const auto maybe = [&](const std::optional<Expression>& e) {
    if (e) visitor(*e);
  };
  if (set.architecture) visit_template(*set.architecture, visitor);
  maybe(set.recognise);
  for (const auto& variant : set.variants) {
    maybe(variant.detect);
    maybe(variant.values);
  }
  for (const auto& [name, expression] : set.let) visitor(expression);
  for (const auto& rule : set.rules) visit_rule(rule, visitor);
  for (const auto& requirement : set.require) visitor(requirement.condition);
  for (const auto* section : {&set.config, &set.defaults})
    for (const auto& [name, value] : *section) visit_template(value, visitor);
  for (const auto& file : set.files) {
    maybe(file.when);
    visit_template(file.content, visitor);
  }
}

void visit_patterns(const lang::RuleSet& set, const std::function<void(const KeyPattern&)>& visitor) {
  for (const auto& spelling : set.normalise) {
    visitor(spelling.from);
    visitor(spelling.to);
  }
  for (const auto& rule : set.rules) {
    for (const KeyPattern* pattern : {&rule.from, &rule.to, &rule.copy_of})
      if (!pattern->text.empty()) visitor(*pattern);
    for (const auto& pattern : rule.except) visitor(pattern);
    if (rule.equal_to) visitor(*rule.equal_to);
  }
  Diagnostics ignored;
  visit_expressions(set, [&](const Expression& e) {
    lang::visit(e.root, [&](const lang::ExpressionNode& call) {
      if (call.kind != lang::NodeKind::call || call.children.empty() || !call.children[0].literal.is_string()) return;
      const auto& rows = lang::function_table();
      if (std::none_of(rows.begin(), rows.end(),
                       [&](const auto& row) { return row.about_keys && row.name == call.text; }))
        return;
      lang::Written at = e.written;
      at.offset += call.children[0].offset + 1;
      if (const auto pattern =
              lang::parse_pattern(call.children[0].literal.get<std::string>(), at, set.tables, ignored))
        visitor(*pattern);
    });
  });
}

}  // namespace plan

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
  plan::Linter planner{rules.impl(), options, planned}, linter{rules.impl(), options, own};
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
  plan::lint_plans(planner);
  for (const auto& d : linter.set.unknown_names)
    if (!is_said(d, planned)) planned.add(d);
  plan::lint_refused(linter);
  plan::lint_expressions(linter);
  plan::lint_names(linter);
  plan::lint_conditions(linter);
  plan::lint_overlaps(linter);
  plan::lint_manifests(linter);
  plan::lint_config(linter);
  if (options.reverse) plan::lint_reverse(linter);
  for (const auto& d : planned.items()) diagnostics.add(d);
  for (const auto& d : own.items())
    if (!is_said(d, planned)) diagnostics.add(d);
  diagnostics.sort();
}

RuleFileKind rule_file_kind(const std::string& path) {
  const std::string text = "\n" + read_text_file(path, Limits{}.max_index_bytes);
  const auto has = [&](const char* section) {
    return text.find(std::string("\n") + section + ":") != std::string::npos;
  };
  if (has("remap")) return RuleFileKind::rules;
  if (has("remap_schema") || has("remap_fields")) return RuleFileKind::schema;
  return has("remap_model") ? RuleFileKind::model : RuleFileKind::other;
}

void lint_schema(const std::string& path, Diagnostics& diagnostics) {
  const auto text = std::make_shared<lang::SourceText>(path, read_text_file(path, Limits{}.max_index_bytes));
  if (("\n" + text->text()).find("\nremap_fields:") != std::string::npos)
    lang::parse_common_fields(*text, diagnostics);
  else if (rule_file_kind(path) == RuleFileKind::schema)
    lang::parse_schema(text, diagnostics);
  else
    lang::parse_yaml(*text, diagnostics);
  diagnostics.sort();
}

}  // namespace remap
