// Parts along an axis of a whole, found by hashes. The hash of a part is the sum of its slices' hashes, so a part is
// found in the sums over windows of slices, whatever order its elements have; where parts take turns (a head of q, of
// k, of v, and again), in the sums over all groups. Private to infer.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace remap::infer {

// Tensors that may be parts, by number.
struct PartPool {
  std::unordered_map<uint64_t, std::vector<size_t>> by_hash;  // of all elements, in any order
  std::set<int64_t> counts;                                   // of elements that some part has
  std::function<int64_t(size_t)> elements_of;
  std::function<bool(size_t)> is_taken;
  void add(size_t part, uint64_t hash);
};

// How parts lie along an axis: one after another, or by turns in so many groups of `period` entries.
struct Turns {
  int64_t groups = 1, period = 0;
};
// The ways to see an axis; first of all, as one group.
std::vector<Turns> turns_of(int64_t extent);

// A part of a whole, and the tensors that hold what is there.
struct Slot {
  int64_t begin, length;
  std::vector<size_t> candidates;
};

// The hashes of an axis of a whole, entry by entry.
struct Slices {
  const std::vector<uint64_t>& hashes;
  size_t first;      // where those of this axis begin
  int64_t elements;  // of one entry
};

// The slots that fill the axis from end to end; empty: there is a gap. `windows` counts sums that are looked up; at
// kMaxWindows nothing more is found.
inline constexpr size_t kMaxWindows = 200'000'000;
std::vector<Slot> slots_along(const Slices& slices, const Turns& turns, const PartPool& pool, size_t& windows);

// What names say about parts.
struct PartNames {
  std::function<const std::string&(size_t)> key_of;
  std::function<double(size_t)> score_of;  // how well its name fits that of the whole
  bool constants = false;                  // some hold one value only, so their keys must belong together
};

// Who is in which slot. Where several hold the same: those whose keys count along, or those whose names are nearest to
// the others'. Empty: nobody can be told.
std::vector<size_t> assigned(const std::vector<Slot>& slots, const PartNames& names);

}  // namespace remap::infer
