// Settings in YAML as training programs write and read them, as plain data. Private to formats.
#pragma once

#include <string>

#include "remap/limits.h"
#include "remap/metadata.h"

namespace remap::formats {

// One document, as Python's safe YAML loader reads it: plain scalars become null, booleans (yes and no among them) and
// numbers (1e-5 too); aliases stand for what they name, and '<<' adds the fields of another mapping. A tag other than
// those of YAML itself is left out, and what it marks is plain data: nothing is made or called. Keys are strings.
// Throws Error "document-syntax" for anything else; "limit-exceeded" for more values than max_metadata_nodes, those of
// aliases counted each time.
Json parse_yaml_document(const std::string& text, const std::string& file, const Limits& limits);

}  // namespace remap::formats
