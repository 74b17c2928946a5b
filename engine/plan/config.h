// config.json as data: layers of fields, laid over each other.
#pragma once

#include <string>

#include "remap/metadata.h"

namespace remap::plan {

// Whether a field holds the config of a part of the model, as the Hugging Face libraries name them ("text_config"): these are
// looked into, other objects (id2label) are one value.
bool is_config_of_part(const std::string& name, const Json& value);
// Fields of `over` replace those of `base`; configs of parts are merged field by field.
void merge(Json& base, const Json& over);
// Removes the fields that equal what the class takes where they are not there.
void leave_out(Json& config, const Json& implied);
// The same value with the keys of every object in order.
Json sorted_keys(const Json& value);

}  // namespace remap::plan
