#include "formats/tensorflow_entries.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "formats/limit.h"
#include "remap/text.h"

namespace remap::formats {
namespace {

constexpr std::string_view kQuantized = "a quantized tensor, whose scale is elsewhere",
                           kPadded = "elements of 4 bits, each in a byte of its own",
                           kResource = "a handle, not numbers", kVariant = "an object of TensorFlow's, not numbers",
                           kStrings = "strings, not numbers";

constexpr std::array<TensorflowType, 27> kTensorflowTypes = {{
    {1, "float32", DType::f32, 4, {}},
    {2, "float64", DType::f64, 8, {}},
    {3, "int32", DType::i32, 4, {}},
    {4, "uint8", DType::u8, 1, {}},
    {5, "int16", DType::i16, 2, {}},
    {6, "int8", DType::i8, 1, {}},
    {7, "string", {}, 0, kStrings},
    {8, "complex64", DType::c64, 8, {}},
    {9, "int64", DType::i64, 8, {}},
    {10, "bool", DType::boolean, 1, {}},
    {11, "qint8", {}, 1, kQuantized},
    {12, "quint8", {}, 1, kQuantized},
    {13, "qint32", {}, 4, kQuantized},
    {14, "bfloat16", DType::bf16, 2, {}},
    {15, "qint16", {}, 2, kQuantized},
    {16, "quint16", {}, 2, kQuantized},
    {17, "uint16", DType::u16, 2, {}},
    {18, "complex128", DType::c128, 16, {}},
    {19, "float16", DType::f16, 2, {}},
    {20, "resource", {}, 0, kResource},
    {21, "variant", {}, 0, kVariant},
    {22, "uint32", DType::u32, 4, {}},
    {23, "uint64", DType::u64, 8, {}},
    {24, "float8_e5m2", DType::f8_e5m2, 1, {}},
    {25, "float8_e4m3fn", DType::f8_e4m3, 1, {}},
    {29, "int4", {}, 1, kPadded},
    {30, "uint4", {}, 1, kPadded},
}};

[[noreturn]] void fail_entry(const BytePlace& place, const std::string& message) {
  throw Error(kTensorflowEntry, place, message, "the file is damaged or was not copied completely; fetch it again");
}

// n in as few big-endian bytes as hold it, after their number.
void append_count(std::string& out, uint64_t n) {
  std::string bytes;
  for (; n > 0; n >>= 8) bytes.insert(bytes.begin(), static_cast<char>(n & 0xff));
  out += static_cast<char>(bytes.size());
  out += bytes;
}

// Signed, so that the order of the bytes is that of the numbers: the top bits say how many bytes there are.
void append_signed(std::string& out, int64_t value) {
  int n_bytes = 1;
  const auto fits = [&] {
    if (n_bytes >= 10) return true;
    const int bits = 7 * n_bytes - 1;
    return value >= -(int64_t{1} << bits) && value < (int64_t{1} << bits);
  };
  while (!fits()) ++n_bytes;
  std::string bytes(static_cast<size_t>(n_bytes), '\0');
  for (int i = 0; i < n_bytes; ++i) {
    const int shift = 8 * (n_bytes - 1 - i);
    bytes[static_cast<size_t>(i)] = static_cast<char>(shift >= 64 ? value >> 63 : value >> shift);
  }
  // For a value that is not negative the top n bits become one and stand out by the zero behind them; for a negative
  // one it is the other way round.
  for (int bit = 0; bit < n_bytes; ++bit)
    bytes[static_cast<size_t>(bit / 8)] = static_cast<char>(bytes[static_cast<size_t>(bit / 8)] ^ (0x80 >> bit % 8));
  out += bytes;
}

}  // namespace

const TensorflowType* find_tensorflow_type(int64_t number) {
  const auto it = std::find_if(kTensorflowTypes.begin(), kTensorflowTypes.end(),
                               [&](const auto& type) { return type.number == number; });
  return it == kTensorflowTypes.end() ? nullptr : &*it;
}

Shape parse_tensor_shape(ProtoReader reader, const Limits& limits) {
  Shape shape;
  for (ProtoField field; reader.next(field);) {
    if (field.number == 3 && field.value != 0) reader.fail("the shape is of unknown rank");
    if (field.number != 2) continue;
    if (shape.size() >= static_cast<size_t>(limits.max_rank))
      reader.fail(fmt::format("the shape has more than {} dimensions (max_rank)", limits.max_rank));
    int64_t size = 0;
    ProtoReader dim = reader.inside(field, "a dimension");
    for (ProtoField part; dim.next(part);) {
      if (part.number != 1) continue;
      dim.require(part, 0);
      size = part.integer();
    }
    if (size < 0) reader.fail(fmt::format("the dimension {} is negative", size));
    shape.push_back(size);
  }
  return shape;
}

TensorSlice parse_tensor_slice(ProtoReader reader, const Limits& limits) {
  TensorSlice slice;
  for (ProtoField field; reader.next(field);) {
    if (field.number != 1) continue;
    if (slice.size() >= static_cast<size_t>(limits.max_rank)) reader.fail("a slice has too many dimensions (max_rank)");
    SliceExtent extent;
    ProtoReader in = reader.inside(field, "an extent");
    for (ProtoField part; in.next(part);) {
      if (part.number != 1 && part.number != 2) continue;
      in.require(part, 0);
      if (part.number == 1)
        extent.start = part.integer();
      else
        extent.length = part.integer();
    }
    slice.push_back(extent);
  }
  return slice;
}

void check_bundle_versions(ProtoReader reader, const BytePlace& place) {
  constexpr int64_t kThisReader = 1;
  const auto refuse = [&](const std::string& what) {
    throw Error("tensorflow-unsupported", place, what, "save the checkpoint again with a current TensorFlow");
  };
  for (ProtoField field; reader.next(field);) {
    if (field.number == 2 && field.wire == 0 && field.integer() > kThisReader)
      refuse(fmt::format("the checkpoint is for readers of version {} and later; version {} is read", field.integer(),
                         kThisReader));
    if (field.number != 3) continue;
    std::string_view packed = field.bytes;
    while (field.wire == 2 && !packed.empty()) {
      const auto value = take_varint(packed);
      if (!value) reader.fail("the list of bad consumers is damaged");
      if (*value == kThisReader) refuse("the checkpoint names version 1 of its format as unable to read it");
    }
    if (field.wire == 0 && field.integer() == kThisReader)
      refuse("the checkpoint names version 1 of its format as unable to read it");
  }
}

BundleHeader parse_bundle_header(std::string_view message, const BytePlace& place) {
  BundleHeader header;
  ProtoReader reader(message, "the header", kTensorflowEntry, place);
  for (ProtoField field; reader.next(field);) {
    if (field.number == 1 || field.number == 2) reader.require(field, 0);
    if (field.number == 1) header.num_shards = field.integer();
    if (field.number == 2 && field.value != 0)
      throw Error("tensorflow-unsupported", place, "the checkpoint was written big-endian, which is not read",
                  "load it on a machine of its own kind, and save it on one of this kind");
    if (field.number == 3) check_bundle_versions(reader.inside(field, "the header's versions"), place);
  }
  if (header.num_shards < 1) fail_entry(place, fmt::format("the header counts {} data files", header.num_shards));
  return header;
}

BundleEntry parse_bundle_entry(std::string_view message, const std::string& name, const BytePlace& place,
                               const Limits& limits) {
  const std::string what = fmt::format("the entry of '{}'", name);
  BundleEntry entry;
  int64_t type = 0;
  ProtoReader reader(message, what, kTensorflowEntry, place);
  for (ProtoField field; reader.next(field);) {
    switch (field.number) {
      case 1: reader.require(field, 0), type = field.integer(); break;
      case 2: entry.shape = parse_tensor_shape(reader.inside(field, what), limits); break;
      case 3: reader.require(field, 0), entry.shard = field.integer(); break;
      case 4: reader.require(field, 0), entry.offset = field.integer(); break;
      case 5: reader.require(field, 0), entry.size = field.integer(); break;
      case 6: reader.require(field, 5), entry.crc = static_cast<uint32_t>(field.value); break;
      case 7: entry.slices.push_back(parse_tensor_slice(reader.inside(field, what), limits)); break;
      default: break;
    }
  }
  entry.type = find_tensorflow_type(type);
  if (entry.type == nullptr) reader.fail(fmt::format("{} is not a known type", type));
  element_count(entry.shape, fmt::format("the tensor '{}' of {}", name, place.file));
  return entry;
}

std::string slice_key(std::string_view tensor, const TensorSlice& slice) {
  std::string key(1, '\0');
  for (const char c : tensor) {
    key += c;
    if (c == '\0') key += '\xff';
    if (c == '\xff') key += '\0';
  }
  key += '\0';
  key += '\1';
  append_count(key, slice.size());
  for (const SliceExtent& extent : slice) {
    append_signed(key, extent.length ? extent.start : 0);
    append_signed(key, extent.length.value_or(-1));
  }
  return key;
}

Box slice_box(const TensorSlice& slice, const Shape& shape, const std::string& name, const BytePlace& place) {
  if (slice.size() != shape.size())
    fail_entry(place,
               fmt::format("a slice of '{}' has {} dimensions, and the tensor {}", name, slice.size(), shape.size()));
  Box box{Shape(shape.size(), 0), shape};
  for (size_t d = 0; d < shape.size(); ++d) {
    if (!slice[d].length) continue;
    const int64_t start = slice[d].start, length = *slice[d].length;
    if (start < 0 || length < 0 || start > shape[d] || length > shape[d] - start)
      fail_entry(place, fmt::format("a slice of '{}' begins at {} and has {} along axis {}: outside of the shape {}",
                                    name, start, length, d, to_string(shape)));
    box.origin[d] = start;
    box.extent[d] = length;
  }
  return box;
}

std::string tensor_name(std::string_view key, const BytePlace& place, const Limits& limits) {
  check_limit(key.size(), limits.max_key_bytes, "max_key_bytes", place, "bytes of a tensor's name");
  if (!is_utf8(key)) fail_entry(place, fmt::format("the name of a tensor is not UTF-8: '{}'", printable(key)));
  return std::string(key);
}

}  // namespace remap::formats
