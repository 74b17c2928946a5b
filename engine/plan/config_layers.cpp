#include "plan/config_layers.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "remap/nearest.h"

namespace remap::plan {

bool is_config_of_part(const std::string& name, const Json& value) {
  return value.is_object() && name.ends_with("_config");
}

void merge(Json& base, const Json& over) {
  JsonMembers members(base);
  merge(members, over);
}

void merge(JsonMembers<Json>& base, const Json& over) {
  for (const auto& [name, value] : over.items())
    if (Json* known = base.find(name); known != nullptr && known->is_object() && is_config_of_part(name, value))
      merge(*known, value);
    else
      base.set(name, value);
}

void leave_out(Json& config, const Json& implied) {
  const JsonMembers of_class(implied);
  erase_members(config, [&](const std::string& name, Json& value) {
    const Json* known = of_class.find(name);
    if (known == nullptr) return false;
    if (value == *known) return true;
    if (value.is_object() && is_config_of_part(name, *known)) leave_out(value, *known);
    return false;
  });
}

Json sorted_keys(const Json& value) {
  if (value.is_array()) {
    Json list = Json::array();
    for (const Json& item : value) list.push_back(sorted_keys(item));
    return list;
  }
  if (!value.is_object()) return value;
  std::map<std::string, const Json*> fields;
  for (const auto& [name, field] : value.items()) fields[name] = &field;
  Json object = Json::object();
  for (const auto& [name, field] : fields) append_member(object, name, sorted_keys(*field));
  return object;
}

bool same_value(const Json& a, const Json& b) {
  const Json one = sorted_keys(a), other = sorted_keys(b);
  const auto text = [](const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); };
  return one == other || text(one) == text(other);  // a NaN is not equal to itself
}

namespace {

using lang::ConfigField;

bool is_field(const std::vector<ConfigField>& fields, const std::string& name) {
  return find_field(fields, name) != nullptr || find_field(lang::common_fields().common, name) != nullptr;
}

// What was meant by a name that is not a field: the one it is another name for, or the one most like it.
std::string meant(const std::vector<ConfigField>& fields, const lang::Schema& schema, const std::string& name) {
  for (const auto& [other, field] : schema.aliases)
    if (other == name) return field;
  return nearest_field(fields, name);
}

void add_unknown(const Json& config, const std::vector<ConfigField>& fields, const lang::Schema& schema,
                 const std::string& path, std::vector<UnknownField>& found) {
  const JsonMembers members(config);
  for (const auto& [name, value] : config.items()) {
    const ConfigField* field = find_field(fields, name);
    if (!lang::common_fields().left_out_because(name).empty()) continue;
    if (!is_field(fields, name)) {
      const std::string near = meant(fields, schema, name);
      found.push_back({path + name, members.find(near) != nullptr ? "" : near});
    } else if (field != nullptr && !field->parts.empty() && value.is_object()) {
      add_unknown(value, field->parts, schema, path + name + ".", found);
    }
  }
}

class TemplateCheck {
 public:
  TemplateCheck(const std::optional<lang::Schema>& schema, Diagnostics& diagnostics)
      : schema_(schema), diagnostics_(diagnostics) {}

  void fields(const std::vector<lang::Template::Field>& section, const std::vector<ConfigField>& known) {
    for (const auto& [name, value] : section) {
      const ConfigField* field = find_field(known, name);
      if (name.empty()) continue;  // an expression: what it gives is checked when it is known
      if (lang::common_fields().makes_code_load(name)) continue;  // said for the whole section
      if (is_field(known, name)) {
        if (field != nullptr && !field->parts.empty()) fields(value.fields, field->parts);
        continue;
      }
      const std::string near = meant(known, *schema_, name);
      diagnostics_.error(
          "config-unknown-field", value.name_place,
          fmt::format("'{}' is not a field of config.json for {}", name, schema_->model_type),
          did_you_mean(near, fmt::format("if the class has it, add it to 'fields' in {}", schema_->text->file())));
    }
  }
  void no_code(const std::vector<lang::Template::Field>& section) {
    for (const auto& [name, value] : section) {
      if (lang::common_fields().makes_code_load(name))
        diagnostics_.error(
            "config-loads-code", value.name_place,
            fmt::format("'{}' makes a program that loads the model look for code to run; it is never written", name),
            "leave it out");
      no_code(value);
    }
  }
  void no_code(const lang::Template& value) {
    no_code(value.fields);
    for (const auto& item : value.items) no_code(item);
  }

 private:
  const std::optional<lang::Schema>& schema_;
  Diagnostics& diagnostics_;
};

}  // namespace

std::vector<UnknownField> unknown_fields(const Json& config, const lang::Schema& schema) {
  std::vector<UnknownField> found;
  if (!schema.fields.empty()) add_unknown(config, schema.fields, schema, "", found);
  return found;
}

std::vector<std::string> take_out_code(Json& value, const std::string& path) {
  std::vector<std::string> found;
  if (value.is_array())
    for (Json& item : value)
      for (auto& inner : take_out_code(item, path)) found.push_back(std::move(inner));
  if (!value.is_object()) return found;
  erase_members(value, [&](const std::string& name, Json& inside) {
    if (lang::common_fields().makes_code_load(name)) {
      found.push_back(path + name);
      return true;
    }
    for (auto& inner : take_out_code(inside, path + name + ".")) found.push_back(std::move(inner));
    return false;
  });
  return found;
}

void check_templates(const lang::RuleSet& set, const std::optional<lang::Schema>& schema, Diagnostics& diagnostics) {
  TemplateCheck check(schema, diagnostics);
  for (const auto* section : {&set.config, &set.defaults}) {
    check.no_code(*section);
    if (schema && !schema->fields.empty()) check.fields(*section, schema->fields);
  }
  for (const auto& file : set.files) check.no_code(file.content);
  if (schema && !set.model_type.empty() && set.model_type != schema->model_type)
    diagnostics.error("config-contradiction", set.model_type_place,
                      fmt::format("model_type is {}; the target schema says {}", set.model_type, schema->model_type),
                      "leave it out");
}

}  // namespace remap::plan
