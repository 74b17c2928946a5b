// A msgpack value as a tree that points into its bytes: text, binary and extension payloads are not copied.
// Nesting and the number of nodes are bounded; a map's keys are texts, and no key occurs twice.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/limits.h"

namespace remap::formats {

struct MsgpackNode {
  enum class Kind : uint8_t { nil, boolean, integer, real, text, binary, extension, array, map };

  Kind kind = Kind::nil;
  int8_t extension_type = 0;
  uint64_t offset = 0;       // of the value in the file; inside an array of numbers, that of the array
  int64_t integer = 0;       // booleans: 0 or 1
  bool is_unsigned = false;  // an integer above 2^63-1, whose bits `integer` has
  double real = 0;
  std::string_view data;               // text, binary, or an extension's payload
  uint64_t data_offset = 0;            // of `data` in the file
  std::vector<std::string_view> keys;  // of a map, in file order
  std::vector<MsgpackNode> items;      // of an array, or a map's values

  const MsgpackNode* find(std::string_view key) const;  // null if this is not a map or has no such key
  bool is(Kind k) const { return kind == k; }
};

// Throws Error "t5x-msgpack" or "limit-exceeded" with the byte offset. `base` is the offset of bytes[0] in `file`.
MsgpackNode parse_msgpack(std::string_view bytes, const std::string& file, uint64_t base, const Limits& limits);

std::string_view kind_name(MsgpackNode::Kind kind);  // "a map"

}  // namespace remap::formats
