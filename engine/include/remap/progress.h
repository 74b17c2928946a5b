// How far long work is, told to whoever shows it.
#pragma once

#include <cstdint>
#include <functional>

namespace remap {

// Called with the bytes that are dealt with so far and their total; from one thread at a time, not more than about ten
// times a second, and once at the end. Must not throw. May be empty.
using ProgressFunction = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

}  // namespace remap
