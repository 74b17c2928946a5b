#include "formats/deepspeed_masters.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/limit.h"

namespace remap::formats::deepspeed {
namespace {

// How many values pad each parameter of the group; none, in most files.
std::vector<int64_t> alignment(const TorchItem& optimizer, size_t group, size_t n_parameters) {
  const Json& all = member(member(optimizer.listing.metadata, "optimizer_state_dict"), "param_alignment_paddings");
  std::vector<int64_t> out(n_parameters, 0);
  if (!all.is_array() || group >= all.size() || !all[group].is_array() || all[group].size() != n_parameters) return out;
  for (size_t i = 0; i < n_parameters; ++i) {
    const Json& one = all[group][i];
    if (!one.is_number_integer() || one.get<int64_t>() < 0 || one.get<int64_t>() > (int64_t{1} << 32))
      fail(optimizer.path(), fmt::format("'param_alignment_paddings' has {}", one.dump()));
    out[i] = one.get<int64_t>();
  }
  return out;
}
// Partitions are of one size (the last may lack its padding), and what they have beside the parameters pads them.
void require_padding_only(const Shapes& shapes, size_t group, const FlatStream& joined,
                          const std::vector<int64_t>& lengths, const std::vector<TorchItemPtr>& ranks) {
  const int64_t needed = elements_of(shapes), world = static_cast<int64_t>(ranks.size());
  for (size_t r = 1; r < ranks.size(); ++r)
    if (lengths[r] > lengths[0] || (r + 1 < ranks.size() && lengths[r] != lengths[0]))
      fail(ranks[r]->path(), fmt::format("its partition of group {} has {} values, that of rank 0 has {}", group,
                                         lengths[r], lengths[0]));
  int64_t padding = 0;
  for (const int64_t one : alignment(*ranks.front(), group, shapes.size())) padding += one;
  const int64_t step = 2 * world, extra = joined.length - needed - padding;
  if (extra < 0 || extra >= step)
    fail(ranks.back()->path(), fmt::format("the partitions of group {} have {} values, its parameters {}", group,
                                           joined.length, needed + padding));
}
void add_group(const Shapes& shapes, size_t group, const FlatStream& joined, const TorchItem& first,
               const TorchItem& model, const Limits& limits, Tensors& tensors) {
  const auto padding = alignment(first, group, shapes.size());
  const Json& slices = member(member(first.listing.metadata, "optimizer_state_dict"), "param_slice_mappings");
  int64_t offset = 0;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const auto& [name, shape] = shapes[i];
    if (slices.is_array() && group < slices.size()) {
      // Where rank 0 says that its part of the parameter begins.
      const Json& start = member(member(member(slices[group], name), "state"), "start");
      if (start.is_number_integer() && start.get<int64_t>() != offset)
        fail(first.path(), fmt::format("'{}' begins at {} of group {}, by its 'param_slice_mappings'; by the shapes "
                                       "of the model file it begins at {}",
                                       name, start.get<int64_t>(), group, offset));
    }
    TiledTensor& tensor = new_tensor(tensors, name, joined.dtype, shape, model.path(), limits);
    const int64_t count = element_count(shape);
    joined.add_tiles(tensor, offset, count, 0);
    offset += count + padding[i];
  }
}

}  // namespace

TiledTensor& new_tensor(Tensors& tensors, const std::string& name, DType dtype, const Shape& shape,
                        const std::string& file, const Limits& limits) {
  check_limit(tensors.size() + 1, limits.max_tensors, "max_tensors", BytePlace{file, {}, {}}, "tensors");
  check_limit(name.size(), limits.max_key_bytes, "max_key_bytes", BytePlace{file, {}, {}}, "bytes of a tensor's key");
  const auto [it, fresh] = tensors.try_emplace(name, TiledTensor{{name, dtype, shape, {}, {}}});
  if (!fresh) fail(file, fmt::format("'{}' is listed twice", name));
  return it->second;
}

void add_masters_of_stage_2(const TorchItem& model, const std::vector<TorchItemPtr>& ranks, const Limits& limits,
                            Tensors& tensors) {
  const auto all = groups_of(model, limits);
  const auto key_of = [](size_t group) {
    return fmt::format("optimizer_state_dict.single_partition_of_fp32_groups.{}", group);
  };
  if (const std::string further = key_of(all.size()); ranks.front()->find(further) != nullptr)
    fail(ranks.front()->path(),
         fmt::format("it holds '{}', a group of which '{}' has no shapes", further, model.path()));
  for (size_t g = 0; g < all.size(); ++g) {
    const std::string key = key_of(g);
    FlatStream joined;
    std::vector<int64_t> lengths;
    for (const TorchItemPtr& item : ranks) {
      const ListedTensor* tensor = item->find(key);
      if (tensor == nullptr) fail(item->path(), fmt::format("it does not hold '{}'", key));
      const int64_t before = joined.length;
      joined.append(*item, *tensor);
      lengths.push_back(joined.length - before);
    }
    require_padding_only(all[g], g, joined, lengths, ranks);
    add_group(all[g], g, joined, *ranks.front(), model, limits, tensors);
  }
}

void add_masters_of_stage_3(const TorchItem& model, const std::vector<TorchItemPtr>& ranks, const Limits& limits,
                            Tensors& tensors) {
  std::vector<FlatStream> streams;
  for (const TorchItemPtr& item : ranks) {
    FlatStream stream;
    for (size_t g = 0;; ++g) {
      const ListedTensor* tensor = item->find(fmt::format("optimizer_state_dict.fp32_flat_groups.{}", g));
      if (tensor == nullptr) break;
      stream.append(*item, *tensor);
    }
    if (stream.segments.empty()) fail(item->path(), "it does not hold 'optimizer_state_dict.fp32_flat_groups'");
    if (!streams.empty() && (stream.length != streams.front().length || stream.dtype != streams.front().dtype))
      fail(item->path(), fmt::format("its flat groups have {} values, those of rank 0 have {}", stream.length,
                                     streams.front().length));
    streams.push_back(std::move(stream));
  }
  int64_t offset = 0;
  const auto world = static_cast<int64_t>(ranks.size());
  for (const Shapes& group : groups_of(model, limits))
    for (const auto& [name, shape] : group) {
      TiledTensor& tensor = new_tensor(tensors, name, streams.front().dtype, shape, model.path(), limits);
      const int64_t count = element_count(shape), each = count / world + (count % world != 0 ? 1 : 0);
      if (each > streams.front().length - offset)
        fail(streams.front().file,
             fmt::format("its flat groups end, after {} values, before '{}' does", streams.front().length, name));
      for (int64_t r = 0; r < world; ++r) {
        const int64_t begin = std::min(r * each, count);
        streams[static_cast<size_t>(r)].add_tiles(tensor, offset, std::min(each, count - begin), begin);
      }
      offset += each;
    }
  if (offset != streams.front().length)
    fail(streams.front().file, fmt::format("its flat groups have {} values, and the parameters take {} of them",
                                           streams.front().length, offset));
}

}  // namespace remap::formats::deepspeed
