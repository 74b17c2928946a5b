#include "formats/sorted_table.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/checked.h"
#include "base/crc32c.h"
#include "formats/masked_crc.h"
#include "formats/protobuf.h"
#include "formats/snappy.h"

namespace remap::formats {
namespace {

constexpr std::string_view kTableMagic = "\x57\xfb\x80\x8b\x24\x75\x47\xdb";
constexpr uint64_t kFooterBytes = 48, kTrailerBytes = 5;

uint32_t fixed_at(std::string_view bytes, size_t at) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

bool SortedTable::has_magic(std::span<const std::byte> file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  return text.size() >= kFooterBytes && text.ends_with(kTableMagic);
}

SortedTable::SortedTable(MappedFile file, const Limits& limits)
    : file_(std::move(file)), max_unpacked_(limits.max_index_bytes) {
  const std::string_view text = file_.text();
  if (text.size() < kFooterBytes)
    fail(0, fmt::format("the file has {} bytes, too few for a table: its footer has {}", text.size(), kFooterBytes));
  const uint64_t footer = text.size() - kFooterBytes;
  if (!text.ends_with(kTableMagic))
    fail(text.size() - kTableMagic.size(), "the file does not end with a table's magic number");
  std::string_view handles = text.substr(footer, kFooterBytes - kTableMagic.size());
  // Nothing is read of the meta index: only where its handle ends matters.
  if (!take_varint(handles) || !take_varint(handles)) fail(footer, "the handle of the meta index is damaged");
  const Block index = take_handle(handles, footer, "the index");
  std::vector<std::byte> buffer;
  walk_contents(contents(index, buffer), index.offset, [&](std::string_view key, std::string_view value, const auto&) {
    Block block = take_handle(value, index.offset, "a block");
    if (!blocks_.empty() && block.offset < blocks_.back().offset + blocks_.back().size + kTrailerBytes)
      fail(index.offset, fmt::format("the block at byte {} overlaps the one before it", block.offset));
    block.bound = key;
    blocks_.push_back(std::move(block));
    return true;
  });
}

size_t SortedTable::block_of(std::string_view key) const {
  const auto it = std::lower_bound(blocks_.begin(), blocks_.end(), key,
                                   [](const Block& block, std::string_view sought) { return block.bound < sought; });
  return static_cast<size_t>(it - blocks_.begin());
}

void SortedTable::walk(size_t block, const Body& body) const {
  std::vector<std::byte> buffer;
  walk_contents(contents(blocks_[block], buffer), blocks_[block].offset, body);
}

void SortedTable::walk_all(const Body& body) const {
  std::string last;
  bool first = true;
  for (size_t i = 0; i < blocks_.size(); ++i)
    walk(i, [&](std::string_view key, std::string_view value, const BytePlace& place) {
      if (!first && key <= last) fail(blocks_[i].offset, "the block's keys do not follow those of the block before it");
      first = false;
      last = key;
      return body(key, value, place);
    });
}

void SortedTable::fail(uint64_t offset, const std::string& message) const {
  throw Error("tensorflow-table", BytePlace{file_.path(), {}, offset}, message,
              "the file is damaged or was not copied completely; fetch it again");
}

SortedTable::Block SortedTable::take_handle(std::string_view& in, uint64_t at, std::string_view what) const {
  const auto offset = take_varint(in);
  const auto size = offset ? take_varint(in) : std::nullopt;
  if (!size) fail(at, fmt::format("the handle of {} is damaged", what));
  const uint64_t end = file_.size() - kFooterBytes;
  if (!range_inside(*offset, *size, end) || end - *offset - *size < kTrailerBytes)
    fail(at, fmt::format("{} is at byte {} and has {} bytes, which is outside of the file ({} bytes before its footer)",
                         what, *offset, *size, end));
  return {*offset, *size, {}};
}

std::string_view SortedTable::contents(const Block& block, std::vector<std::byte>& buffer) const {
  const std::string_view stored = file_.text().substr(block.offset, block.size + kTrailerBytes);
  const uint32_t sum = fixed_at(stored, block.size + 1);
  const uint32_t computed = masked(crc32c(std::as_bytes(std::span(stored.data(), block.size + 1))));
  if (sum != computed)
    fail(block.offset, fmt::format("the block's checksum is {:08x}, and that of its bytes {:08x}", sum, computed));
  const std::string_view bytes = stored.substr(0, block.size);
  switch (const auto type = static_cast<unsigned char>(stored[block.size])) {
    case 0: return bytes;
    case 1: {
      const std::string fault = unpack_snappy(std::as_bytes(std::span(bytes)), max_unpacked_, buffer);
      if (!fault.empty()) fail(block.offset, fmt::format("the block is not what snappy writes: {}", fault));
      return {reinterpret_cast<const char*>(buffer.data()), buffer.size()};
    }
    default: fail(block.offset, fmt::format("the block is compressed in a way that is not known ({})", type));
  }
}

void SortedTable::walk_contents(std::string_view contents, uint64_t offset, const Body& body) const {
  if (contents.size() < sizeof(uint32_t)) fail(offset, "the block has no restart points");
  const uint64_t n_restarts = fixed_at(contents, contents.size() - sizeof(uint32_t));
  if (n_restarts > contents.size() / sizeof(uint32_t) - 1)
    fail(offset, fmt::format("the block claims {} restart points, which do not fit", n_restarts));
  std::string_view entries = contents.substr(0, contents.size() - (n_restarts + 1) * sizeof(uint32_t));
  for (uint64_t i = 0; i < n_restarts; ++i)
    if (fixed_at(contents, contents.size() - (i + 2) * sizeof(uint32_t)) > entries.size())
      fail(offset, "a restart point is outside of the block");
  const BytePlace place{file_.path(), {}, offset};
  std::string key;
  for (bool first = true; !entries.empty(); first = false) {
    const auto shared = take_varint(entries, 32), unshared = take_varint(entries, 32),
               value_size = take_varint(entries, 32);
    if (!shared || !unshared || !value_size) fail(offset, "a length in the block is damaged");
    if (*shared > key.size()) fail(offset, fmt::format("a key shares {} bytes with one of {}", *shared, key.size()));
    if (*unshared + *value_size > entries.size()) fail(offset, "an entry runs past the end of the block");
    std::string next = key.substr(0, *shared);
    next += entries.substr(0, *unshared);
    if (!first && next <= key) fail(offset, "the block's keys are not in ascending order");
    key = std::move(next);
    const std::string_view value = entries.substr(*unshared, *value_size);
    entries.remove_prefix(*unshared + *value_size);
    if (!body(key, value, place)) return;
  }
}

}  // namespace remap::formats
