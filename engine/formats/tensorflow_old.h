// A TensorFlow checkpoint of the form before 0.12 ("V1"): one sorted table. Its first entry (the empty key) lists the
// tensors; every other holds a slice of one, its values in the fields of a TensorProto. Private to formats.
#pragma once

#include <memory>
#include <string>

#include "formats/sorted_table.h"
#include "remap/source.h"

namespace remap::formats {

// Opening reads the first block; values are decoded when they are loaded. Throws Error "tensorflow-…".
std::unique_ptr<Source> open_tensorflow_old(const std::string& path, const SortedTable& table,
                                            const OpenOptions& options);

}  // namespace remap::formats
