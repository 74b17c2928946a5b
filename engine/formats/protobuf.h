// Reads messages of protocol buffers, field by field, and the numbers they are made of. Private to formats.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "remap/diagnostic.h"

namespace remap::formats {

// Takes a number of 7 bits a byte, lowest first, from the front of `in`; nullopt if it does not end, or has more bits
// than `max_bits` (64, 32 …): `in` is then as it was.
std::optional<uint64_t> take_varint(std::string_view& in, int max_bits = 64);

struct ProtoField {
  uint64_t number = 0;
  int wire = 0;            // 0: a varint, 1: 8 bytes, 2: bytes, 5: 4 bytes
  uint64_t value = 0;      // of wire 0, 1, 5
  std::string_view bytes;  // of wire 2

  int64_t integer() const { return static_cast<int64_t>(value); }  // int32 and int64: two's complement
};

// A message's fields, one after another. Throws Error `id` at `place` for what is not a message; `what` names it.
class ProtoReader {
 public:
  ProtoReader(std::string_view message, std::string what, std::string id, BytePlace place)
      : rest_(message), what_(std::move(what)), id_(std::move(id)), place_(std::move(place)) {}
  // A message inside this one.
  ProtoReader inside(const ProtoField& field, const std::string& what) const;

  // False at the end.
  bool next(ProtoField& field);
  [[noreturn]] void fail(const std::string& message) const;
  // Throws if the field is not of this wire type.
  void require(const ProtoField& field, int wire) const;

 private:
  std::string_view rest_;
  std::string what_, id_;
  BytePlace place_;
};

}  // namespace remap::formats
