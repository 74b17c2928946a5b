// What config.json may hold whatever the model, as data (schemas/transformers.fields.yaml).
//
//   remap_fields: 1
//   library: transformers 4.38.2
//   common: [id2label, pad_token_id, …]            # of every configuration
//   left_out: {architectures: WHY, _*: WHY, …}     # not taken from --config
//   loads_code: [auto_map, …]                      # never written, at any depth
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "lang/yaml_tree.h"

namespace remap::lang {

// A field of a configuration. One that is the configuration of a part has fields itself; none: what is in it is not
// known.
struct ConfigField {
  std::string name;
  std::vector<ConfigField> parts = {};
};

struct CommonFields {
  std::vector<ConfigField> common;
  std::vector<std::pair<std::string, std::string>> left_out;  // name, or "PREFIX*"; why
  std::vector<std::string> loads_code;

  // Why a field is not taken from --config; "" if it is.
  std::string left_out_because(const std::string& name) const;
  bool makes_code_load(const std::string& name) const;
};
// Mistakes are "schema-syntax".
CommonFields parse_common_fields(const SourceText& text, Diagnostics& diagnostics);
// Of the file that is built in.
const CommonFields& common_fields();

// A list whose entries are names, lists of these, and {name: list} for the configuration of a part. Mistakes are
// "schema-syntax".
std::vector<ConfigField> parse_fields(const SourceText& text, const YamlNode& node, Diagnostics& diagnostics);

// The name most like `name` among `fields` and those of every configuration; "" if none is near.
std::string nearest_field(const std::vector<ConfigField>& fields, const std::string& name);

// The field of this name, or nullptr.
const ConfigField* find_field(const std::vector<ConfigField>& fields, const std::string& name);

}  // namespace remap::lang
