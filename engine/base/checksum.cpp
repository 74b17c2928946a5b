#include "base/checksum.h"

#include <cstring>
#include <new>

#include <fmt/format.h>
#include <xxhash.h>

namespace remap {

struct Checksum::State {
  XXH3_state_t* xxh = XXH3_createState();
  State() {
    if (xxh == nullptr || XXH3_128bits_reset(xxh) != XXH_OK) throw std::bad_alloc();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { XXH3_freeState(xxh); }
};

Checksum::Checksum() : state_(std::make_unique<State>()) {}
Checksum::~Checksum() = default;
void Checksum::add(uint64_t value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  put({bytes, sizeof bytes});
}
void Checksum::add(std::string_view text) {
  add(uint64_t{text.size()});
  put(text);
}
void Checksum::put(std::string_view bytes) {
  constexpr size_t kWorthACall = 16384;
  waiting_ += bytes;
  if (waiting_.size() >= kWorthACall) hash_waiting();
}
void Checksum::hash_waiting() {
  XXH3_128bits_update(state_->xxh, waiting_.data(), waiting_.size());
  waiting_.clear();
}
Sum128 Checksum::sum() {
  hash_waiting();
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh);
  return {hash.low64, hash.high64};
}

Sum128 checksum(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

std::string to_string(Sum128 sum) { return fmt::format("{:016x}{:016x}", sum.high, sum.low); }

}  // namespace remap
