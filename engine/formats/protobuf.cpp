#include "formats/protobuf.h"

#include <cstring>

#include <fmt/format.h>

namespace remap::formats {

std::optional<uint64_t> take_varint(std::string_view& in, int max_bits) {
  uint64_t value = 0;
  for (size_t i = 0; i < in.size() && 7 * static_cast<int>(i) < max_bits; ++i) {
    const int shift = 7 * static_cast<int>(i);
    const auto byte = static_cast<unsigned char>(in[i]);
    const uint64_t bits = byte & 0x7f;
    if (max_bits - shift < 7 && (bits >> (max_bits - shift)) != 0) return std::nullopt;
    value |= bits << shift;
    if ((byte & 0x80) == 0) {
      in.remove_prefix(i + 1);
      return value;
    }
  }
  return std::nullopt;
}

ProtoReader ProtoReader::inside(const ProtoField& field, const std::string& what) const {
  require(field, 2);
  return {field.bytes, what, id_, place_};
}

bool ProtoReader::next(ProtoField& field) {
  if (rest_.empty()) return false;
  const auto tag = take_varint(rest_);
  if (!tag) fail("a field's tag is damaged");
  field = {*tag >> 3, static_cast<int>(*tag & 7), 0, {}};
  if (field.number == 0) fail("a field has the number 0");
  if (field.wire == 0) {
    const auto value = take_varint(rest_);
    if (!value) fail(fmt::format("field {} is a number that does not end", field.number));
    field.value = *value;
  } else if (field.wire == 2) {
    const auto length = take_varint(rest_);
    if (!length || *length > rest_.size()) fail(fmt::format("field {} runs past the end", field.number));
    field.bytes = rest_.substr(0, *length);
    rest_.remove_prefix(*length);
  } else if (field.wire == 1 || field.wire == 5) {
    const size_t length = field.wire == 1 ? 8 : 4;
    if (length > rest_.size()) fail(fmt::format("field {} runs past the end", field.number));
    std::memcpy(&field.value, rest_.data(), length);  // little-endian, as the machine is
    rest_.remove_prefix(length);
  } else {
    fail(fmt::format("field {} is of wire type {}", field.number, field.wire));
  }
  return true;
}

void ProtoReader::fail(const std::string& message) const {
  throw Error(id_, place_, fmt::format("{}: {}", what_, message),
              "the file is damaged or was not copied completely; fetch it again");
}

void ProtoReader::require(const ProtoField& field, int wire) const {
  if (field.wire != wire) fail(fmt::format("field {} is of wire type {}, not {}", field.number, field.wire, wire));
}

}  // namespace remap::formats
