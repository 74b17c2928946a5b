#include <algorithm>

#include <fmt/format.h>

#include "remap/manifest_file.h"
#include "remap/report.h"
#include "report/fold.h"

namespace remap {

std::string render_folded_manifest(const Source& source) {
  std::vector<report::Line> lines;
  std::vector<TensorInfo> tensors;
  for (const TensorInfo& tensor : source.manifest().tensors()) {
    if (tensor.key.find_first_of("{}") != std::string::npos)
      throw Error("usage", BytePlace{source.path(), {}, {}}, fmt::format("the key '{}' holds a brace, which a folded manifest cannot say", tensor.key), "use --format json");
    // Tied tensors are named one by one.
    lines.push_back({{tensor.key, std::string(name(tensor.dtype)), to_string(tensor.shape), tensor.alias}, fmt::format("{} {} {}", name(tensor.dtype), to_string(tensor.shape), tensor.alias.empty() ? "" : tensor.key)});
  }
  for (const auto& row : report::fold(std::move(lines))) {
    Shape shape;
    for (const Json& dim : Json::parse(row[2])) shape.push_back(dim.get<int64_t>());
    tensors.push_back({row[0], *parse_dtype(row[1]), std::move(shape), row[3]});
  }
  return manifest_to_json(tensors, source, true);
}

}  // namespace remap
