#include "exec/work_list.h"

#include <algorithm>
#include <functional>
#include <map>

#include <sys/mman.h>
#include <unistd.h>

#include "ops/cast.h"
#include "tensor/box.h"

namespace remap::exec {
namespace {

// A larger tile is not read ahead as a whole: the first pages might be gone before they are used.
constexpr int64_t kReadAheadBytes = int64_t{256} << 20;

bool is_inside(const std::byte* data, const TileBuffer& buffer) {
  const std::less_equal<const std::byte*> not_after;
  return !buffer.empty() && not_after(buffer.data(), data) && not_after(data, buffer.data() + buffer.size() - 1);
}

void append_blocks(size_t target, const ops::CopyRegion& region, int64_t element_bytes, std::vector<Copy>& copies) {
  std::vector<ops::CopyRegion> parts;
  ops::split(region, kBlockBytes / element_bytes, parts);
  for (auto& part : parts) copies.push_back({target, std::move(part)});
}

// A strided copy faults pages of a mapped file in an order that the kernel does not foresee; tell it what will be read.
// A hint: changes nothing in memory, and may fail.
void read_ahead(const Loaded& loaded, const Box& tile) {
  if (loaded.view.fd < 0 || std::all_of(loaded.copies.begin(), loaded.copies.end(),
                                        [](const Copy& c) { return ops::is_contiguous(c.region); }))
    return;
  int64_t last = 0;
  for (size_t d = 0; d < tile.extent.size(); ++d) last += (tile.extent[d] - 1) * loaded.view.strides[d];
  const int64_t bytes = (last + 1) * size_bytes(loaded.dtype);
  if (bytes > kReadAheadBytes) return;
  static const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(loaded.view.data) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(loaded.view.data) + static_cast<uintptr_t>(bytes);
  ::posix_madvise(reinterpret_cast<void*>(begin), end - begin, POSIX_MADV_WILLNEED);
}

}  // namespace

Work::Work(const std::vector<PlannedTensor>& tensors, const std::vector<const Source*>& sources, bool skip_zero_fill)
    : tensors_(tensors) {
  std::map<std::pair<uint32_t, uint32_t>, size_t> reading_of;
  for (size_t t = 0; t < tensors.size(); ++t) {
    strides_.push_back(row_major_strides(tensors[t].shape));
    if (tensors[t].fill) {
      std::array<std::byte, 16> value{};
      ops::encode_value(*tensors[t].fill, tensors[t].dtype, value.data());
      const bool zero = std::all_of(value.begin(), value.end(), [](std::byte b) { return b == std::byte{0}; });
      if (!zero || !skip_zero_fill) items_.push_back({Item::kFill, t});
      continue;
    }
    for (size_t p = 0; p < tensors[t].pieces.size(); ++p) {
      const Piece& piece = tensors[t].pieces[p];
      const auto [it, added] = reading_of.try_emplace({piece.source, piece.tensor}, readings_.size());
      if (added) {
        readings_.push_back({sources[piece.source], piece.tensor, sources[piece.source]->tile_boxes(piece.tensor), {}});
        for (size_t tile = 0; tile < readings_.back().tiles.size(); ++tile) items_.push_back({it->second, tile});
      }
      readings_[it->second].uses.push_back({t, p});
    }
  }
}

std::shared_ptr<const Loaded> Work::load(const Item& item, TileBuffer& buffer) const {
  return item.reading == Item::kFill ? load_fill(item.index) : load_tile(readings_[item.reading], item.index, buffer);
}

// A constant is a source whose stride is 0.
std::shared_ptr<const Loaded> Work::load_fill(size_t target) const {
  const PlannedTensor& tensor = tensors_[target];
  const int64_t count = remap::element_count(tensor.shape);
  if (count == 0) return nullptr;
  auto loaded = std::make_shared<Loaded>();
  ops::encode_value(*tensor.fill, tensor.dtype, loaded->constant.data());
  loaded->view.data = loaded->constant.data();
  loaded->dtype = tensor.dtype;
  append_blocks(target, ops::normalised({0, 0, {{count, 1, 0}}}), size_bytes(tensor.dtype), loaded->copies);
  return loaded;
}

std::shared_ptr<const Loaded> Work::load_tile(const Reading& reading, size_t tile, TileBuffer& buffer) const {
  const Box& box = reading.tiles[tile];
  std::vector<std::pair<Use, std::vector<IndexBox>>> wanted;
  for (const Use& use : reading.uses) {
    auto boxes = clip(tensors_[use.target].pieces[use.piece], box);
    if (!boxes.empty()) wanted.emplace_back(use, std::move(boxes));
  }
  if (wanted.empty()) return nullptr;
  auto loaded = std::make_shared<Loaded>();
  loaded->source = &reading.source->manifest()[reading.tensor];
  loaded->from = reading.source;
  loaded->dtype = stored_form(*loaded->source).dtype;
  loaded->view = reading.source->load(reading.tensor, tile, buffer);
  loaded->in_buffer = is_inside(loaded->view.data, buffer);
  for (const auto& [use, boxes] : wanted) {
    const PlannedTensor& target = tensors_[use.target];
    for (const IndexBox& index_box : boxes)
      append_blocks(use.target,
                    lower(target.pieces[use.piece], index_box, strides_[use.target], box, loaded->view.strides),
                    size_bytes(target.dtype), loaded->copies);
  }
  read_ahead(*loaded, box);
  return loaded;
}

}  // namespace remap::exec
