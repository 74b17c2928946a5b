// A loop over items that lie apart in memory waits for each of them; this asks for one some steps before it is looked
// at. Private to the engine.
#pragma once

#include <cstddef>

namespace remap {

// In a loop over 0 … n-1, at i: what stands at address_of(j) of a later j will be needed. `steps`: how much later; what
// address_of() itself reads is asked for still earlier.
template <typename AddressOf>
void fetch_later(size_t i, size_t n, const AddressOf& address_of, size_t steps = 16) {
  if (i + steps < n) __builtin_prefetch(address_of(i + steps));
}

}  // namespace remap
