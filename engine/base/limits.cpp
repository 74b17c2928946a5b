#include "remap/limits.h"

#include <algorithm>
#include <limits>
#include <string>

#include <fmt/format.h>

#include "base/text.h"
#include "remap/diagnostic.h"
#include "remap/nearest.h"

namespace remap {

const std::vector<LimitRow>& limit_table() {
  static const std::vector<LimitRow> rows = {
      {"max_header_bytes", "JSON header of a safetensors file", &Limits::max_header_bytes},
      {"max_index_bytes", "a JSON index, manifest, gin, .zarray or rule file", &Limits::max_index_bytes},
      {"max_pickle_bytes", "one pickle of a torch file", &Limits::max_pickle_bytes},
      {"max_pickle_objects", "values made by one pickle", &Limits::max_pickle_objects},
      {"max_pickle_memo", "memo slots of one pickle", &Limits::max_pickle_memo},
      {"max_metadata_nodes", "nodes of the metadata's tree, shared ones counted each time",
       &Limits::max_metadata_nodes},
      {"max_metadata_depth", "levels of metadata; deeper values are replaced by a note", &Limits::max_metadata_depth},
      {"max_tensors", "tensors of one checkpoint, and of one plan", &Limits::max_tensors},
      {"max_key_bytes", "length of a tensor's key", &Limits::max_key_bytes},
      {"max_rank", "dimensions of a tensor", &Limits::max_rank},
      {"max_zip_members", "members of one zip archive", &Limits::max_zip_members},
      {"max_chunk_bytes", "one decoded chunk of a zarr array", &Limits::max_chunk_bytes},
      {"max_chunks", "chunks of one zarr array", &Limits::max_chunks}};
  return rows;
}

uint64_t value_of(const Limits& limits, const LimitRow& row) {
  return std::visit([&](auto member) { return static_cast<uint64_t>(limits.*member); }, row.member);
}

void set_limit(Limits& limits, std::string_view name, uint64_t value) {
  std::vector<std::string> names;
  for (const LimitRow& row : limit_table()) {
    names.emplace_back(row.name);
    if (row.name != name) continue;
    const bool is_int = std::holds_alternative<int Limits::*>(row.member);
    if (value == 0 || (is_int && value > std::numeric_limits<int>::max()))
      throw Error("usage", {},
                  fmt::format("{}={}: a value of 1 or more{} was expected", name, value,
                              is_int ? fmt::format(", up to {},", std::numeric_limits<int>::max()) : ""));
    std::visit(
        [&](auto member) { limits.*member = static_cast<std::remove_reference_t<decltype(limits.*member)>>(value); },
        row.member);
    return;
  }
  const std::string near = nearest_name(std::string(name), names);
  throw Error("usage", {}, fmt::format("unknown limit '{}'", name),
              near.empty() ? fmt::format("there are {}", join(names, ", ")) : fmt::format("did you mean '{}'?", near));
}

}  // namespace remap
