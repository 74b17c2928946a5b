// JSON as checkpoints carry it: strict, a key twice in one object refused, nesting bounded. The order of keys is kept,
// and building is linear in the text (a weight_map may have 100,000 keys).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "remap/diagnostic.h"
#include "remap/metadata.h"
#include "remap/text.h"

namespace remap::formats {

// Where the text is from, for messages.
struct JsonOrigin {
  std::string file;
  std::string id = "json-syntax";             // class of the error thrown
  std::optional<uint64_t> offset_bytes = {};  // set: the text is part of a binary file, and errors give byte offsets
};

// Throws Error `origin.id` for anything but one JSON value.
Json parse_json(std::string_view text, const JsonOrigin& origin);

// The same with NaN, Infinity and -Infinity, as Python's json writes them, which is what config.json is written by.
Json parse_python_json(std::string_view text, const JsonOrigin& origin);

// As parse_json(), but the members of an object are given away one by one as they are read: of the whole only the keys
// are kept, to find one that occurs twice. Returns the value, an empty object in place of one. What `body` throws ends
// it.
Json parse_json_members(std::string_view text, const JsonOrigin& origin,
                        const std::function<void(const std::string& key, const Json& value)>& body);

// The place of byte `offset` of a text file: line, column, and the line's text.
TextPlace text_place(const std::string& file, std::string_view text, uint64_t offset, uint64_t length = 1);

}  // namespace remap::formats
