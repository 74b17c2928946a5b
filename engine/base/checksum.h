// Checksums of bytes, fast (XXH3, 128 bits, of the xxHash library): they tell bytes that were written whole from bytes
// that were not, not from bytes that somebody forged.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace remap {

struct Sum128 {
  uint64_t low = 0, high = 0;
  bool operator==(const Sum128&) const = default;
};

std::string to_string(Sum128 sum);  // 32 hexadecimal digits
Sum128 checksum(std::span<const std::byte> bytes);

// Of values one after another. Texts are added with their length, so that no two rows of values are the same bytes.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;
  void add(uint64_t value);
  void add(std::string_view text);
  Sum128 sum();

 private:
  void put(std::string_view bytes);
  void hash_waiting();
  struct State;
  std::unique_ptr<State> state_;
  std::string waiting_;  // bytes that are not hashed yet: it is slow to hash a few at a time
};

}  // namespace remap
