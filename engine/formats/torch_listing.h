// Walks a pickle's root value and lists what a Source must show: tensors under dotted keys, metadata as a plain tree, remarks.
// Shared and cyclic values are walked once a path, within limits that the pickle's own size sets.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "formats/torch_tensors.h"
#include "remap/metadata.h"

namespace remap::formats {

struct ListedTensor {
  std::string key;
  TensorSpec spec;
};

struct TorchListing {
  std::vector<ListedTensor> tensors;  // sorted by key
  Json metadata = Json::object();
  std::vector<std::string> remarks;
};

// Adds to contents.storages what arrays inside the pickle need.
TorchListing list_torch(TorchContents& contents, const Limits& limits);

}  // namespace remap::formats
