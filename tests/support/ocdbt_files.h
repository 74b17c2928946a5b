// Builds OCDBT databases, well-formed or not, for tests: envelopes with right checksums, manifests, nodes.
#pragma once

#include <zstd.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/crc32c.h"

namespace remap::test::ocdbt {

inline std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
inline std::string u64(uint64_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }
inline std::string u32(uint32_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }
inline std::string varints(const std::vector<uint64_t>& values) {
  std::string out;
  for (const uint64_t value : values) out += varint(value);
  return out;
}

inline const std::string kManifest = "\x0c\xdb\x3a\x2a", kNode = "\x0c\xdb\x20\xde";

struct Envelope {
  std::string magic = kManifest;
  uint64_t version = 0, method = 0;
  int64_t length_off = 0;  // what its length is wrong by
};
// `body` is packed if the envelope says so (method 1).
inline std::string sealed(const std::string& body, const Envelope& form = {}) {
  std::string inside = varint(form.version) + varint(form.method);
  if (form.method == 1) {
    std::string packed(ZSTD_compressBound(body.size()), '\0');
    packed.resize(ZSTD_compress(packed.data(), packed.size(), body.data(), body.size(), 1));
    inside += packed;
  } else {
    inside += body;
  }
  const uint64_t length = 12 + inside.size() + 4 + static_cast<uint64_t>(form.length_off);
  const std::string all = form.magic + u64(length) + inside;
  return all + u32(crc32c(std::as_bytes(std::span(all))));
}

struct FileName {
  std::string path;
  size_t base = 0;
};
inline std::string file_table(const std::vector<FileName>& files) {
  std::string prefixes, suffixes, bases, bytes;
  for (size_t i = 0; i < files.size(); ++i) {
    if (i > 0) prefixes += varint(0);
    suffixes += varint(files[i].path.size());
    bases += varint(files[i].base);
    bytes += files[i].path;
  }
  return varint(files.size()) + prefixes + suffixes + bases + bytes;
}

inline std::string configuration(int kind = 0, int arity = 4) {
  return std::string(16, 'u') + static_cast<char>(kind) + varint(100) + varint(8 << 20) + static_cast<char>(arity) +
         varint(0);
}

struct Place {
  uint64_t file = 0, offset = 0, length = 0;
};
struct Version {
  uint64_t generation = 1;
  uint8_t height = 0;
  Place root;
};
inline std::string versions(const std::vector<Version>& list) {
  std::string generations, heights, files, offsets, lengths, others, times;
  for (const auto& version : list) {
    generations += varint(version.generation);
    heights += static_cast<char>(version.height);
    files += varint(version.root.file);
    offsets += varint(version.root.offset);
    lengths += varint(version.root.length);
    others += varint(1);
    times += u64(7);
  }
  return varint(list.size()) + generations + heights + files + offsets + lengths + others + others + others + times;
}
inline std::string manifest_body(const std::vector<FileName>& files, const std::vector<Version>& list) {
  return configuration() + file_table(files) + versions(list) + varint(0);
}

struct LeafEntry {
  std::string key, value;  // inline
  bool outside = false;
  Place place = {};  // if it is outside
  uint8_t kind = 2;  // 2: as `outside` says
};
inline std::string leaf_body(const std::vector<LeafEntry>& entries, const std::vector<FileName>& files = {},
                             uint8_t height = 0) {
  std::string prefixes, suffixes, keys, lengths, kinds, in_files, offsets, inside;
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto& entry = entries[i];
    if (i > 0) prefixes += varint(0);
    suffixes += varint(entry.key.size());
    keys += entry.key;
    lengths += varint(entry.outside ? entry.place.length : entry.value.size());
    kinds += static_cast<char>(entry.kind == 2 ? entry.outside : entry.kind);
    if (entry.outside) {
      in_files += varint(entry.place.file);
      offsets += varint(entry.place.offset);
    } else {
      inside += entry.value;
    }
  }
  return std::string(1, static_cast<char>(height)) + file_table(files) + varint(entries.size()) + prefixes + suffixes +
         keys + lengths + kinds + in_files + offsets + inside;
}

struct Child {
  std::string key;
  size_t prefix = 0;  // how much of the key all keys below begin with
  Place place;
};
inline std::string interior_body(uint8_t height, const std::vector<Child>& children,
                                 const std::vector<FileName>& files) {
  std::string prefixes, suffixes, common, keys, in_files, offsets, lengths, others;
  for (size_t i = 0; i < children.size(); ++i) {
    if (i > 0) prefixes += varint(0);
    suffixes += varint(children[i].key.size());
    common += varint(children[i].prefix);
    keys += children[i].key;
    in_files += varint(children[i].place.file);
    offsets += varint(children[i].place.offset);
    lengths += varint(children[i].place.length);
    others += varint(1);
  }
  return std::string(1, static_cast<char>(height)) + file_table(files) + varint(children.size()) + prefixes + suffixes +
         common + keys + in_files + offsets + lengths + others + others + others;
}

}  // namespace remap::test::ocdbt
