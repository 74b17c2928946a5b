// Walks a pickle's root value and lists what a Source must show: tensors under dotted keys, metadata as a plain tree,
// remarks.
//
// Every tensor is listed, once a path that leads to it: entries of dicts by their keys, of lists by their numbers,
// attributes of objects (also of classes that are not known, and of tensors) by their names. What an unknown function
// would make of tensors is one entry that is not read. The parameters and buffers of a module are those of its state
// dict. Paths that come out as the same key ("a.b" beside a: {b: …}; 1 beside "1") are "a.b", "a.b#2" …, in the
// file's order.
// Shared and cyclic values are walked once a path, within limits that the pickle's own size sets.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "formats/torch_tensors.h"
#include "remap/metadata.h"
#include "remap/source.h"

namespace remap::formats {

struct ListedTensor {
  std::string key;
  DecodedTensor tensor;
};

struct TorchListing {
  std::vector<ListedTensor> tensors;  // sorted by key
  Json metadata = Json::object();
  std::vector<std::string> remarks;
};

// Adds to contents.storages what arrays inside the pickle need.
TorchListing list_torch(TorchContents& contents, const Limits& limits);

// A file that is one tensor and nothing else: the tensor is named as the file is, without its ending.
void name_bare_tensor(TorchListing& listing, const std::string& file);

// Serves tensors that were listed, by torch's readers or others, from the storages of `contents`; `format` must outlive
// the source.
std::unique_ptr<Source> source_of(std::string_view format, TorchContents contents, TorchListing listing);

}  // namespace remap::formats
