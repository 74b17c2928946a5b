// The pieces of an OCDBT database's manifest and nodes: envelopes, numbers, tables of data files, columns. Private to
// ocdbt.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/limits.h"

namespace remap::formats {

inline constexpr uint32_t kOcdbtManifestMagic = 0x0cdb3a2a, kOcdbtNodeMagic = 0x0cdb20de;
inline constexpr size_t kOcdbtMostPath = 65535;  // bytes of a path, and of a key

// Values one after another from the front of some bytes. Throws Error "ocdbt-damaged" at the place of the whole.
class OcdbtReader {
 public:
  OcdbtReader(std::string_view bytes, const BytePlace& place) : rest_(bytes), place_(place) {}

  uint64_t varint(std::string_view what, int max_bits = 64);
  uint8_t u8(std::string_view what) { return static_cast<uint8_t>(take(1, what)[0]); }
  uint64_t u64(std::string_view what);
  std::string_view take(uint64_t n_bytes, std::string_view what);
  // A number of things, of which each takes at least one byte.
  size_t count(std::string_view what, int max_bits = 64);
  std::vector<uint64_t> column(size_t n, std::string_view what, int max_bits = 64);
  std::vector<uint8_t> bytes_column(size_t n, std::string_view what);
  void require_end(std::string_view what) const;
  const BytePlace& place() const { return place_; }
  [[noreturn]] void fail(const std::string& message) const;

 private:
  std::string_view rest_;
  const BytePlace& place_;
};

// What is inside of an envelope, its checksum verified; unpacked into `buffer` if it is packed.
std::string_view open_envelope(std::string_view bytes, uint32_t magic, const BytePlace& place, const Limits& limits,
                               std::string& buffer);

// A data file as a table names it: below the path that led to the table, and below `base`, which leads on.
struct OcdbtFileName {
  std::string path, base;
};
std::vector<OcdbtFileName> read_file_table(OcdbtReader& in);

}  // namespace remap::formats
