// Tensors of strings in a TensorFlow checkpoint: never weights, but TF 2 keeps its graph of objects in one. Private to
// formats.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tensorflow_entries.h"
#include "remap/metadata.h"

namespace remap::formats {

// The elements, in row-major order, of a tensor of which these are the bytes. Throws Error "tensorflow-data" at `place`
// if they are not `count` strings, or a checksum does not fit.
std::vector<std::string_view> parse_strings(std::string_view bytes, int64_t count, uint32_t crc,
                                            const std::string& name, const BytePlace& place);

// As metadata: a string, or a list of all elements, cut short where they are many or long.
Json strings_as_metadata(const std::vector<std::string_view>& strings, const Shape& shape);

// What TF 2's TrackableObjectGraph says: {"objects": n, "variables": {key: name}}. Throws Error "tensorflow-entry".
Json parse_object_graph(std::string_view message, const BytePlace& place);

}  // namespace remap::formats
