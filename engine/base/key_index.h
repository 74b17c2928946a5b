// Finds texts that are kept elsewhere by what they are: 8 bytes a slot, and no copy of a text. Private to the engine.
#pragma once

#include <bit>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace remap {

// Texts have numbers below 2^32; text_of(number) gives the text of one that was added.
class KeyIndex {
 public:
  static constexpr size_t npos = static_cast<size_t>(-1);

  void reserve(size_t n) {
    if (slots_.size() < 2 * n) grow(std::bit_ceil(2 * n));
  }
  template <typename TextOf>
  size_t find(std::string_view text, const TextOf& text_of) const {
    return slots_.empty() ? npos : number_at(place_of(text, hash_of(text), text_of));
  }
  // The same of many: visit(i, find(texts[i])). Each step asks for what the next one reads, so that it is not waited
  // for; text_of.home(number) is where a text's std::string is.
  template <typename TextOf, typename Visit>
  void find_each(std::span<const std::string> texts, const TextOf& text_of, const Visit& visit) const {
    std::vector<uint32_t> hashes;
    hashes.reserve(texts.size());
    for (const std::string& text : texts) hashes.push_back(hash_of(text));
    if (!slots_.empty()) {
      for (const uint32_t hash : hashes) __builtin_prefetch(slots_.data() + start_of(hash));
      for (const uint32_t hash : hashes)
        if (const size_t number = number_at(start_of(hash)); number != npos) __builtin_prefetch(text_of.home(number));
      for (const uint32_t hash : hashes)
        if (const size_t number = number_at(start_of(hash)); number != npos) __builtin_prefetch(text_of(number).data());
    }
    for (size_t i = 0; i < texts.size(); ++i)
      visit(i, slots_.empty() ? npos : number_at(place_of(texts[i], hashes[i], text_of)));
  }
  // What add() of such a text reads first.
  const void* home_of(std::string_view text) const {
    return slots_.empty() ? nullptr : slots_.data() + start_of(hash_of(text));
  }
  // The number of the text, and whether it is the one given: false if the text was there before.
  template <typename TextOf>
  std::pair<size_t, bool> add(std::string_view text, size_t number, const TextOf& text_of) {
    if (2 * (count_ + 1) > slots_.size()) grow(std::max<size_t>(16, 2 * slots_.size()));
    const uint32_t hash = hash_of(text);
    uint64_t& slot = slots_[place_of(text, hash, text_of)];
    if (slot != kFree) return {number_in(slot), false};
    slot = uint64_t{hash} << 32 | static_cast<uint32_t>(number);
    ++count_;
    return {number, true};
  }

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};

  static size_t number_in(uint64_t slot) { return static_cast<uint32_t>(slot); }
  size_t number_at(size_t place) const { return slots_[place] == kFree ? npos : number_in(slots_[place]); }
  static uint32_t hash_of(std::string_view text) {
    return static_cast<uint32_t>(std::hash<std::string_view>()(text) >> 33);  // 31 bits: no slot in use looks free
  }
  size_t start_of(uint32_t hash) const { return hash & (slots_.size() - 1); }
  // Where the text is, or the free slot where it would be.
  template <typename TextOf>
  size_t place_of(std::string_view text, uint32_t hash, const TextOf& text_of) const {
    size_t place = start_of(hash);
    while (slots_[place] != kFree && (slots_[place] >> 32 != hash || text_of(number_in(slots_[place])) != text))
      place = (place + 1) & (slots_.size() - 1);
    return place;
  }
  void grow(size_t n_slots) {
    std::vector<uint64_t> old(n_slots, kFree);
    old.swap(slots_);
    for (const uint64_t slot : old) {
      if (slot == kFree) continue;
      size_t place = start_of(static_cast<uint32_t>(slot >> 32));
      while (slots_[place] != kFree) place = (place + 1) & (slots_.size() - 1);
      slots_[place] = slot;
    }
  }

  std::vector<uint64_t> slots_;  // a power of two of them: the hash, and the number
  size_t count_ = 0;
};

}  // namespace remap
