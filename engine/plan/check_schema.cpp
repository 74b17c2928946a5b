#include "plan/check_schema.h"

#include <algorithm>

#include <fmt/format.h>

#include "plan/compare_with_schema.h"
#include "plan/config_layers.h"

namespace remap::plan {
namespace {

// "num_attention_heads is 12", for the fields that a condition names.
std::vector<std::string> fields_in(const lang::Expression& condition, const Json& config) {
  std::set<std::string> notes;
  lang::visit(condition.root, [&](const lang::ExpressionNode& node) {
    const bool part = node.kind == lang::NodeKind::member && node.children[0].kind == lang::NodeKind::name &&
                      config.contains(node.children[0].text);
    const Json& from = part ? config[node.children[0].text] : config;
    if ((!part && node.kind != lang::NodeKind::name) || !from.is_object()) return;
    const auto it = from.find(node.text);
    if (it != from.end() && it->is_primitive())
      notes.insert(fmt::format("{}{} is {}", part ? node.children[0].text + "." : "", node.text, it->dump()));
  });
  return {notes.begin(), notes.end()};
}

void check_config(const lang::Schema& schema, const Json& config, Diagnostics& diagnostics) {
  for (const auto& requirement : schema.require)
    if (!lang::holds(requirement, config))
      diagnostics.error("schema-config", requirement.condition.written.place(),
                        fmt::format("config.json would not do: {}", requirement.because),
                        "--config FILE gives what the checkpoint does not record; with --set config=given also what it "
                        "records otherwise",
                        fields_in(requirement.condition, config));
}

}  // namespace

SchemaCheck check_schema(const PlanInput& input, const Choices& choices, const ActiveRules& active,
                         const Targets& targets, const TargetConfig& target, layout::CheckpointScope& scope,
                         Diagnostics& diagnostics) {
  SchemaCheck check{target.config, {}, {}};
  if (!input.schema) return check;
  const Json implied = evaluate_fields(input, input.schema->implied, scope, check.open, diagnostics);
  leave_out(check.config, implied);
  Json whole = implied;
  merge(whole, target.config);
  try {
    check_config(*input.schema, whole, diagnostics);
    compare_with_schema(input, choices, active, targets, target.architecture, whole, diagnostics);
    for (auto& [name, content] : lang::files_of(*input.schema, whole))
      check.files.emplace_back(name, sorted_keys(content));
  } catch (const Error& e) {
    if (!input.has_data() && !(target.open.empty() && check.open.empty()))
      check.open.push_back(fmt::format("target schema not checked: {}", e.diagnostic().message));
    else if (e.diagnostic().id != "expression-missing")
      diagnostics.add(e.diagnostic());
    else
      diagnostics.error("schema-config", e.diagnostic().place, e.diagnostic().message,
                        "the checkpoint does not say it, and neither do the rules: give it with --config FILE");
  }
  return check;
}

void blame_by_schema(const PlanInput& input, const Choices& choices, const ActiveRules& active, const Targets& targets,
                     Dims& dims, layout::CheckpointScope& scope, Diagnostics& diagnostics) {
  if (!input.schema) return;
  Diagnostics found;
  const TargetConfig target = make_config(input, targets, scope, found);
  if (!found.has_errors()) check_schema(input, choices, active, targets, target, scope, found);
  // Where the settings contradict the shapes that several rules agree on, it is the settings that are wrong.
  const auto& known = diagnostics.items();
  const bool refused =
      std::all_of(known.begin(), known.end(), [](const Diagnostic& d) { return d.id == "plan-refused"; });
  for (const auto& d : found.items()) {
    const auto* place = std::get_if<TextPlace>(&d.place);
    if ((d.id == "schema-wrong-shape" && (!refused || dims.alone(line_of(*place)))) ||
        (d.id == "schema-unexpected-tensor" && !refused))
      diagnostics.add(d);
  }
}

}  // namespace remap::plan
