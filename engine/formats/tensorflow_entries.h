// What stands in the table of a TensorFlow checkpoint: its messages, and the keys of the slices of partitioned
// tensors. Private to formats.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/protobuf.h"
#include "remap/limits.h"
#include "remap/manifest.h"
#include "remap/source.h"

namespace remap::formats {

inline constexpr const char* kTensorflowEntry = "tensorflow-entry";  // class of the errors below

// A row of TensorFlow's table of types.
struct TensorflowType {
  int number;
  std::string_view name;
  std::optional<DType> dtype;  // none: listed, not read
  int size_bytes;              // of an element; 0: it varies
  std::string_view why;        // not read
};
// nullptr: there is no such type.
const TensorflowType* find_tensorflow_type(int64_t number);
inline constexpr int kTensorflowString = 7;

// One axis of a slice: [start, start + length), or all of it.
struct SliceExtent {
  int64_t start = 0;
  std::optional<int64_t> length;
};
using TensorSlice = std::vector<SliceExtent>;

// A tensor, or a slice of one, as the table has it.
struct BundleEntry {
  const TensorflowType* type = nullptr;
  Shape shape;
  int64_t shard = 0, offset = 0, size = 0;
  uint32_t crc = 0;  // masked
  std::vector<TensorSlice> slices;
};
struct BundleHeader {
  int64_t num_shards = 0;
};

// Throw Error "tensorflow-entry" for what is damaged, "tensorflow-unsupported" for what is not read, "limit-exceeded".
// `name` is what messages call the entry.
BundleHeader parse_bundle_header(std::string_view message, const BytePlace& place);
BundleEntry parse_bundle_entry(std::string_view message, const std::string& name, const BytePlace& place,
                               const Limits& limits);
TensorSlice parse_tensor_slice(ProtoReader reader, const Limits& limits);
Shape parse_tensor_shape(ProtoReader reader, const Limits& limits);
void check_bundle_versions(ProtoReader reader, const BytePlace& place);

// The key under which a slice of a tensor stands; keys of slices begin with a zero byte, those of tensors do not.
std::string slice_key(std::string_view tensor, const TensorSlice& slice);
// The slice as a box of the tensor. Throws Error "tensorflow-entry" if it is not inside of the shape.
Box slice_box(const TensorSlice& slice, const Shape& shape, const std::string& name, const BytePlace& place);

// A tensor's name as it can be shown and used as a key. Throws if it is not UTF-8, empty, or too long.
std::string tensor_name(std::string_view key, const BytePlace& place, const Limits& limits);

}  // namespace remap::formats
