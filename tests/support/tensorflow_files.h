// Builds TensorFlow checkpoints, well-formed or not, for tests: messages, blocks with right checksums, tables.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "formats/masked_crc.h"
#include "formats/tensorflow_entries.h"

namespace remap::test::tensorflow {

inline uint32_t sum_of(std::string_view bytes) { return formats::masked(crc32c(std::as_bytes(std::span(bytes)))); }

inline std::string fixed32(uint32_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }
inline std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
inline std::string number_field(int number, int64_t value) {
  return varint(static_cast<uint64_t>(number) << 3) + varint(static_cast<uint64_t>(value));
}
inline std::string bytes_field(int number, std::string_view bytes) {
  return varint(static_cast<uint64_t>(number) << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}
inline std::string sum_field(int number, uint32_t value) {
  return varint(static_cast<uint64_t>(number) << 3 | 5) + fixed32(value);
}

inline std::string shape_message(const std::vector<int64_t>& shape) {
  std::string out;
  for (const int64_t dim : shape) out += bytes_field(2, dim == 0 ? "" : number_field(1, dim));
  return out;
}
inline std::string slice_message(const formats::TensorSlice& slice) {
  std::string out;
  for (const auto& extent : slice)
    out += bytes_field(1, extent.length ? number_field(1, extent.start) + number_field(2, *extent.length) : "");
  return out;
}

struct Entry {
  int64_t dtype = 1;
  std::vector<int64_t> shape = {2};
  int64_t shard = 0, offset = 0, size = 8;
  uint32_t crc = 0;
  std::vector<formats::TensorSlice> slices = {};
  std::string message() const {
    std::string out = number_field(1, dtype) + bytes_field(2, shape_message(shape));
    if (slices.empty())
      out += number_field(3, shard) + number_field(4, offset) + number_field(5, size) + sum_field(6, crc);
    for (const auto& slice : slices) out += bytes_field(7, slice_message(slice));
    return out;
  }
};
inline std::string header_message(int64_t num_shards = 1) {
  return number_field(1, num_shards) + bytes_field(3, number_field(1, 1));
}

using Entries = std::vector<std::pair<std::string, std::string>>;  // in the order in which they are written

// The contents of a block; keys share what they can with the one before, from restart to restart.
inline std::string block_contents(const Entries& entries, size_t restart_every = 16) {
  std::string out, last;
  std::vector<uint32_t> restarts;
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string& key = entries[i].first;
    size_t shared = 0;
    if (i % restart_every == 0)
      restarts.push_back(static_cast<uint32_t>(out.size()));
    else
      while (shared < key.size() && shared < last.size() && key[shared] == last[shared]) ++shared;
    out += varint(shared) + varint(key.size() - shared) + varint(entries[i].second.size());
    out += key.substr(shared) + entries[i].second;
    last = key;
  }
  if (restarts.empty()) restarts.push_back(0);
  for (const uint32_t at : restarts) out += fixed32(at);
  return out + fixed32(static_cast<uint32_t>(restarts.size()));
}
inline std::string with_trailer(std::string contents, char type = 0) {
  contents += type;
  return contents + fixed32(sum_of(contents));
}
inline std::string handle(uint64_t offset, uint64_t size) { return varint(offset) + varint(size); }
inline const std::string kMagic = "\x57\xfb\x80\x8b\x24\x75\x47\xdb";

inline std::string footer(const std::string& meta, const std::string& index) {
  std::string out = meta + index;
  out.resize(40, '\0');
  return out + kMagic;
}

// A table of blocks that are given as they are to be stored, each with the greatest key it can hold.
struct StoredBlock {
  std::string bound, stored;  // with its trailer
};
inline std::string table_of(const std::vector<StoredBlock>& blocks) {
  std::string file;
  Entries index;
  for (const auto& block : blocks) {
    index.emplace_back(block.bound, handle(file.size(), block.stored.size() - 5));
    file += block.stored;
  }
  const std::string meta = handle(file.size(), 8);
  file += with_trailer(block_contents({}));
  const std::string contents = block_contents(index, 1), at = handle(file.size(), contents.size());
  return file + with_trailer(contents) + footer(meta, at);
}
inline std::string table(const Entries& entries, size_t per_block = 1000) {
  std::vector<StoredBlock> blocks;
  for (size_t i = 0; i < entries.size(); i += per_block) {
    const Entries part(entries.begin() + static_cast<std::ptrdiff_t>(i),
                       entries.begin() + static_cast<std::ptrdiff_t>(std::min(i + per_block, entries.size())));
    blocks.push_back({part.back().first, with_trailer(block_contents(part))});
  }
  return table_of(blocks);
}

// The bytes of a tensor of strings, and the checksum of its entry.
inline std::pair<std::string, uint32_t> strings_data(const std::vector<std::string>& strings) {
  std::string lengths, joined;
  uint32_t running = 0;
  for (const auto& text : strings) {
    lengths += varint(text.size());
    const auto length = static_cast<uint32_t>(text.size());
    running = crc32c(std::as_bytes(std::span(&length, 1)), running);
    joined += text;
  }
  const std::string tail = fixed32(formats::masked(running)) + joined;
  return {lengths + tail, formats::masked(crc32c(std::as_bytes(std::span(tail)), running))};
}

}  // namespace remap::test::tensorflow
