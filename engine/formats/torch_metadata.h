// Everything in a pickle that is not a tensor, as a plain tree. Private to the reader of torch's files.
#pragma once

#include "formats/torch_listing.h"
#include "formats/torch_structure.h"
#include "remap/metadata.h"

namespace remap::formats {

struct TorchMetadata {
  Json tree = Json::object();
  bool cut = false;  // by limits.max_metadata_nodes, or what the pickle's size allows of text
};

// `tensors`, sorted by key, are named in the tree by their keys.
TorchMetadata torch_metadata(TorchStructure& structure, const std::vector<ListedTensor>& tensors, const Limits& limits);

}  // namespace remap::formats
