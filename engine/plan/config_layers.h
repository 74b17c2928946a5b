// config.json as data: layers of fields, laid over each other.
#pragma once

#include <string>

#include "base/json_members.h"
#include "lang/config_fields.h"
#include "lang/schema.h"
#include "remap/metadata.h"

namespace remap::plan {

// Whether a field holds the config of a part of the model, as the Hugging Face libraries name them ("text_config"):
// these are looked into, other objects (id2label) are one value.
bool is_config_of_part(const std::string& name, const Json& value);
// Fields of `over` replace those of `base`; configs of parts are merged field by field.
void merge(Json& base, const Json& over);
void merge(JsonMembers<Json>& base, const Json& over);
// Removes the fields that equal what the class takes where they are not there.
void leave_out(Json& config, const Json& implied);
// The same value with the keys of every object in order.
Json sorted_keys(const Json& value);

// Whether two values are the same but for the order of keys.
bool same_value(const Json& a, const Json& b);

// A field that the target's class does not have: where it is ("text_config.hiden_size"), and the field that was
// probably meant ("": none).
struct UnknownField {
  std::string path, near;
};
// None if the schema does not list the class's fields. A field is not taken for a misspelling of one that is there,
// too.
std::vector<UnknownField> unknown_fields(const Json& config, const lang::Schema& schema);

// Takes the fields out, at any depth, that would make a program load code; where they were.
std::vector<std::string> take_out_code(Json& value, const std::string& path = "");

// The same in a rule file, before any checkpoint is known: names that the class does not have, and those that make code
// load.
void check_templates(const lang::RuleSet& set, const std::optional<lang::Schema>& schema, Diagnostics& diagnostics);

}  // namespace remap::plan
