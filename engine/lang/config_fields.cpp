#include "lang/config_fields.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include "base/text.h"
#include "lang/built_in.h"

namespace remap::lang {
namespace {

void add_fields(const SourceText& text, const YamlNode& node, Diagnostics& diagnostics,
                std::vector<ConfigField>& fields) {
  const auto wrong = [&](const YamlNode& at, const std::string& message) {
    diagnostics.error("schema-syntax", place_of(text, at), message);
  };
  if (!node.is_sequence()) return wrong(node, fmt::format("fields are a list of names; found {}", node.kind_name()));
  for (const YamlNode& item : node.items) {
    if (item.is_scalar()) {
      if (find_field(fields, item.text) != nullptr)
        wrong(item, fmt::format("the field '{}' is listed twice", item.text));
      else
        fields.push_back({item.text});
    } else if (item.is_sequence()) {
      add_fields(text, item, diagnostics, fields);
    } else if (item.is_map()) {
      for (const auto& [name, parts] : item.entries)
        fields.push_back({name.text, parse_fields(text, parts, diagnostics)});
    } else {
      wrong(item, "the name of a field was expected; found nothing");
    }
  }
}

CommonFields built_in_fields() {
  for (const BuiltInFile& file : built_in_schemas()) {
    if (file.name != "transformers.fields") continue;
    Diagnostics diagnostics;
    CommonFields fields = parse_common_fields({std::string(file.path), std::string(file.text)}, diagnostics);
    if (!diagnostics.has_errors()) return fields;
    throw std::logic_error(fmt::format("{}: {}", file.path, diagnostics.items().front().message));
  }
  throw std::logic_error("the fields of config.json are not built in");
}

}  // namespace

CommonFields parse_common_fields(const SourceText& text, Diagnostics& diagnostics) {
  CommonFields fields;
  const auto root = parse_yaml(text, diagnostics);
  if (!root) return fields;
  const auto wrong = [&](const YamlNode& at, const std::string& message) {
    diagnostics.error("schema-syntax", place_of(text, at), message);
  };
  for (const auto& [key, value] : root->entries) {
    if (key.text == "common") {
      fields.common = parse_fields(text, value, diagnostics);
    } else if (key.text == "left_out") {
      if (!value.is_map()) wrong(value, "'left_out' is a mapping of names to reasons");
      for (const auto& [name, why] : value.entries) fields.left_out.emplace_back(name.text, why.text);
    } else if (key.text == "loads_code") {
      for (const ConfigField& field : parse_fields(text, value, diagnostics)) fields.loads_code.push_back(field.name);
    } else if (key.text != "remap_fields" && key.text != "library") {
      wrong(key, fmt::format("'{}' is not a section of a list of fields", key.text));
    }
  }
  return fields;
}

std::string CommonFields::left_out_because(const std::string& name) const {
  for (const auto& [pattern, why] : left_out)
    if (pattern == name || (pattern.ends_with('*') && name.starts_with(pattern.substr(0, pattern.size() - 1))))
      return why;
  return "";
}

bool CommonFields::makes_code_load(const std::string& name) const {
  return std::find(loads_code.begin(), loads_code.end(), name) != loads_code.end();
}

const CommonFields& common_fields() {
  static const CommonFields fields = built_in_fields();
  return fields;
}

std::vector<ConfigField> parse_fields(const SourceText& text, const YamlNode& node, Diagnostics& diagnostics) {
  std::vector<ConfigField> fields;
  add_fields(text, node, diagnostics, fields);
  return fields;
}

std::string nearest_field(const std::vector<ConfigField>& fields, const std::string& name) {
  std::vector<std::string> names;
  for (const auto* list : {&fields, &common_fields().common})
    for (const ConfigField& field : *list) names.push_back(field.name);
  return nearest_name(name, names);
}

const ConfigField* find_field(const std::vector<ConfigField>& fields, const std::string& name) {
  const auto it =
      std::find_if(fields.begin(), fields.end(), [&](const ConfigField& field) { return field.name == name; });
  return it == fields.end() ? nullptr : &*it;
}

}  // namespace remap::lang
