// Sorting what is too many to move about, or nearly sorted: by numbers. Private to the engine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "base/parallel_for.h"

namespace remap {

// The numbers 0 … n-1 (n < 2^32) in the order in which less(i, j) sorts them; equal ones keep theirs. Merges the runs
// that are sorted already: the keys of a checkpoint are a few of these, one a tensor of a layer. `less` is called from
// several threads.
template <typename Less>
std::vector<uint32_t> sorted_order(size_t n, const Less& less) {
  constexpr int64_t kWorkOfKey = 50;  // in parallel_for's unit
  std::vector<uint32_t> order(n), merged;
  std::iota(order.begin(), order.end(), uint32_t{0});
  std::vector<size_t> ends;  // of the runs
  for (size_t i = 1; i < n; ++i)
    if (less(i, i - 1)) ends.push_back(i);
  ends.push_back(n);
  if (ends.size() > 1) merged.resize(n);
  const auto at = [](std::vector<uint32_t>& list, size_t i) { return list.begin() + static_cast<std::ptrdiff_t>(i); };
  while (ends.size() > 1) {
    std::vector<size_t> longer((ends.size() + 1) / 2);
    parallel_for(
        static_cast<int64_t>(longer.size()), static_cast<int64_t>(n) * kWorkOfKey, [&](int64_t from, int64_t to) {
          for (auto pair = static_cast<size_t>(from); pair < static_cast<size_t>(to); ++pair) {
            const size_t begin = pair == 0 ? 0 : ends[2 * pair - 1], middle = ends[2 * pair],
                         end = 2 * pair + 1 < ends.size() ? ends[2 * pair + 1] : middle;
            std::merge(at(order, begin), at(order, middle), at(order, middle), at(order, end), at(merged, begin), less);
            longer[pair] = end;
          }
        });
    order.swap(merged);
    ends = std::move(longer);
  }
  return order;
}

// Moves the items into that order: the i-th is the one that was number order[i]. Where the next ones are is known
// before they are moved, so that many are fetched at once.
template <typename T>
void reorder(std::vector<T>& items, std::vector<uint32_t> order) {
  constexpr int kAhead = 16;
  const auto fetch = [&](size_t i) {
    for (size_t byte = 0; byte < sizeof(T); byte += 64)
      __builtin_prefetch(reinterpret_cast<const char*>(items.data() + i) + byte, 1);
  };
  for (size_t first = 0; first < order.size(); ++first) {
    if (order[first] == first) continue;
    size_t ahead = first;
    for (int i = 0; i < kAhead; ++i) fetch(ahead = order[ahead]);
    T held = std::move(items[first]);
    size_t place = first;
    while (order[place] != first) {
      const size_t next = order[place];
      fetch(ahead = order[ahead]);
      items[place] = std::move(items[next]);
      order[place] = static_cast<uint32_t>(place);
      place = next;
    }
    items[place] = std::move(held);
    order[place] = static_cast<uint32_t>(place);
  }
}

}  // namespace remap
