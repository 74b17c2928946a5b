// Keys that stand for several, as folded listings write them: "layers.{0..11}.w", "{1,3}", "{1,3..11}" (in steps of
// two).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace remap::formats {

// The keys that `key` stands for, in order; the key itself if it holds no braces. nullopt, with `problem`, if a set is
// none of these forms or there would be more than `max_keys`.
std::optional<std::vector<std::string>> expand_ranges(const std::string& key, uint64_t max_keys, std::string& problem);

}  // namespace remap::formats
