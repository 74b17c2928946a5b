#include "formats/torch_sharded.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "formats/pickle_known.h"
#include "tensor/box.h"

namespace remap::formats {
namespace {

constexpr int64_t kMaxRanks = 1 << 20;
constexpr uint64_t kMaxParts = 1 << 20;  // that a rank's tensor of one key may lie in

class ShardedReader {
 public:
  ShardedReader(TensorDecoder& decoder, const PickleMeanings& meanings, const TorchContents& contents)
      : decoder_(decoder), meanings_(meanings), graph_(meanings.graph()), contents_(contents) {}

  // The state of a DTensor: {_local_tensor, _spec}.
  std::shared_ptr<ShardedTensorPart> dtensor(PickleRef arguments, PickleRef state) {
    auto out = std::make_shared<ShardedTensorPart>();
    out->on_mesh = true;
    const PickleRef local = attribute(state, "_local_tensor"), spec = attribute(state, "_spec");
    if (local == kNoValue || !graph_.is(spec, PickleKind::object)) return nullptr;
    const PickleObject& fields = graph_.object(spec);
    PickleRef shape = argument(arguments, 2);
    if (const PickleRef meta = meanings_.state_field(fields, "tensor_meta"); graph_.is(meta, PickleKind::object))
      shape = tensor_meta_shape(meta, shape);
    const auto sizes = integers(shape);
    const auto tensor = plain(local);
    if (!sizes || !tensor) return nullptr;
    out->shape = *sizes;
    out->dtype = tensor->dtype;
    out->locals.push_back({*tensor, std::nullopt});
    if (!read_mesh(meanings_.state_field(fields, "mesh"), *out)) return nullptr;
    if (!read_placements(meanings_.state_field(fields, "placements"), *out)) return nullptr;
    if (out->placements.size() != out->axes.size()) return nullptr;
    return read_order(meanings_.state_field(fields, "shard_order"), *out) ? out : nullptr;
  }

  // The state of a ShardedTensor: (local shards, metadata, …).
  std::shared_ptr<ShardedTensorPart> sharded(PickleRef arguments, PickleRef state) {
    if (!graph_.is(state, PickleKind::tuple) || graph_.items(state).size() < 2) return nullptr;
    auto out = std::make_shared<ShardedTensorPart>();
    PickleRef size = argument(arguments, 2);
    if (const PickleRef metadata = graph_.items(state)[1]; graph_.is(metadata, PickleKind::object))
      if (const PickleRef said = meanings_.state_field(graph_.object(metadata), "size"); said != kNoValue) size = said;
    const auto sizes = integers(size);
    const PickleView shards = meanings_.view(graph_.items(state)[0]);
    if (!sizes || shards.meaning != Meaning::sequence) return nullptr;
    out->shape = *sizes;
    const auto dtype = dtype_of(argument(arguments, 1));
    if (!dtype) return nullptr;
    out->dtype = *dtype;
    for (const PickleRef shard : meanings_.items(shards)) {
      if (!graph_.is(shard, PickleKind::object)) return nullptr;
      const PickleRef where = meanings_.state_field(graph_.object(shard), "metadata");
      const PickleRef data = meanings_.state_field(graph_.object(shard), "tensor");
      if (data == kNoValue || !graph_.is(where, PickleKind::object)) return nullptr;
      const auto tensor = plain(data);
      const auto offsets = integers(meanings_.state_field(graph_.object(where), "shard_offsets"));
      const auto extent = integers(meanings_.state_field(graph_.object(where), "shard_sizes"));
      if (!tensor || tensor->dtype != out->dtype || !offsets || !extent || offsets->size() != out->shape.size() ||
          extent->size() != out->shape.size())
        return nullptr;
      out->locals.push_back({*tensor, Box{*offsets, *extent}});
    }
    return out;
  }

 private:
  // Of a state: a dict, or (dict or None, slots).
  PickleRef attribute(PickleRef state, std::string_view name) const {
    PickleRef found = meanings_.field(state, name);
    for (size_t i = 0; i < 2 && found == kNoValue; ++i) found = meanings_.field(argument(state, i), name);
    return found;
  }
  PickleRef argument(PickleRef tuple, size_t i) const {
    return graph_.is(tuple, PickleKind::tuple) && i < graph_.items(tuple).size() ? graph_.items(tuple)[i] : kNoValue;
  }
  std::optional<std::vector<int64_t>> integers(PickleRef ref) const {
    if (ref == kNoValue) return std::nullopt;
    const PickleView view = meanings_.view(ref);
    if (view.meaning != Meaning::sequence || meanings_.items(view).size() > 64) return std::nullopt;
    std::vector<int64_t> out;
    for (const PickleRef item : meanings_.items(view)) {
      const auto value = meanings_.integer(item);
      if (!value || *value < 0) return std::nullopt;
      out.push_back(*value);
    }
    return out;
  }
  std::optional<DType> dtype_of(PickleRef ref) const {
    if (!graph_.is(ref, PickleKind::global) || graph_.global(ref).module != "torch") return std::nullopt;
    return parse_dtype(graph_.global(ref).name);
  }
  std::optional<TensorSpec> plain(PickleRef ref) const {
    const PickleView view = meanings_.view(ref);
    if (view.meaning != Meaning::tensor || view.row == nullptr || view.row->role != Role::tensor) return std::nullopt;
    try {
      const DecodedTensor tensor = decoder_.decode(view);
      if (const auto* spec = std::get_if<TensorSpec>(&tensor)) return *spec;
    } catch (const Error&) {  // then the whole is listed, and not read
    }
    return std::nullopt;
  }
  // TensorMeta is a named tuple: (shape, strides, dtype).
  PickleRef tensor_meta_shape(PickleRef meta, PickleRef otherwise) const {
    const PickleObject& object = graph_.object(meta);
    if (const PickleRef shape = meanings_.state_field(object, "shape"); shape != kNoValue) return shape;
    const PickleRef first = graph_.argument(object, 0);
    return first != kNoValue && integers(first) ? first : otherwise;
  }

  bool read_mesh(PickleRef ref, ShardedTensorPart& out) const {
    if (!graph_.is(ref, PickleKind::object)) return false;
    const PickleObject& mesh = graph_.object(ref);
    if (const PickleRef rank = meanings_.state_field(mesh, "_rank"); rank != kNoValue)
      out.rank = meanings_.integer(rank);
    PickleRef map = meanings_.state_field(mesh, "_rank_map");
    const PickleRef layout = meanings_.state_field(mesh, "_layout");
    if (map != kNoValue && graph_.is(layout, PickleKind::object))
      return read_ranks(map, out, nullptr) && read_axes(graph_.object(layout), out);
    // Before torch 2.10 or so: the ranks as a tensor of the mesh's shape.
    for (const std::string_view name : {"mesh", "_mesh"})
      if (map = meanings_.state_field(mesh, name); map != kNoValue) break;
    Shape shape;
    if (map == kNoValue || !read_ranks(map, out, &shape)) return false;
    const auto strides = row_major_strides(shape);
    for (size_t d = 0; d < shape.size(); ++d) out.axes.push_back({{shape[d]}, {strides[d]}});
    return true;
  }

  // Numbers of a tensor of integers, row-major.
  bool read_ranks(PickleRef ref, ShardedTensorPart& out, Shape* shape) const {
    const auto spec = plain(ref);
    if (!spec) return false;
    const int width = size_bytes(spec->dtype);
    if (spec->dtype != DType::i32 && spec->dtype != DType::i64 && spec->dtype != DType::i16) return false;
    const int64_t count = element_count(spec->shape);
    const TorchStorage& storage = contents_.storages[spec->storage];
    if (count <= 0 || count > kMaxRanks || storage.packed != nullptr) return false;
    const std::byte* data = storage.file_offset ? contents_.file.data() + *storage.file_offset : storage.memory;
    data += spec->offset_bytes;
    std::vector<int64_t> at(spec->shape.size(), 0);
    for (int64_t i = 0; i < count; ++i) {
      int64_t offset = 0;
      for (size_t d = 0; d < at.size(); ++d) offset += at[d] * spec->strides[d];
      out.ranks.push_back(number(data + offset * width, width));
      for (size_t d = at.size(); d-- > 0 && ++at[d] == spec->shape[d];) at[d] = 0;
    }
    if (shape != nullptr) *shape = spec->shape;
    return true;
  }
  static int64_t number(const std::byte* data, int width) {
    int64_t wide = 0;
    int32_t middle = 0;
    int16_t narrow = 0;
    if (width == 8) return std::memcpy(&wide, data, 8), wide;
    if (width == 4) return std::memcpy(&middle, data, 4), middle;
    return std::memcpy(&narrow, data, 2), narrow;
  }

  bool read_axes(const PickleObject& layout, ShardedTensorPart& out) const {
    const PickleRef axes = meanings_.state_field(layout, "axes");
    const auto axis = [&](PickleRef sizes, PickleRef strides) {
      const auto n = one_or_many(sizes), steps = one_or_many(strides);
      if (!n || !steps || n->size() != steps->size() || n->empty()) return false;
      out.axes.push_back({*n, *steps});
      return out.axes.back().n_ranks() > 0;
    };
    if (axes != kNoValue) {
      const PickleView view = meanings_.view(axes);
      if (view.meaning != Meaning::sequence || meanings_.items(view).size() > 32) return false;
      for (const PickleRef item : meanings_.items(view)) {
        if (!graph_.is(item, PickleKind::object)) return false;
        const PickleObject& flat = graph_.object(item);
        if (!axis(meanings_.state_field(flat, "shape"), meanings_.state_field(flat, "stride"))) return false;
      }
      return true;
    }
    // A layout before axes: shape and stride, nested where an axis was flattened.
    const PickleRef shape = meanings_.state_field(layout, "shape"), stride = meanings_.state_field(layout, "stride");
    if (shape == kNoValue || stride == kNoValue) return false;
    const PickleView shapes = meanings_.view(shape), strides = meanings_.view(stride);
    if (shapes.meaning != Meaning::sequence || strides.meaning != Meaning::sequence) return axis(shape, stride);
    const auto a = meanings_.items(shapes), b = meanings_.items(strides);
    if (a.size() != b.size() || a.size() > 32) return false;
    for (size_t i = 0; i < a.size(); ++i)
      if (!axis(a[i], b[i])) return false;
    return true;
  }
  std::optional<std::vector<int64_t>> one_or_many(PickleRef ref) const {
    if (ref == kNoValue) return std::nullopt;
    if (const auto one = meanings_.integer(ref)) return *one < 0 ? std::nullopt : std::optional(std::vector{*one});
    return integers(ref);
  }

  bool read_placements(PickleRef ref, ShardedTensorPart& out) const {
    if (ref == kNoValue) return false;
    const PickleView view = meanings_.view(ref);
    if (view.meaning != Meaning::sequence || meanings_.items(view).size() > 32) return false;
    for (const PickleRef item : meanings_.items(view)) {
      if (!graph_.is(item, PickleKind::object)) return false;
      const std::string full = meanings_.class_name(item);
      const std::string_view name = std::string_view(full).substr(full.rfind('.') + 1);
      const PickleObject& object = graph_.object(item);
      const auto field = [&](std::string_view wanted, size_t at) {
        PickleRef found = meanings_.state_field(object, wanted);
        if (found == kNoValue) found = graph_.argument(object, at);
        return found == kNoValue ? std::optional<int64_t>() : meanings_.integer(found);
      };
      if (name == "Replicate") {
        out.placements.push_back({});
      } else if (name == "Shard" || name == "_StridedShard") {
        auto dim = field("dim", 0);
        if (dim && *dim < 0) *dim += static_cast<int64_t>(out.shape.size());
        const auto split = name == "Shard" ? std::optional<int64_t>(1) : field("split_factor", 1);
        if (!dim || *dim < 0 || *dim >= static_cast<int64_t>(out.shape.size()) || !split || *split < 1) return false;
        out.placements.push_back({Placement::Kind::shard, *dim, *split});
      } else if (name == "Partial" || name == "_Partial") {
        out.placements.push_back({});
        out.unread = "partial sums, one a rank, which only the program that made them can add";
      } else {
        return false;
      }
    }
    return true;
  }

  // ((dim of the tensor, (axes that cut it, in order)), …). What it does not name is cut from the first axis to the
  // last.
  bool read_order(PickleRef ref, ShardedTensorPart& out) const {
    if (ref != kNoValue && !graph_.is(ref, PickleKind::none)) {
      const PickleView entries = meanings_.view(ref);
      if (entries.meaning != Meaning::sequence) return false;
      for (const PickleRef entry : meanings_.items(entries)) {
        const PickleRef fields = graph_.is(entry, PickleKind::object) ? graph_.object(entry).arguments : entry;
        const PickleRef dim = argument(fields, 0);
        const auto number = dim == kNoValue ? std::nullopt : meanings_.integer(dim);
        const auto axes = integers(argument(fields, 1));
        if (!number || !axes) return false;
        for (const int64_t axis : *axes) {
          const auto at = static_cast<size_t>(axis);
          if (at >= out.axes.size() || out.placements[at].dim != *number ||
              std::find(out.order.begin(), out.order.end(), at) != out.order.end())
            return false;
          out.order.push_back(at);
        }
      }
    }
    for (size_t axis = 0; axis < out.axes.size(); ++axis)
      if (std::find(out.order.begin(), out.order.end(), axis) == out.order.end()) out.order.push_back(axis);
    return true;
  }

  TensorDecoder& decoder_;
  const PickleMeanings& meanings_;
  const PickleGraph& graph_;
  const TorchContents& contents_;
};

struct Interval {
  int64_t begin = 0, end = 0;
};
// The i-th of n parts of what the intervals hold, put one after the other: as torch.chunk cuts, the last ones shorter
// or empty.
std::vector<Interval> shard_part_of(const std::vector<Interval>& intervals, int64_t i, int64_t n) {
  int64_t total = 0;
  for (const Interval& one : intervals) total += one.end - one.begin;
  const int64_t size = total / n + (total % n != 0 ? 1 : 0);
  const int64_t begin = std::min(total, size > 0 && i > total / size ? total : i * size);
  const int64_t end = std::min(total, begin + size);
  std::vector<Interval> out;
  int64_t at = 0;
  for (const Interval& one : intervals) {
    const int64_t length = one.end - one.begin;
    const int64_t from = std::max(begin - at, int64_t{0}), to = std::min(end - at, length);
    if (from < to) out.push_back({one.begin + from, one.begin + to});
    at += length;
  }
  return out;
}

void require_few(uint64_t a, uint64_t b) {
  if (a > kMaxParts / std::max<uint64_t>(b, 1))
    throw Error(
        "limit-exceeded", {},
        fmt::format("a rank's part of a tensor lies in more than {} places; that many are not read", kMaxParts));
}

}  // namespace

int64_t MeshAxis::n_ranks() const {
  int64_t n = 1;
  for (const int64_t size : sizes) {
    if (size <= 0 || n > kMaxRanks / size) return 0;
    n *= size;
  }
  return n;
}

std::shared_ptr<const ShardedTensorPart> read_sharded(TensorDecoder& decoder, const PickleMeanings& meanings,
                                                      const TorchContents& contents, std::string_view type,
                                                      PickleRef arguments, PickleRef state) {
  if (state == kNoValue) return nullptr;
  const std::string_view name = type.substr(type.rfind('.') + 1);
  ShardedReader reader(decoder, meanings, contents);
  if (name == "DTensor") return reader.dtensor(arguments, state);
  if (name == "ShardedTensor") return reader.sharded(arguments, state);
  return nullptr;
}

LocalBoxes boxes_of_rank(const ShardedTensorPart& part, const Shape& shape, int64_t rank) {
  LocalBoxes out;
  const auto found = std::find(part.ranks.begin(), part.ranks.end(), rank);
  if (found == part.ranks.end()) return out;
  out.in_mesh = true;
  const int64_t place = found - part.ranks.begin();
  std::vector<std::vector<Interval>> held(shape.size());
  for (size_t d = 0; d < shape.size(); ++d) held[d] = {{0, shape[d]}};
  for (const size_t a : part.order) {
    const Placement& placement = part.placements[a];
    if (placement.kind != Placement::Kind::shard) continue;
    const MeshAxis& axis = part.axes[a];
    int64_t at = 0;
    for (size_t i = 0; i < axis.sizes.size(); ++i)
      at = at * axis.sizes[i] + (axis.strides[i] == 0 ? 0 : place / axis.strides[i] % axis.sizes[i]);
    auto& intervals = held[static_cast<size_t>(placement.dim)];
    std::vector<Interval> next;
    require_few(static_cast<uint64_t>(placement.split), intervals.size());
    for (int64_t s = 0; s < placement.split; ++s) {
      const auto cut = shard_part_of(shard_part_of(intervals, s, placement.split), at, axis.n_ranks());
      next.insert(next.end(), cut.begin(), cut.end());
    }
    intervals = std::move(next);
  }
  // Every combination of one interval a dimension.
  out.boxes = {{Box{}, {}}};
  for (size_t d = 0; d < shape.size(); ++d) {
    int64_t length = 0;
    std::vector<LocalBox> next;
    require_few(held[d].size(), out.boxes.size());
    for (const Interval& one : held[d]) {
      for (const LocalBox& before : out.boxes) {
        LocalBox box = before;
        box.box.origin.push_back(one.begin);
        box.box.extent.push_back(one.end - one.begin);
        box.at.push_back(length);
        next.push_back(std::move(box));
      }
      length += one.end - one.begin;
    }
    out.shape.push_back(length);
    out.boxes = std::move(next);
  }
  return out;
}

}  // namespace remap::formats
