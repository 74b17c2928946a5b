#include "tensor/source_formats.h"

#include <algorithm>

namespace remap {

const std::vector<SourceFormat>& source_format_table() {
  static const std::vector<SourceFormat> table = {
      {"torch", '.'},  {"t5x", '/'},  {"safetensors", '.'}, {"flax", '.'},  {"numpy", '.'},
      {"pickle", '.'}, {"gguf", '.'}, {"tensorflow", '/'},  {"orbax", '/'}, {"zarr", '/'}};
  return table;
}

const SourceFormat* find_source_format(std::string_view name) {
  const auto& table = source_format_table();
  const auto it = std::find_if(table.begin(), table.end(), [&](const SourceFormat& row) { return row.name == name; });
  return it == table.end() ? nullptr : &*it;
}

std::vector<std::string> source_format_names() {
  std::vector<std::string> names;
  for (const SourceFormat& row : source_format_table()) names.emplace_back(row.name);
  return names;
}

std::string format_of(const Source& source) {
  if (source.format() != "manifest") return std::string(source.format());
  const auto it = source.metadata().find("$format");
  return it != source.metadata().end() && it->is_string() ? it->get<std::string>() : "";
}

}  // namespace remap
