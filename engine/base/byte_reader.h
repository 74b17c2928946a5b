// Reads little-endian values from a byte range; every read says what it reads, so every failure says where and what.
// Does not own the bytes.
#pragma once

#include <bit>
#include <concepts>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "remap/diagnostic.h"

namespace remap {

static_assert(std::endian::native == std::endian::little, "remap maps little-endian files in place");

class ByteReader {
 public:
  // `base` is the offset of the first byte in the file (or member), so that messages give places in it. `id` is the
  // class of the error thrown when bytes are missing.
  ByteReader(std::span<const std::byte> bytes, std::string file, std::string member, std::string id, uint64_t base = 0)
      : bytes_(bytes), file_(std::move(file)), member_(std::move(member)), id_(std::move(id)), base_(base) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }
  void seek(uint64_t position, std::string_view what) {
    if (position > bytes_.size())
      fail(fmt::format("{} is at byte {}, past the end ({} bytes)", what, base_ + position, base_ + bytes_.size()));
    position_ = position;
  }
  template <std::integral T>
  T integer(std::string_view what) {
    const auto raw = take(sizeof(T), what);
    T value;
    std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }
  uint8_t u8(std::string_view what) { return integer<uint8_t>(what); }
  uint16_t u16(std::string_view what) { return integer<uint16_t>(what); }
  uint32_t u32(std::string_view what) { return integer<uint32_t>(what); }
  uint64_t u64(std::string_view what) { return integer<uint64_t>(what); }
  std::span<const std::byte> take(uint64_t length, std::string_view what) {
    if (length > remaining())
      fail(fmt::format("unable to read {}: {} bytes needed, {} left", what, length, remaining()));
    const auto range = bytes_.subspan(position_, length);
    position_ += length;
    return range;
  }
  std::string_view text(uint64_t length, std::string_view what) {
    const auto raw = take(length, what);
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
  }
  BytePlace place() const { return {file_, member_, base_ + position_}; }
  [[noreturn]] void fail(const std::string& message, const std::string& hint = {}) const {
    throw Error(id_, place(), message, hint);
  }

 private:
  std::span<const std::byte> bytes_;
  std::string file_, member_, id_;
  uint64_t base_;
  uint64_t position_ = 0;
};

}  // namespace remap
