// A torch file, or an archive inside of a file, whose tensors a reader of several files cuts and joins.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "formats/tiled_source.h"
#include "formats/torch_listing.h"

namespace remap::formats {

struct TorchItem {
  std::vector<std::byte> unpacked;  // of an archive that was compressed as a whole
  TorchContents contents;
  TorchListing listing;

  const std::string& path() const { return contents.file.path(); }
  // nullptr if there is none of this key.
  const ListedTensor* find(std::string_view key) const;
  // Where the tensor's elements are. Throws Error "torch-bad-tensor" for one whose bytes are not its values as they
  // lie there: packed inside of the archive, or a view that changes signs; `key` names it.
  TileView view(const TensorSpec& spec, const std::string& key) const;
};
using TorchItemPtr = std::shared_ptr<const TorchItem>;

// Throws what open_torch() does.
TorchItemPtr read_torch_item(MappedFile file, const Limits& limits);
// The zip archive at [offset, offset + length) of the file, or `unpacked` from there.
TorchItemPtr read_torch_item_at(MappedFile file, uint64_t offset, uint64_t length, const Limits& limits);
TorchItemPtr read_torch_item_of(MappedFile file, std::vector<std::byte> unpacked, const Limits& limits);

// What is known of a listed tensor that is not a plain TensorSpec, as a manifest has it.
TensorInfo info_of(const std::string& key, const DecodedTensor& tensor);

}  // namespace remap::formats
