// The leaves of a tree that flax stored as msgpack, as T5X and Orbax write it:
//
//   array        extension 1 (numpy scalar: 3): msgpack [shape, dtype name, bytes], row-major, little-endian
//   chunked      {"__msgpack_chunked_array__": true, "shape": {"0": n …}, "chunks": {"0": flat array, "1": …}}
//   zarr         {"driver": "zarr", "dtype": …, "kvstore": {"driver": …, "path": folder}, "metadata": {"shape": …}}
//                (before tensorstore 0.1.14 the path stood beside "kvstore")
//   placeholder  text "PLACEHOLDER://" folder
//   complex      extension 2: msgpack [real, imaginary]
//   anything else that is not a map: a plain value; nil and empty maps are not leaves
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "formats/msgpack_tree.h"
#include "remap/manifest.h"
#include "remap/metadata.h"

namespace remap::formats {

// The tensor's elements in row-major order: the runs one after another. A run holds whole elements.
struct InlineArray {
  DType dtype = DType::f32;
  std::optional<std::string> other_type = {};  // what the file calls its type, if that is none whose bytes are read
  Shape shape;
  std::vector<std::string_view> runs;
};

// An array kept in a folder beside the file. What the leaf does not say is absent.
struct ArrayFolder {
  std::string folder;  // relative, without a trailing '/'; does not lead out of the checkpoint
  std::optional<DType> dtype;
  std::optional<Shape> shape;
};

struct FlaxLeaf {
  std::string key;      // path joined with '/'
  uint64_t offset = 0;  // in the file
  std::variant<InlineArray, ArrayFolder, Json> value;
};

// Appends the leaves below `node`, whose own path is `prefix`. Where `wanted` is false of a leaf's key, the leaf is
// left out unread.
void collect_flax_leaves(const MsgpackNode& node, const std::string& prefix, char separator, const std::string& file,
                         const Limits& limits, const std::function<bool(const std::string& key)>& wanted,
                         std::vector<FlaxLeaf>& leaves);

// The value of an integer stored plainly or as a 0-d array; nullopt if `node` is neither.
std::optional<int64_t> flax_integer(const MsgpackNode& node, const std::string& file, const Limits& limits);

}  // namespace remap::formats
