#include "plan/target_config.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/json_members.h"
#include "plan/config_layers.h"
#include "plan/given_config.h"
#include "plan/left_behind.h"

namespace remap::plan {
namespace {

// A field whose value is known, whatever the rules say of it.
void settle(const PlanInput& input, const KnownField& known, const Json& value, Json& config,
            Diagnostics& diagnostics) {
  const std::string name(known.name);
  for (const auto* section : {&input.rules.config, &input.rules.defaults})
    for (const auto& [field, written] : *section)
      if (field == name && config.contains(name) && !same_value(config[name], value))
        diagnostics.error("config-contradiction", written.name_place,
                          fmt::format("{} would be {}; the output's is {}", name, config[name].dump(), value.dump()),
                          fmt::format("leave the field out: it is set from {}", known.set_from));
  config[name] = value;
}

std::string architecture_of(const PlanInput& input, layout::CheckpointScope& scope, Diagnostics& diagnostics) {
  try {
    const auto architecture = lang::instantiate(*input.rules.architecture, scope);
    if (architecture && architecture->is_string()) return architecture->get<std::string>();
  } catch (const Error& e) {
    diagnostics.add(e.diagnostic());
  }
  return "";
}

// nullopt if it is not written for this checkpoint.
std::optional<Json> file_content(const lang::FileSpec& file, layout::CheckpointScope& scope) {
  if (file.when && !lang::evaluate_condition(*file.when, scope)) return std::nullopt;
  return lang::instantiate(file.content, scope);
}

void add_files(const PlanInput& input, layout::CheckpointScope& scope, TargetConfig& target, Diagnostics& diagnostics) {
  for (const auto& file : input.rules.files) {
    try {
      auto content = file_content(file, scope);
      if (!content) continue;
      note_code(file.name, take_out_code(*content), target.left_behind);
      target.files.emplace_back(file.name, sorted_keys(*content));
    } catch (const Error& e) {
      if (input.stays_open(e))
        target.open.push_back(fmt::format("{}: {}", file.name, e.diagnostic().message));
      else
        diagnostics.add(e.diagnostic());
    }
  }
}

}  // namespace

const std::vector<KnownField>& known_field_table() {
  using Known = KnownField::Known;
  static const std::vector<KnownField> table = {
      {"model_type", "the target schema, or the rules' own 'model_type'", true,
       [](const Known& known) -> std::optional<Json> {
         if (known.input.schema) return known.input.schema->model_type;
         if (known.input.rules.model_type.empty()) return std::nullopt;
         return known.input.rules.model_type;
       }},
      {"transformers_version", "the library that the target schema describes", false,
       [](const Known& known) -> std::optional<Json> {
         if (!known.input.schema) return std::nullopt;
         const std::string& library = known.input.schema->library;
         const size_t space = library.rfind(' ');
         if (space == std::string::npos) return std::nullopt;
         return library.substr(space + 1);
       }},
      {"torch_dtype", "the dtype that most bytes of the output have", true,
       [](const Known& known) -> std::optional<Json> {
         const auto& tensors = known.targets.tensors;
         const bool any =
             std::any_of(tensors.begin(), tensors.end(), [](const auto& t) { return is_floating(t.dtype); });
         if (!known.input.schema && !any) return std::nullopt;
         return std::string(long_name(known.dtype));
       }},
      {"architectures", "the rules' 'target'", true,
       [](const Known& known) -> std::optional<Json> {
         if (!known.input.rules.architecture) return std::nullopt;
         return Json::array({known.architecture});
       }},
  };
  return table;
}

Json evaluate_fields(const PlanInput& input, const std::vector<lang::Template::Field>& fields,
                     layout::CheckpointScope& scope, std::vector<std::string>& open, Diagnostics& diagnostics) {
  Json object = Json::object();
  JsonMembers members(object);
  for (const auto& [name, field] : fields) {
    try {
      auto value = lang::instantiate(field, scope);
      if (!value) continue;
      if (!name.empty())
        members.set(name, std::move(*value));
      else if (value->is_object())
        merge(members, *value);
      else
        throw Error("expression-value", field.place,
                    fmt::format("the fields of config.json are an object; found {}", value->type_name()));
    } catch (const Error& e) {
      if (input.stays_open(e))
        open.push_back(fmt::format("config field {}: {}", name, e.diagnostic().message));
      else
        diagnostics.add(e.diagnostic());
    }
  }
  return object;
}

TargetConfig make_config(const PlanInput& input, const Targets& targets, layout::CheckpointScope& scope,
                         Diagnostics& diagnostics) {
  TargetConfig target;
  const DType dtype = MainDtype().of(targets.tensors);
  scope.target_dtype = std::string(long_name(dtype));
  const auto evaluated = [&](const auto& fields) {
    return evaluate_fields(input, fields, scope, target.open, diagnostics);
  };
  Json& config = target.config;
  config = input.schema ? evaluated(input.schema->config) : Json::object();
  const Json defaults = evaluated(input.rules.defaults), given = given_config(input, diagnostics),
             facts = evaluated(input.rules.config);
  const bool given_counts = input.chose("config", "given");
  for (const Json* layer : {&defaults, given_counts ? &facts : &given, given_counts ? &given : &facts})
    merge(config, *layer);
  if (!given_counts) report_contradictions(input, given, facts, diagnostics);
  if (input.rules.architecture) target.architecture = architecture_of(input, scope, diagnostics);
  for (const KnownField& field : known_field_table()) {
    const auto value = field.value({input, targets, dtype, target.architecture});
    const std::string name(field.name);
    if (!value) continue;
    if (field.is_fixed)
      settle(input, field, *value, config, diagnostics);
    else if (!config.contains(name))
      config[name] = *value;
  }
  if (input.schema) check_fields(input, *input.schema, {defaults, facts}, given, diagnostics);
  // What an expression took from elsewhere; the rest has been said.
  note_code("config.json", take_out_code(config), target.left_behind);
  config = sorted_keys(config);
  report_left_out(input, config, diagnostics);
  LeftBehind left = find_left_behind(input, config, facts);
  target.metadata = std::move(left.metadata);
  target.left_behind.insert(target.left_behind.end(), left.lines.begin(), left.lines.end());
  add_files(input, scope, target, diagnostics);
  return target;
}

}  // namespace remap::plan
