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
      throw Error("usage", BytePlace{source.path(), {}, {}},
                  fmt::format("the key '{}' holds a brace, which a folded manifest cannot say", tensor.key),
                  "use --format json");
    const std::string why = tensor.unread == nullptr ? "" : tensor.unread->why,
                      dtype = tensor.unread == nullptr ? dtype_text(tensor) : tensor.unread->dtype;
    // Tied tensors are named one by one.
    lines.push_back(
        {{tensor.key, dtype, shape_text(tensor), tensor.alias, why},
         fmt::format("{} {} {} {}", dtype, shape_text(tensor), tensor.alias.empty() ? "" : tensor.key, why)});
  }
  for (const auto& row : report::fold(std::move(lines))) {
    std::optional<Shape> shape;
    if (row[2] != "?") shape = Json::parse(row[2]).get<Shape>();
    if (row[4].empty())
      tensors.push_back({row[0], *parse_dtype(row[1]), std::move(*shape), row[3]});
    else
      tensors.push_back(unread_tensor(row[0], row[4], row[1], std::move(shape)));
  }
  return manifest_to_json(tensors, source, true);
}

}  // namespace remap
