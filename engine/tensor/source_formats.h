// The formats of checkpoints that a rule file can be for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "remap/source.h"

namespace remap {

// One row each: its name, as Source::format() and rule files have it, and what separates the parts of a key.
struct SourceFormat {
  std::string_view name;
  char separator;
};
const std::vector<SourceFormat>& source_format_table();
const SourceFormat* find_source_format(std::string_view name);  // nullptr: there is no such format
std::vector<std::string> source_format_names();

// The source's format; of a manifest, the format that it stands in for ("" if it does not say).
std::string format_of(const Source& source);

}  // namespace remap
