#include "plan/given_config.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/json_members.h"
#include "base/text.h"
#include "lang/visit.h"
#include "plan/config_layers.h"

namespace remap::plan {
namespace {

Place config_place(const PlanInput& input) { return BytePlace{input.options.config_file, {}, {}}; }

// Of a field in the rule file.
Place field_place(const PlanInput& input, const std::string& name) {
  for (const auto* section : {&input.rules.config, &input.rules.defaults})
    for (const auto& [field, value] : *section)
      if (field == name) return value.name_place;
  return {};
}

void report_unknown(const UnknownField& unknown, const Place& place, const lang::Schema& schema,
                    Diagnostics& diagnostics) {
  diagnostics.error("config-unknown-field", place,
                    fmt::format("'{}' is not a field of config.json for {}", unknown.path, schema.model_type),
                    did_you_mean(unknown.near, "leave it out"));
}

// By expressions: 'config.NAME' need not be a field of the class.
std::set<std::string> asked_fields(const lang::RuleSet& rules) {
  std::set<std::string> asked;
  lang::visit_expressions(rules, [&](const lang::Expression& expression) {
    lang::visit(expression.root, [&](const lang::ExpressionNode& node) {
      if (node.kind == lang::NodeKind::member && node.children[0].kind == lang::NodeKind::name &&
          node.children[0].text == "config")
        asked.insert(node.text);
    });
  });
  return asked;
}

void report_contradictions(const Json& given, const Json& facts, const std::string& path, const Place& place,
                           Diagnostics& diagnostics) {
  const JsonMembers of_file(given);
  for (const auto& [name, fact] : facts.items()) {
    const Json* it = of_file.find(name);
    if (it == nullptr) continue;
    if (is_config_of_part(name, fact) && it->is_object())
      report_contradictions(*it, fact, path + name + ".", place, diagnostics);
    else if (*it != fact)
      diagnostics.error("config-contradiction", place,
                        fmt::format("{}{} is {}; the checkpoint says {}", path, name, it->dump(), fact.dump()),
                        "correct the file, or leave the field out of it; --set config=given takes what the file says");
  }
}

}  // namespace

std::string quoted_names(const std::vector<std::string>& names) {
  constexpr size_t kShown = 12;
  std::vector<std::string> quoted;
  for (size_t i = 0; i < std::min(kShown, names.size()); ++i) quoted.push_back("'" + names[i] + "'");
  return join(quoted, ", ") + (names.size() > kShown ? fmt::format(" and {} more", names.size() - kShown) : "");
}

Json given_config(const PlanInput& input, Diagnostics& diagnostics) {
  Json given = input.options.config;
  if (!given.is_object()) {
    diagnostics.error("config-contradiction", config_place(input), "the fields of config.json are a JSON object");
    return Json::object();
  }
  if (const auto code = take_out_code(given); !code.empty())
    diagnostics.warning("config-loads-code", config_place(input), fmt::format("left out: {}", quoted_names(code)),
                        "such a field makes a program that loads the model look for code to run; it is never written");
  erase_members(given, [](const std::string& name, const Json&) {
    return !lang::common_fields().left_out_because(name).empty();
  });
  const std::string& model_type = input.schema ? input.schema->model_type : input.rules.model_type;
  if (!model_type.empty() && given.contains("model_type") && given["model_type"] != Json(model_type))
    diagnostics.error("config-contradiction", config_place(input),
                      fmt::format("model_type is {}; these rules make \"{}\"", given["model_type"].dump(), model_type));
  return given;
}

void report_contradictions(const PlanInput& input, const Json& given, const Json& facts, Diagnostics& diagnostics) {
  report_contradictions(given, facts, "", config_place(input), diagnostics);
}

void report_left_out(const PlanInput& input, const Json& config, Diagnostics& diagnostics) {
  if (!input.options.config.is_object()) return;
  std::map<std::string, std::vector<std::string>> by_reason;
  const JsonMembers written(config);
  for (const auto& [name, value] : input.options.config.items()) {
    const std::string because = lang::common_fields().left_out_because(name);
    if (because.empty() || lang::common_fields().makes_code_load(name)) continue;
    if (const Json* known = written.find(name); known == nullptr || !same_value(*known, value))
      by_reason[because].push_back(name);
  }
  for (const auto& [because, names] : by_reason)
    diagnostics.warning("config-field-ignored", config_place(input),
                        fmt::format("not taken over: {}; {}", quoted_names(names), because));
}

void check_fields(const PlanInput& input, const lang::Schema& schema, const std::vector<Json>& of_rules,
                  const Json& given, Diagnostics& diagnostics) {
  for (const Json& fields : of_rules)
    for (const auto& unknown : unknown_fields(fields, schema))
      report_unknown(unknown, field_place(input, unknown.path.substr(0, unknown.path.find('.'))), schema, diagnostics);
  const std::set<std::string> asked = asked_fields(input.rules);
  std::vector<std::string> others;
  for (const auto& unknown : unknown_fields(given, schema)) {
    if (asked.contains(unknown.path)) continue;
    if (unknown.near.empty())
      others.push_back(unknown.path);
    else
      report_unknown(unknown, config_place(input), schema, diagnostics);
  }
  if (!others.empty())
    diagnostics.warning(
        "config-unknown-field", config_place(input),
        fmt::format("{} {} not known for {}: written as given", quoted_names(others), others.size() == 1 ? "is" : "are",
                    schema.model_type),
        fmt::format("the target schema knows the fields of {}; a newer version may have more", schema.library));
}

}  // namespace remap::plan
