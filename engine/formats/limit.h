// The one message for input that exceeds a bound of remap/limits.h.
#pragma once

#include <cstdint>
#include <string_view>

#include <fmt/format.h>

#include "remap/diagnostic.h"

namespace remap::formats {

// Throws Error "limit-exceeded" if `found` is more than `bound`, the value of the field `name` of Limits:
// "40 dimensions; at most 32 are read (max_rank)".
inline void check_limit(uint64_t found, uint64_t bound, std::string_view name, const Place& place,
                        std::string_view what) {
  if (found > bound)
    throw Error("limit-exceeded", place, fmt::format("{} {}; at most {} are read ({})", found, what, bound, name));
}

}  // namespace remap::formats
