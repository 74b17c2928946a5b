#include "formats/snappy.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "formats/protobuf.h"

namespace remap::formats {
namespace {

constexpr uint64_t kMostFromThreeBytes = 64;  // a copy with an offset of two bytes

// Little-endian, from the front of `in`; nullopt if there are not as many bytes.
std::optional<size_t> take_number(std::string_view& in, size_t n_bytes) {
  if (in.size() < n_bytes) return std::nullopt;
  size_t value = 0;
  for (size_t i = 0; i < n_bytes; ++i) value |= static_cast<size_t>(static_cast<unsigned char>(in[i])) << (8 * i);
  in.remove_prefix(n_bytes);
  return value;
}

}  // namespace

std::string unpack_snappy(std::span<const std::byte> bytes, uint64_t max_bytes, std::vector<std::byte>& out) {
  std::string_view in(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto length = take_varint(in, 32);
  if (!length) return "the length is damaged";
  if (*length > max_bytes) return fmt::format("{} bytes are claimed; at most {} are unpacked", *length, max_bytes);
  if (*length > (in.size() / 3 + 1) * kMostFromThreeBytes)
    return fmt::format("{} bytes are claimed, which {} bytes cannot hold", *length, in.size());
  out.clear();
  out.reserve(*length);
  while (!in.empty()) {
    const auto tag = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    size_t count = (tag >> 2) + size_t{1};
    if ((tag & 3) == 0) {  // bytes as they are
      if (count > 60) {
        const auto more = take_number(in, count - 60);
        if (!more) return "a literal's length is cut off";
        count = *more + 1;
      }
      if (count > in.size()) return "a literal runs past the end";
      if (count > *length - out.size()) return "more bytes than claimed";
      const auto* from = reinterpret_cast<const std::byte*>(in.data());
      out.insert(out.end(), from, from + count);
      in.remove_prefix(count);
      continue;
    }
    std::optional<size_t> offset = take_number(in, (tag & 3) == 1 ? 1 : (tag & 3) == 2 ? 2 : 4);
    if (!offset) return "a copy's offset is cut off";
    if ((tag & 3) == 1) {
      count = ((tag >> 2) & 7) + size_t{4};
      *offset |= static_cast<size_t>(tag >> 5) << 8;
    }
    if (*offset == 0 || *offset > out.size()) return "a copy from before the start";
    if (count > *length - out.size()) return "more bytes than claimed";
    for (size_t i = 0; i < count; ++i) out.push_back(out[out.size() - *offset]);  // may repeat what it writes
  }
  return out.size() == *length ? "" : fmt::format("{} bytes, {} claimed", out.size(), *length);
}

}  // namespace remap::formats
