#include "lang/visit.h"

#include "lang/functions.h"

namespace remap::lang {

namespace {

void visit_template(const Template& value, const std::function<void(const Expression&)>& visitor) {
  if (value.expression) visitor(*value.expression);
  for (const auto& item : value.items) visit_template(item, visitor);
  for (const auto& [name, field] : value.fields) visit_template(field, visitor);
}

void visit_rule(const Rule& rule, const std::function<void(const Expression&)>& visitor) {
  const auto maybe = [&](const std::optional<Expression>& e) {
    if (e) visitor(*e);
  };
  maybe(rule.when);
  maybe(rule.where);
  for (const KeyPattern* pattern : {&rule.to, &rule.copy_of})
    for (const PatternToken& token : pattern->tokens)
      if (token.expression) visitor(*token.expression);
  for (const auto& loop : rule.each) visitor(loop.list);
  if (rule.counting) maybe(rule.counting->begin), maybe(rule.counting->step);
  if (rule.shape)
    for (const auto& term : *rule.shape) maybe(term.expression);
  for (const auto* parts : {&rule.split, &rule.inner_split, &rule.concat, &rule.stack})
    if (*parts) {
      maybe((*parts)->count);
      for (const auto& part : (*parts)->parts) maybe(part.size);
    }
  for (const auto& step : rule.steps) {
    for (const auto& term : step.shape) maybe(term.expression);
    maybe(step.begin);
    maybe(step.end);
  }
}

}  // namespace

void visit_expressions(const RuleSet& set, const std::function<void(const Expression&)>& visitor) {
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
  for (const auto& note : set.notes) {
    visitor(note.condition);
    visit_template(note.text, visitor);
    if (note.hint) visit_template(*note.hint, visitor);
  }
  for (const auto* section : {&set.config, &set.defaults})
    for (const auto& [name, value] : *section) visit_template(value, visitor);
  for (const auto& file : set.files) {
    maybe(file.when);
    visit_template(file.content, visitor);
  }
}

void visit_patterns(const RuleSet& set, const std::function<void(const KeyPattern&)>& visitor) {
  for (const auto& spelling : set.normalise) {
    visitor(spelling.from);
    visitor(spelling.to);
  }
  for (const auto& one : set.computed)
    for (const KeyPattern* pattern : {&one.from, &one.g, &one.to})
      if (!pattern->text.empty()) visitor(*pattern);
  for (const auto& rule : set.rules) {
    for (const KeyPattern* pattern : {&rule.from, &rule.to, &rule.copy_of})
      if (!pattern->text.empty()) visitor(*pattern);
    for (const auto& pattern : rule.except) visitor(pattern);
    if (rule.equal_to) visitor(*rule.equal_to);
  }
  Diagnostics ignored;
  visit_expressions(set, [&](const Expression& e) {
    visit(e.root, [&](const ExpressionNode& call) {
      if (call.function == nullptr || call.function->takes != FunctionRow::Takes::key_first ||
          !call.children[0].literal.is_string())
        return;
      if (const auto pattern = parse_pattern(call.children[0].literal.get<std::string>(),
                                             e.written.from(call.children[0].offset + 1), set.tables, ignored))
        visitor(*pattern);
    });
  });
}

}  // namespace remap::lang
