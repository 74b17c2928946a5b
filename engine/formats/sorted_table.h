// A sorted table of strings in LevelDB's format, as TensorFlow writes it: blocks of keys and values, an index of the
// blocks, a footer. Every block's checksum is verified when it is read; keys are in strictly ascending order, blocks do
// not overlap. Private to formats.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "remap/limits.h"

namespace remap::formats {

class SortedTable {
 public:
  static bool has_magic(std::span<const std::byte> file);

  // Reads the footer and the index. Throws Error "tensorflow-table".
  SortedTable(MappedFile file, const Limits& limits);

  const MappedFile& file() const { return file_; }
  size_t n_blocks() const { return blocks_.size(); }
  // The only block that can hold the key; n_blocks() if none can.
  size_t block_of(std::string_view key) const;
  // Calls `body` for every entry of a block, in order, until it returns false. Key and value are valid during the call.
  // `block` is the place of the block. Throws Error "tensorflow-table".
  using Body = std::function<bool(std::string_view key, std::string_view value, const BytePlace& block)>;
  void walk(size_t block, const Body& body) const;
  // All blocks; checks that their keys ascend from block to block.
  void walk_all(const Body& body) const;

 private:
  struct Block {
    uint64_t offset = 0, size = 0;
    std::string bound;  // no key of the block is greater
  };

  [[noreturn]] void fail(uint64_t offset, const std::string& message) const;
  Block take_handle(std::string_view& in, uint64_t at, std::string_view what) const;
  // The contents of a block, unpacked into `buffer` if need be.
  std::string_view contents(const Block& block, std::vector<std::byte>& buffer) const;
  void walk_contents(std::string_view contents, uint64_t offset, const Body& body) const;

  MappedFile file_;
  uint64_t max_unpacked_;
  std::vector<Block> blocks_;
};

}  // namespace remap::formats
