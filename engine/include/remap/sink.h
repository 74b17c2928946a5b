// A Sink is where the executor puts target tensors: a folder of safetensors files being written, or memory (tests).
// It is one or several files; a file is a row of bytes, whether it is one on disk or not. The executor makes a file in
// blocks: each is put together whole and written at once, in any order, by several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

namespace remap {

// Where a target tensor begins, row-major, little-endian, of the size planned. Tensors do not overlap.
struct TensorPlace {
  size_t file = 0;
  uint64_t offset_bytes = 0;
};

// All methods may be called from several threads at once, and throw Error for what the storage reports.
class Sink {
 public:
  virtual ~Sink() = default;
  // The place of target tensor `index` of the plan.
  virtual TensorPlace place(size_t index) const = 0;
  // The bytes of a file that is in memory: blocks are then made there, and write() and read() are not called by the
  // executor. Null if it is not. The same all the time.
  virtual std::byte* memory(size_t file) {
    static_cast<void>(file);
    return nullptr;
  }
  // Puts bytes into a file, or takes them out again. Threads use ranges that do not overlap. Where memory() is null a
  // sink has its own.
  virtual void write(size_t file, uint64_t offset_bytes, std::span<const std::byte> bytes) {
    if (!bytes.empty()) std::memcpy(memory(file) + offset_bytes, bytes.data(), bytes.size());
  }
  virtual void read(size_t file, uint64_t offset_bytes, std::span<std::byte> bytes) {
    if (!bytes.empty()) std::memcpy(bytes.data(), memory(file) + offset_bytes, bytes.size());
  }
  // Whether the sink wants bytes that lie in a source's file as they are to be shared with it, and not copied.
  virtual bool shares() const { return false; }
  // Shares the data of a range: `length_bytes` from `offset_bytes` of the file on become those at `source_offset_bytes`
  // of `fd`, without being copied. Returns the part [first, second) of the file for which that was done; of the rest,
  // maybe all of it, the executor copies the bytes.
  virtual std::pair<uint64_t, uint64_t> share(size_t file, uint64_t offset_bytes, int fd, uint64_t source_offset_bytes,
                                              uint64_t length_bytes) {
    static_cast<void>(fd), static_cast<void>(source_offset_bytes), static_cast<void>(length_bytes);
    static_cast<void>(file);
    return {offset_bytes, offset_bytes};
  }
  // True if the file holds the final bytes of this block already, from a run before: nothing is written there then.
  // Asked once a block, before anything is written.
  virtual bool holds(size_t file, uint64_t offset_bytes, uint64_t length_bytes) {
    static_cast<void>(file), static_cast<void>(offset_bytes), static_cast<void>(length_bytes);
    return false;
  }
  // A block is complete and will not be touched again. Told once a block, from any thread; blocks are disjoint, begin
  // and end where the plan and ExecOptions::block_bytes say, whatever the number of threads, and together are all bytes
  // of all tensors. `bytes`: what it holds, if that is at hand; null: read() tells.
  virtual void finished(size_t file, uint64_t offset_bytes, uint64_t length_bytes, const std::byte* bytes) {
    static_cast<void>(file), static_cast<void>(offset_bytes), static_cast<void>(length_bytes), static_cast<void>(bytes);
  }
};

}  // namespace remap
