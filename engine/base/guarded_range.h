// Mapped memory that may be read whatever happens to the file below it. Where the file became shorter, or its storage
// fails, the kernel answers with SIGBUS; here the rest of the range becomes zeros and is marked, and whoever reads asks
// fault() before trusting what was read.
//
// While there is a range, the process has a handler for SIGBUS, which passes what is not ours on to the one before it.
// Ranges may be made, read and ended in any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace remap {

class GuardedRange {
 public:
  GuardedRange() = default;
  // `begin` is where a mapping begins, which must stay until this ends.
  GuardedRange(const std::byte* begin, size_t size_bytes);
  GuardedRange(const GuardedRange&) = delete;
  GuardedRange& operator=(const GuardedRange&) = delete;
  ~GuardedRange();

  // The offset of the first page that could not be read; nullopt if there was none. One atomic read.
  std::optional<uint64_t> fault() const;

  struct Slot;  // of the table that the handler searches

 private:
  Slot* slot_ = nullptr;
};

}  // namespace remap
