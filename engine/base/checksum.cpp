#include "base/checksum.h"

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
void Checksum::add(uint64_t value) { XXH3_128bits_update(state_->xxh, &value, sizeof value); }
void Checksum::add(std::string_view text) {
  add(uint64_t{text.size()});
  XXH3_128bits_update(state_->xxh, text.data(), text.size());
}
Sum128 Checksum::sum() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh);
  return {hash.low64, hash.high64};
}

Sum128 checksum(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

std::string to_string(Sum128 sum) { return fmt::format("{:016x}{:016x}", sum.high, sum.low); }

}  // namespace remap
