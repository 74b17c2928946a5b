// A file that belongs to a checkpoint and holds no tensors: settings, a dictionary. Rules see it as plain data.
#pragma once

#include <string>

#include "remap/limits.h"
#include "remap/metadata.h"

namespace remap {

// `format` "json": the file's value; NaN and Infinity, as Python writes them, are floats.  "yaml": the value of its one
// document, as Python's safe loader reads it; anchors are resolved, tags left out.  "lines": {"lines": [...]}, the
// lines of a UTF-8 text without their ends.
// Throws Error "io-read", "json-syntax", "document-syntax", "limit-exceeded".
Json read_document(const std::string& path, const std::string& format, const Limits& limits = {});

}  // namespace remap
