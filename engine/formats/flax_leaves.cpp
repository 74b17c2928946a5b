#include "formats/flax_leaves.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "base/text.h"
#include "formats/json_text.h"
#include "formats/limit.h"
#include "formats/pickle_text.h"

namespace remap::formats {
namespace {

using Kind = MsgpackNode::Kind;

constexpr int8_t kArrayExtension = 1, kComplexExtension = 2, kScalarExtension = 3;
constexpr std::string_view kPlaceholder = "PLACEHOLDER://";
constexpr std::string_view kChunkedMark = "__msgpack_chunked_array__";

class LeafReader {
 public:
  LeafReader(const std::string& file, const Limits& limits) : file_(file), limits_(limits) {}

  // A leaf's value; nullopt if `node` is a subtree, nil or an empty map.
  std::optional<decltype(FlaxLeaf::value)> read(const MsgpackNode& node) const {
    switch (node.kind) {
      case Kind::nil: return std::nullopt;
      case Kind::extension:
        if (node.extension_type == kComplexExtension) return complex_value(node);
        return inline_array(node);
      case Kind::map:
        if (node.find(kChunkedMark) != nullptr) return chunked_array(node);
        if (node.find("driver") && node.find("kvstore") && node.find("metadata")) return zarr_spec(node);
        return std::nullopt;
      case Kind::text:
        if (node.data.starts_with(kPlaceholder))
          return ArrayFolder{folder_name(node, node.data.substr(kPlaceholder.size())), {}, {}};
        return plain_value(node);
      default: return plain_value(node);
    }
  }

  InlineArray inline_array(const MsgpackNode& node) const {
    if (node.extension_type != kArrayExtension && node.extension_type != kScalarExtension)
      fail(node,
           fmt::format("extension type {}; 1 (array), 2 (complex) and 3 (scalar) are known", node.extension_type));
    const MsgpackNode parts = parse_msgpack(node.data, file_, node.data_offset, limits_);
    if (!parts.is(Kind::array) || parts.items.size() != 3)
      fail(node, "an array's payload is not [shape, dtype, bytes]");
    InlineArray array;
    array.shape = shape_of(parts.items[0]);
    read_type(parts.items[1], array);
    if (!parts.items[2].is(Kind::binary))
      fail(node, fmt::format("an array's elements are {}; binary was expected", kind_name(parts.items[2].kind)));
    const std::string_view bytes = parts.items[2].data;
    const auto expected = bytes_needed(node, array);
    if (!array.other_type && bytes.size() != expected)
      fail(node, fmt::format("an array of {} {} needs {} bytes and has {}", long_name(array.dtype),
                             to_string(array.shape), expected, bytes.size()));
    array.runs = {bytes};
    return array;
  }

 private:
  [[noreturn]] void fail(const MsgpackNode& node, const std::string& message) const {
    throw Error("t5x-msgpack", BytePlace{file_, {}, node.offset}, message);
  }

  uint64_t bytes_needed(const MsgpackNode& node, const InlineArray& array) const {
    try {
      return static_cast<uint64_t>(data_bytes(array.dtype, array.shape, "the array"));
    } catch (const Error& error) {  // says what is wrong, but not where
      fail(node, error.diagnostic().message);
    }
  }

  void check_rank(const MsgpackNode& node, size_t rank) const {
    check_limit(rank, static_cast<uint64_t>(limits_.max_rank), "max_rank", BytePlace{file_, {}, node.offset},
                "dimensions of an array");
  }

  Shape shape_of(const MsgpackNode& node) const {
    if (!node.is(Kind::array)) fail(node, fmt::format("a shape is {}; an array was expected", kind_name(node.kind)));
    check_rank(node, node.items.size());
    Shape shape;
    for (const auto& dim : node.items) {
      if (!dim.is(Kind::integer) || dim.integer < 0) fail(node, "a shape holds something other than sizes");
      shape.push_back(dim.integer);
    }
    return shape;
  }

  // nullopt: not one whose bytes are read.
  std::optional<DType> dtype_of(const MsgpackNode& node) const {
    if (!node.is(Kind::text) && !node.is(Kind::binary))
      fail(node, fmt::format("a dtype is {}; a name was expected", kind_name(node.kind)));
    const auto dtype = parse_dtype(node.data);
    return dtype && !is_sub_byte(*dtype) ? dtype : std::nullopt;
  }
  void read_type(const MsgpackNode& node, InlineArray& array) const {
    if (const auto dtype = dtype_of(node))
      array.dtype = *dtype;
    else
      array.other_type = one_word(node.data);
  }
  static std::string type_name(const InlineArray& array) {
    return array.other_type.value_or(std::string(long_name(array.dtype)));
  }

  // {"0": a, "1": b …} in numeric order; the file has "10" before "2".
  std::vector<const MsgpackNode*> numbered(const MsgpackNode& map, std::string_view what) const {
    std::vector<const MsgpackNode*> items(map.items.size(), nullptr);
    if (!map.is(Kind::map))
      fail(map, fmt::format("a chunked array's {} are {}; a map was expected", what, kind_name(map.kind)));
    for (size_t i = 0; i < map.keys.size(); ++i) {
      const std::string_view key = map.keys[i];
      size_t number = 0;
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
      if (error != std::errc() || end != key.data() + key.size() || number >= items.size() || items[number] != nullptr)
        fail(map, fmt::format("a chunked array's {} are not numbered 0 to {}: '{}'", what, items.size() - 1, key));
      items[number] = &map.items[i];
    }
    return items;
  }

  InlineArray chunked_array(const MsgpackNode& node) const {
    const MsgpackNode* shape = node.find("shape");
    const MsgpackNode* chunks = node.find("chunks");
    if (shape == nullptr || chunks == nullptr) fail(node, "a chunked array without 'shape' or 'chunks'");
    InlineArray array;
    check_rank(node, shape->items.size());
    for (const MsgpackNode* dim : numbered(*shape, "dimensions")) {
      if (!dim->is(Kind::integer) || dim->integer < 0)
        fail(*shape, "a chunked array's shape holds something other than sizes");
      array.shape.push_back(dim->integer);
    }
    const auto parts = numbered(*chunks, "chunks");
    if (parts.empty()) fail(*chunks, "a chunked array without chunks");
    uint64_t found = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (!parts[i]->is(Kind::extension))
        fail(*parts[i], fmt::format("chunk {} is {}; an array was expected", i, kind_name(parts[i]->kind)));
      const InlineArray chunk = inline_array(*parts[i]);
      if (i == 0) array.dtype = chunk.dtype, array.other_type = chunk.other_type;
      if (chunk.dtype != array.dtype || chunk.other_type != array.other_type)
        fail(*parts[i], fmt::format("chunk {} is {}, chunk 0 is {}", i, type_name(chunk), type_name(array)));
      array.runs.push_back(chunk.runs.front());
      found += chunk.runs.front().size();  // bytes of this file, so the sum cannot wrap
    }
    const auto expected = bytes_needed(node, array);
    if (!array.other_type && found != expected)
      fail(node, fmt::format("a chunked array of {} {} needs {} bytes, its {} chunks have {}", long_name(array.dtype),
                             to_string(array.shape), expected, parts.size(), found));
    return array;
  }

  ArrayFolder zarr_spec(const MsgpackNode& node) const {
    const std::string_view driver = text_of(node, "driver");
    if (driver != "zarr")
      throw Error("t5x-unsupported", BytePlace{file_, {}, node.offset},
                  fmt::format("an array is stored with the tensorstore driver '{}'; 'zarr' is read", driver));
    const MsgpackNode& kvstore = *node.find("kvstore");
    if (!kvstore.is(Kind::map))
      fail(kvstore, fmt::format("'kvstore' is {}; a map was expected", kind_name(kvstore.kind)));
    const std::string_view store = text_of(kvstore, "driver");
    // The bucket of a gcs store is a dummy that T5X writes; the path is relative to the checkpoint in all three.
    if (store != "file" && store != "gfile" && store != "gcs")
      throw Error("t5x-unsupported", BytePlace{file_, {}, node.offset},
                  fmt::format("an array is kept in a store of kind '{}'; 'file', 'gfile' and 'gcs' are read", store));
    const MsgpackNode* path = kvstore.find("path");
    if (path == nullptr) path = node.find("path");
    if (path == nullptr || !path->is(Kind::text)) fail(node, "an array's spec has no 'path'");
    ArrayFolder array{folder_name(*path, path->data), {}, {}};
    if (const MsgpackNode* dtype = node.find("dtype")) {
      array.dtype = dtype_of(*dtype);
      if (!array.dtype) fail(*dtype, fmt::format("the dtype '{}' is not known", one_word(dtype->data)));
    }
    if (const MsgpackNode* shape = node.find("metadata")->find("shape")) array.shape = shape_of(*shape);
    return array;
  }

  std::string_view text_of(const MsgpackNode& map, std::string_view key) const {
    const MsgpackNode* value = map.find(key);
    if (value == nullptr || !value->is(Kind::text) || !is_utf8(value->data))
      fail(map, fmt::format("'{}' of an array's spec is not a string", key));
    return value->data;
  }

  // The folder's name without trailing '/'. Nothing may lead out of the checkpoint.
  std::string folder_name(const MsgpackNode& node, std::string_view path) const {
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    bool inside = !path.empty() && is_utf8(path) && path.find('\0') == std::string_view::npos;
    for (size_t begin = 0; inside && begin <= path.size();) {
      const size_t end = std::min(path.find('/', begin), path.size());
      const std::string_view part = path.substr(begin, end - begin);
      inside = !part.empty() && part != "." && part != "..";
      begin = end + 1;
    }
    if (!inside)
      throw Error("t5x-path", BytePlace{file_, {}, node.offset},
                  fmt::format("an array is said to be at '{}'; only folders inside the checkpoint are read",
                              is_utf8(path) ? path : "(not UTF-8)"));
    return std::string(path);
  }

  Json complex_value(const MsgpackNode& node) const {
    const MsgpackNode parts = parse_msgpack(node.data, file_, node.data_offset, limits_);
    const auto is_number = [](const MsgpackNode& part) { return part.is(Kind::real) || part.is(Kind::integer); };
    if (!parts.is(Kind::array) || parts.items.size() != 2 ||
        !std::all_of(parts.items.begin(), parts.items.end(), is_number))
      fail(node, "a complex number is not [real, imaginary]");
    return plain_value(parts);
  }

  Json plain_value(const MsgpackNode& node) const {
    switch (node.kind) {
      case Kind::nil: return nullptr;
      case Kind::boolean: return node.integer != 0;
      case Kind::integer: return node.is_unsigned ? Json(static_cast<uint64_t>(node.integer)) : Json(node.integer);
      case Kind::real: return node.real;
      case Kind::text:
        if (!is_utf8(node.data)) fail(node, "a string is not UTF-8");
        return std::string(node.data);
      case Kind::array: {
        Json list = Json::array();
        for (const auto& item : node.items) list.push_back(plain_value(item));
        return list;
      }
      default: fail(node, fmt::format("{} where an array or a plain value was expected", kind_name(node.kind)));
    }
  }

  const std::string& file_;
  const Limits& limits_;
};

}  // namespace

void collect_flax_leaves(const MsgpackNode& node, const std::string& prefix, char separator, const std::string& file,
                         const Limits& limits, const std::function<bool(const std::string& key)>& wanted,
                         std::vector<FlaxLeaf>& leaves) {
  const LeafReader reader(file, limits);
  // Depth is bounded by the msgpack parser.
  const std::function<void(const MsgpackNode&, const std::string&)> walk = [&](const MsgpackNode& at,
                                                                               const std::string& key) {
    const bool subtree =
        at.is(Kind::map) && !at.find(kChunkedMark) && !(at.find("driver") && at.find("kvstore") && at.find("metadata"));
    if (subtree) {
      for (size_t i = 0; i < at.keys.size(); ++i)
        walk(at.items[i], key.empty() ? std::string(at.keys[i]) : fmt::format("{}{}{}", key, separator, at.keys[i]));
      return;
    }
    if (!wanted(key)) return;
    check_limit(key.size(), limits.max_key_bytes, "max_key_bytes", BytePlace{file, {}, at.offset},
                "bytes of a leaf's path");
    try {
      if (auto value = reader.read(at)) leaves.push_back({key, at.offset, std::move(*value)});
    } catch (const Error& error) {
      Diagnostic named = error.diagnostic();
      named.message = fmt::format("'{}': {}", key, named.message);
      throw Error(std::move(named));
    }
  };
  walk(node, prefix);
}

std::optional<int64_t> flax_integer(const MsgpackNode& node, const std::string& file, const Limits& limits) {
  if (node.is(Kind::integer)) return node.is_unsigned ? std::nullopt : std::optional(node.integer);
  if (!node.is(Kind::extension)) return std::nullopt;
  const InlineArray array = LeafReader(file, limits).inline_array(node);
  if (array.other_type || element_count(array.shape) != 1) return std::nullopt;
  const std::byte* bytes = reinterpret_cast<const std::byte*>(array.runs.front().data());
  if (array.dtype == DType::i32) {
    int32_t value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
  }
  if (array.dtype == DType::i64) {
    int64_t value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
  }
  return std::nullopt;
}

}  // namespace remap::formats
