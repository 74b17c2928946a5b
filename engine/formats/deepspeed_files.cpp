#include "formats/deepspeed_files.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "base/checked.h"
#include "formats/folder_files.h"
#include "formats/limit.h"

namespace remap::formats::deepspeed {

namespace fs = std::filesystem;

void fail(const std::string& path, const std::string& message, const std::string& hint) {
  throw Error("deepspeed", BytePlace{path, {}, {}}, message, hint);
}

std::optional<int64_t> number_after(const std::string& name, std::string_view text) {
  const size_t at = name.find(text);
  if (at == name.npos) return std::nullopt;
  int64_t value = 0;
  size_t i = at + text.size();
  if (i == name.size() || name[i] < '0' || name[i] > '9') return std::nullopt;
  for (; i < name.size() && name[i] >= '0' && name[i] <= '9' && value < 1'000'000; ++i)
    value = 10 * value + (name[i] - '0');
  return value;
}
std::vector<StateFile> state_files(const std::vector<std::string>& files, std::string_view ending) {
  std::vector<StateFile> out;
  for (const std::string& name : files) {
    const auto model_rank = number_after(name, "mp_rank_");
    if (!name.ends_with(ending) || !model_rank) continue;
    const auto rank = number_after(name, "zero_pp_rank_");
    out.push_back({name, rank.value_or(0), *model_rank, rank.has_value()});
  }
  std::sort(out.begin(), out.end(), [](const StateFile& a, const StateFile& b) {
    return std::tie(a.model_rank, a.rank, a.name) < std::tie(b.model_rank, b.rank, b.name);
  });
  return out;
}

bool has_universal(const std::string& folder) {
  const std::string zero = (fs::path(folder) / "zero").string();
  if (!is_folder(zero)) return false;
  const auto folders = list_folders(zero);
  return std::any_of(folders.begin(), folders.end(),
                     [&](const std::string& name) { return is_file(fs::path(zero) / name / "fp32.pt"); });
}
bool is_step(const std::string& folder) {
  const auto files = list_files(folder);
  return !state_files(files, kModelStates).empty() || !state_files(files, kOptimStates).empty() ||
         has_universal(folder);
}

std::string name_of_rank(const std::string& other, int64_t rank) {
  const std::string_view mark = "zero_pp_rank_";
  const size_t begin = other.find(mark) + mark.size();
  const size_t end = std::min(other.find_first_not_of("0123456789", begin), other.size());
  return other.substr(0, begin) + fmt::to_string(rank) + other.substr(end);
}

const Json& member(const Json& tree, std::string_view name) {
  static const Json none;
  const auto it = tree.is_object() ? tree.find(name) : tree.end();
  return it == tree.end() ? none : *it;
}

Shapes shapes_of(const Json& tree, const char* what, const std::string& file, const Limits& limits) {
  Shapes out;
  if (tree.is_null()) return out;
  if (!tree.is_object()) fail(file, fmt::format("'{}' should be a dict", what));
  for (const auto& [name, sizes] : tree.items()) {
    Shape shape;
    if (!sizes.is_array()) fail(file, fmt::format("'{}' has no sizes for '{}'", what, name));
    for (const Json& size : sizes) {
      if (!size.is_number_integer() || size.get<int64_t>() < 0)
        fail(file, fmt::format("'{}' has {} among the sizes of '{}'", what, size.dump(), name));
      shape.push_back(size.get<int64_t>());
    }
    check_limit(shape.size(), static_cast<uint64_t>(limits.max_rank), "max_rank", BytePlace{file, {}, {}},
                "dimensions");
    data_bytes(DType::f64, shape, fmt::format("{}: '{}'", file, name));
    out.emplace_back(name, std::move(shape));
  }
  return out;
}

std::vector<Shapes> groups_of(const TorchItem& model, const Limits& limits) {
  const Json& said = member(model.listing.metadata, "param_shapes");
  std::vector<Shapes> out;
  if (said.is_array())
    for (const Json& group : said) out.push_back(shapes_of(group, "param_shapes", model.path(), limits));
  else
    out.push_back(shapes_of(said, "param_shapes", model.path(), limits));
  if (out.empty() || out.front().empty())
    fail(model.path(), "its 'param_shapes' are not there, which say how the parameters lie one after the other");
  return out;
}

int64_t elements_of(const Shapes& shapes) {
  int64_t total = 0;
  for (const auto& [name, shape] : shapes) {
    const auto sum = checked_add(total, element_count(shape));
    if (!sum) throw Error("tensor-shape-overflow", {}, "the parameters of a group are too many to be counted");
    total = *sum;
  }
  return total;
}

void FlatStream::append(const TorchItem& item, const ListedTensor& tensor) {
  const auto* spec = std::get_if<TensorSpec>(&tensor.tensor);
  if (spec == nullptr || spec->shape.size() != 1 || (spec->shape[0] > 1 && spec->strides[0] != 1) ||
      is_sub_byte(spec->dtype))
    fail(item.path(), fmt::format("'{}' should be a flat tensor, its values side by side", tensor.key));
  if (!segments.empty() && spec->dtype != dtype)
    fail(item.path(), fmt::format("'{}' is {}, those before it are {}", tensor.key, name(spec->dtype), name(dtype)));
  dtype = spec->dtype;
  const auto end = checked_add(length, spec->shape[0]);
  if (!end) fail(item.path(), "its flat tensors have more values than can be counted");
  segments.push_back({length, spec->shape[0], item.view(*spec, tensor.key)});
  length = *end;
  file = item.path();
}

void FlatStream::add_tiles(TiledTensor& tensor, int64_t from, int64_t count, int64_t at) const {
  for (const Segment& segment : segments) {
    const int64_t begin = std::max(from, segment.begin), end = std::min(from + count, segment.begin + segment.length);
    if (begin >= end) continue;
    TileView view = segment.view;
    const int64_t bytes = (begin - segment.begin) * size_bytes(dtype);
    view.data += bytes;
    view.offset_bytes += static_cast<uint64_t>(bytes);
    for (FileTile& tile : tiles_of_range(tensor.info, {at + begin - from, at + end - from, std::move(view)}))
      tensor.tiles.push_back(std::move(tile));
  }
}

}  // namespace remap::formats::deepspeed
