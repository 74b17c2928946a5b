#include "formats/torch_item.h"

#include <algorithm>

#include <fmt/format.h>

namespace remap::formats {

const ListedTensor* TorchItem::find(std::string_view key) const {
  const auto& tensors = listing.tensors;
  const auto it =
      std::lower_bound(tensors.begin(), tensors.end(), key,
                       [](const ListedTensor& tensor, std::string_view wanted) { return tensor.key < wanted; });
  return it == tensors.end() || it->key != key ? nullptr : &*it;
}

TileView TorchItem::view(const TensorSpec& spec, const std::string& key) const {
  const auto fail = [&](const std::string& what) {
    throw Error("torch-bad-tensor", BytePlace{path(), {}, {}}, fmt::format("'{}' {}", key, what),
                "load the file with torch and save it again, with tensors that are contiguous");
  };
  const TorchStorage& storage = contents.storages[spec.storage];
  if (spec.is_changed()) fail("is a view whose signs torch changes when it reads it");
  if (storage.packed != nullptr) fail("is compressed inside of its archive, as torch never does");
  return stored_view(contents, spec);
}

namespace {

TorchItemPtr listed(const std::shared_ptr<TorchItem>& item, const Limits& limits) {
  item->listing = list_torch(item->contents, limits);
  item->contents.graph.drop_values();
  return item;
}

}  // namespace

TorchItemPtr read_torch_item(MappedFile file, const Limits& limits) {
  return file.read([&] {
    const auto item = std::make_shared<TorchItem>();
    item->contents =
        ZipArchive::has_signature(file.bytes()) ? read_torch_zip(file, limits) : read_torch_legacy(file, limits);
    return listed(item, limits);
  });
}

TorchItemPtr read_torch_item_at(MappedFile file, uint64_t offset, uint64_t length, const Limits& limits) {
  return file.read([&] {
    const auto item = std::make_shared<TorchItem>();
    item->contents = read_torch_zip_at(file, file.bytes().subspan(offset, length), offset, limits);
    return listed(item, limits);
  });
}

TorchItemPtr read_torch_item_of(MappedFile file, std::vector<std::byte> unpacked, const Limits& limits) {
  const auto item = std::make_shared<TorchItem>();
  item->unpacked = std::move(unpacked);
  item->contents = read_torch_zip_at(std::move(file), item->unpacked, std::nullopt, limits);
  return listed(item, limits);
}

TensorInfo info_of(const std::string& key, const DecodedTensor& tensor) {
  if (const auto* spec = std::get_if<TensorSpec>(&tensor)) return {key, spec->dtype, spec->shape, {}, {}};
  const auto& unread = std::get<UnreadableTensor>(tensor);
  return unread_tensor(key, unread.why, unread.dtype, unread.shape);
}

}  // namespace remap::formats
