// A pickle of numpy arrays in dictionaries, lists and objects, as detectron2 and Caffe2 keep models: protocols 0 to 5,
// and Python 2's. Nothing in it is called. Keys are paths joined by '.', as of torch's files. A numpy scalar is an
// array without dimensions. What stands where an array could be and is not known (what a call would make, a container
// that holds itself) is listed and not read.
#pragma once

#include <memory>

#include "base/mapped_file.h"
#include "remap/source.h"

namespace remap::formats {

// Any pickle but those that other libraries mark as theirs.
bool looks_like_pickle(const MappedFile& file);

// nullptr if it holds no arrays. Throws: Error, ids "pickle-*", "torch-*", "limit-exceeded".
std::unique_ptr<Source> open_array_pickle(const MappedFile& file, const OpenOptions& options);

}  // namespace remap::formats
