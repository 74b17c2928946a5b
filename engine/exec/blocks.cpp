#include "exec/blocks.h"

#include <algorithm>

namespace remap::exec {
namespace {

// Whether the rows of a target tensor run across those of a source tensor: its elements are then gathered from as many
// pages as a row has elements.
bool is_transposed(const PlannedTensor& tensor) {
  return std::any_of(tensor.pieces.begin(), tensor.pieces.end(), [&](const Piece& piece) {
    uint8_t innermost = 0;
    for (const Axis& axis : piece.axes) innermost = std::max(innermost, axis.source_dim);
    return std::any_of(piece.axes.begin(), piece.axes.end(), [&](const Axis& axis) {
      return axis.target_dim + size_t{1} == tensor.shape.size() && axis.source_dim < innermost;
    });
  });
}

// What a block has whole: elements, or rows of a transposed tensor. Two parts of rows a block took 13 % of the time of
// a transpose of 4096 x 4096.
uint64_t unit_bytes(const PlannedTensor& tensor, uint64_t block_bytes) {
  const auto element = static_cast<uint64_t>(size_bytes(tensor.dtype));
  if (tensor.shape.size() < 2 || !is_transposed(tensor)) return element;
  const uint64_t row = element * static_cast<uint64_t>(tensor.shape.back());
  return row <= block_bytes / 8 ? row : element;
}

}  // namespace

Blocks::Blocks(const std::vector<PlannedTensor>& tensors, const Sink& sink, uint64_t block_bytes)
    : tensors_(tensors), block_bytes_(block_bytes) {
  places_.reserve(tensors.size());
  for (size_t t = 0; t < tensors.size(); ++t) {
    places_.push_back(sink.place(t));
    if (element_count(tensors[t].shape) > 0) order_.push_back(t);
  }
  std::sort(order_.begin(), order_.end(), [this](size_t a, size_t b) {
    return std::pair(places_[a].file, places_[a].offset_bytes) < std::pair(places_[b].file, places_[b].offset_bytes);
  });
  for (size_t position = 0; position < order_.size(); ++position) cut(position);
  for (Block& block : blocks_) {
    largest_bytes_ = std::max(largest_bytes_, block.size());
    block.lead = lead_of(block);
  }
}

uint64_t Blocks::lead_of(const Block& block) const {
  for (size_t position = block.first; position < block.last; ++position) {
    const Stretch stretch = this->stretch(block, position);
    const auto bytes = static_cast<uint64_t>((stretch.end - stretch.begin) * element_bytes(stretch.target));
    if (bytes > block.size() / 2) return (kAligned - (stretch.offset_bytes - block.begin) % kAligned) % kAligned;
  }
  return 0;
}

// Adds a tensor to the last block while that has room, and to new ones.
void Blocks::cut(size_t position) {
  const size_t target = order_[position];
  const TensorPlace place = places_[target];
  const uint64_t unit = unit_bytes(tensors_[target], block_bytes_);
  const uint64_t end = place.offset_bytes + static_cast<uint64_t>(data_bytes(tensors_[target]));
  const auto limit_of = [this](uint64_t begin) { return (begin / block_bytes_ + 1) * block_bytes_; };
  for (uint64_t at = place.offset_bytes; at < end;) {
    const bool goes_on = !blocks_.empty() && blocks_.back().file == place.file && blocks_.back().end == at;
    uint64_t to = at;
    if (goes_on) {
      const uint64_t limit = std::min(end, limit_of(blocks_.back().begin));
      to = limit > at ? limit - (limit - place.offset_bytes) % unit : at;
    }
    if (to == at) {
      const uint64_t limit = std::min(end, limit_of(at));
      to = std::max(std::min(end, at + unit), limit - (limit - place.offset_bytes) % unit);
      blocks_.push_back({place.file, at, at, position, position});
    }
    blocks_.back().end = to;
    blocks_.back().last = position + 1;
    at = to;
  }
}

Stretch Blocks::part(const Block& block, size_t target) const {
  const uint64_t offset = places_[target].offset_bytes;
  const uint64_t end = offset + static_cast<uint64_t>(data_bytes(tensors_[target]));
  const uint64_t begin = std::max(block.begin, offset);
  const auto element = static_cast<uint64_t>(element_bytes(target));
  return {target, static_cast<int64_t>((begin - offset) / element),
          static_cast<int64_t>((std::min(block.end, end) - offset) / element), begin};
}

size_t Blocks::from(size_t file, uint64_t offset_bytes) const {
  const auto first = std::lower_bound(
      blocks_.begin(), blocks_.end(), std::pair(file, offset_bytes),
      [](const Block& block, const auto& wanted) { return std::pair(block.file, block.begin) < wanted; });
  return static_cast<size_t>(first - blocks_.begin());
}

size_t Blocks::holding(size_t target, int64_t element) const {
  const std::pair at{places_[target].file,
                     places_[target].offset_bytes + static_cast<uint64_t>(element * element_bytes(target))};
  const auto after = std::upper_bound(blocks_.begin(), blocks_.end(), at, [](const auto& wanted, const Block& block) {
    return wanted < std::pair(block.file, block.begin);
  });
  return static_cast<size_t>(after - blocks_.begin()) - 1;
}

}  // namespace remap::exec
