// The directory of a zip archive, over bytes that are in memory (a mapping); knows nothing of what is inside.
//
// Strict: the central directory and the local headers must tell the same story, members may not overlap each other or
// the directory, names may not occur twice or lead out of a folder. Gaps are fine (torch pads members to 64 bytes).
// Only stored and deflated members can be read; one that is otherwise packed is refused when it is asked for.
// Throws: Error, ids "zip-*" and "limit-exceeded".
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "remap/limits.h"

namespace remap::formats {

struct ZipMember {
  std::string_view name;  // views the archive
  uint16_t flags = 0;
  uint16_t method = 0;  // 0: stored, 8: deflated
  uint32_t crc = 0;     // of the unpacked bytes
  uint64_t packed_bytes = 0;
  uint64_t size_bytes = 0;     // unpacked
  uint64_t header_offset = 0;  // of the local header, in the archive
  uint64_t data_offset = 0;    // of the packed bytes, in the archive
  bool stored() const { return method == 0; }
};

class ZipArchive {
 public:
  // `bytes` must outlive the archive; `file` names it in messages.
  ZipArchive(std::span<const std::byte> bytes, std::string file, const Limits& limits);

  const std::vector<ZipMember>& members() const { return members_; }  // in the order of the directory
  const ZipMember* find(std::string_view name) const;                 // nullptr if there is none

  // The bytes of a stored member, in place.
  std::span<const std::byte> stored(const ZipMember& member) const {
    return bytes_.subspan(member.data_offset, member.packed_bytes);
  }
  // Throws "zip-method" unless the member is stored or deflated, "zip-bad-size" if it claims to unpack to more than
  // deflate can do.
  void check_readable(const ZipMember& member) const;
  // Unpacks a stored or deflated member, in pieces of at most 16 MiB unless it is stored; never more than size_bytes.
  // Checks size and CRC, at the latest at the end.
  void unpack(const ZipMember& member, const std::function<void(std::span<const std::byte>)>& sink) const;
  // The first bytes of a stored or deflated member, at most `most`. Checks neither its size nor its CRC.
  std::vector<std::byte> first_bytes(const ZipMember& member, size_t most) const;
  // Throws "zip-bad-crc" if the bytes of a stored member are not what was stored.
  void check_crc(const ZipMember& member) const;

  static bool has_signature(std::span<const std::byte> bytes);  // starts like a zip archive
  // The name in the first local header, which a damaged archive may still have; "" if it has not.
  static std::string_view first_name(std::span<const std::byte> bytes);

 private:
  std::span<const std::byte> bytes_;
  std::string file_;
  std::vector<ZipMember> members_;
  std::unordered_map<std::string_view, size_t> by_name_;
};

}  // namespace remap::formats
