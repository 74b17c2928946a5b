#include "infer/tiling.h"

#include <algorithm>
#include <map>

namespace remap::infer {
namespace {

struct Hit {
  size_t part;
  int64_t begin, length;
};

// The sums of slices over all groups.
std::vector<uint64_t> folded(const Slices& slices, const Turns& turns) {
  std::vector<uint64_t> sums(static_cast<size_t>(turns.period), 0);
  for (int64_t i = 0; i < turns.groups * turns.period; ++i)
    sums[static_cast<size_t>(i % turns.period)] += slices.hashes[slices.first + static_cast<size_t>(i)];
  return sums;
}

// How many entries of an axis the parts may take; `unit`: elements of one entry in all groups.
std::set<int64_t> lengths_of(const std::set<int64_t>& counts, int64_t unit, int64_t most) {
  std::set<int64_t> lengths;
  for (const int64_t count : counts)
    if (unit > 0 && count > 0 && count % unit == 0 && count / unit <= most) lengths.insert(count / unit);
  return lengths;
}

// Sums of neighbours, wherever the sum is the hash of a part that is as long.
std::vector<Hit> hits_in(const std::vector<uint64_t>& hashes, size_t first, int64_t count, int64_t unit,
                         const std::set<int64_t>& lengths, const PartPool& pool, size_t& windows) {
  std::vector<Hit> hits;
  for (const int64_t length : lengths) {
    if (length > count || windows > kMaxWindows) continue;
    windows += static_cast<size_t>(count);
    uint64_t sum = 0;
    for (int64_t i = 0; i < count; ++i) {
      sum += hashes[first + static_cast<size_t>(i)];
      if (i >= length) sum -= hashes[first + static_cast<size_t>(i - length)];
      if (i + 1 < length) continue;
      const auto it = pool.by_hash.find(sum);
      if (it == pool.by_hash.end()) continue;
      for (const size_t part : it->second)
        if (pool.elements_of(part) == length * unit) hits.push_back({part, i + 1 - length, length});
    }
  }
  return hits;
}

// Parts that follow each other from 0 to `count`; empty: there is a gap.
std::vector<Slot> tiled(const std::vector<Hit>& hits, int64_t count, const PartPool& pool) {
  constexpr size_t kMaxTries = 100'000;
  std::map<int64_t, std::map<int64_t, std::vector<size_t>>> at;  // begin, length
  for (const Hit& hit : hits)
    if (!pool.is_taken(hit.part)) at[hit.begin][hit.length].push_back(hit.part);
  for (auto& [begin, lengths] : at)
    for (auto& [length, candidates] : lengths) std::sort(candidates.begin(), candidates.end());
  std::vector<Slot> slots;
  std::map<size_t, size_t> uses;  // of those that hold the same, by the first of them
  size_t tries = 0;
  const std::function<bool(int64_t)> fill = [&](int64_t begin) {
    if (begin == count) return true;
    const auto here = at.find(begin);
    if (here == at.end() || ++tries > kMaxTries) return false;
    for (const auto& [length, candidates] : here->second) {
      size_t& used = uses[candidates[0]];
      if (used == candidates.size()) continue;
      ++used;
      slots.push_back({begin, length, candidates});
      if (fill(begin + length)) return true;
      slots.pop_back();
      --used;
    }
    return false;
  };
  if (!fill(0)) slots.clear();
  return slots;
}

}  // namespace

void PartPool::add(size_t part, uint64_t hash) {
  by_hash[hash].push_back(part);
  counts.insert(elements_of(part));
}

std::vector<Turns> turns_of(int64_t extent) {
  std::vector<Turns> all = {{1, extent}};
  for (int64_t groups = 2; groups <= extent / 2; ++groups)
    if (extent % groups == 0) all.push_back({groups, extent / groups});
  return all;
}

std::vector<Slot> slots_along(const Slices& slices, const Turns& turns, const PartPool& pool, size_t& windows) {
  const int64_t unit = slices.elements * turns.groups;
  const auto lengths = lengths_of(pool.counts, unit, turns.period - 1);
  if (lengths.empty()) return {};
  const auto hits = turns.groups == 1 ? hits_in(slices.hashes, slices.first, turns.period, unit, lengths, pool, windows)
                                      : hits_in(folded(slices, turns), 0, turns.period, unit, lengths, pool, windows);
  return tiled(hits, turns.period, pool);
}

}  // namespace remap::infer
