// Which of several tensors that hold the same is a part.
#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <tuple>

#include "infer/key_text.h"
#include "infer/tiling.h"

namespace remap::infer {
namespace {

// Those whose keys count along the slots.
std::vector<size_t> counted(const std::vector<Slot>& slots, const PartNames& names) {
  if (std::any_of(slots.begin(), slots.end(), [&](const Slot& slot) { return slot.length != slots[0].length; }))
    return {};
  std::vector<std::map<std::string, size_t>> known(slots.size());
  size_t fewest = 0;
  for (size_t i = 0; i < slots.size(); ++i) {
    for (const size_t part : slots[i].candidates) known[i].emplace(names.key_of(part), part);
    if (slots[i].candidates.size() < slots[fewest].candidates.size()) fewest = i;
  }
  std::vector<size_t> best;
  std::tuple<bool, double> best_rank;  // counts from 0; fits by its name
  for (const auto& [key, anchor] : known[fewest]) {
    const Numbered anchored = numbered(key);
    for (size_t column = 0; column < anchored.numbers.size(); ++column) {
      Numbered numbers = anchored;
      const auto first = std::stoll(numbers.numbers[column]) - static_cast<int64_t>(fewest);
      if (first < 0) continue;
      std::vector<size_t> parts;
      std::vector<std::string> keys;
      for (size_t i = 0; i < slots.size(); ++i) {
        std::string text = numbers.texts[0];
        for (size_t c = 0; c < numbers.numbers.size(); ++c)
          text += (c == column ? std::to_string(first + static_cast<int64_t>(i)) : numbers.numbers[c]) +
                  numbers.texts[c + 1];
        const auto found = known[i].find(text);
        if (found == known[i].end()) break;
        parts.push_back(found->second);
        keys.push_back(std::move(text));
      }
      if (parts.size() != slots.size() || !counting_place(keys)) continue;
      const std::tuple rank(first == 0, names.score_of(parts[0]));
      if (best.empty() || rank > best_rank) best = std::move(parts), best_rank = rank;
    }
  }
  return best;
}

// Characters that both begin and end with.
double in_common(const std::string& a, const std::string& b) {
  size_t begin = 0, end = 0;
  const size_t most = std::min(a.size(), b.size());
  while (begin < most && a[begin] == b[begin]) ++begin;
  while (end < most - begin && a[a.size() - 1 - end] == b[b.size() - 1 - end]) ++end;
  return static_cast<double>(begin + end);
}

// Those whose names are nearest to the others', the slots with the fewest candidates first.
std::vector<size_t> nearest(const std::vector<Slot>& slots, const PartNames& names) {
  std::vector<size_t> order(slots.size()), parts(slots.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return slots[a].candidates.size() < slots[b].candidates.size(); });
  std::vector<size_t> chosen;
  for (const size_t i : order) {
    std::optional<size_t> best;
    std::pair<double, double> best_rank;
    for (const size_t part : slots[i].candidates) {
      if (std::find(chosen.begin(), chosen.end(), part) != chosen.end()) continue;
      double common = 0;
      for (const size_t other : chosen) common += in_common(names.key_of(part), names.key_of(other));
      const std::pair rank(common, names.score_of(part));
      if (!best || rank > best_rank) best = part, best_rank = rank;
    }
    if (!best) return {};
    chosen.push_back(*best);
    parts[i] = *best;
  }
  return parts;
}

// Whether the keys count, or differ in one word.
bool belong_together(const std::vector<std::string>& keys) {
  if (counting_place(keys)) return true;
  const auto place = differing_place(keys);
  const auto is_word = [](const std::string& name) { return std::none_of(name.begin(), name.end(), is_separator); };
  return place && !(place->before.empty() && place->after.empty()) &&
         std::all_of(place->names.begin(), place->names.end(), is_word);
}

}  // namespace

std::vector<size_t> assigned(const std::vector<Slot>& slots, const PartNames& names) {
  std::vector<size_t> parts;
  const auto is_certain = [](const Slot& slot) { return slot.candidates.size() == 1; };
  if (std::all_of(slots.begin(), slots.end(), is_certain)) {
    for (const Slot& slot : slots) parts.push_back(slot.candidates[0]);
  } else {
    parts = counted(slots, names);
    if (parts.empty()) parts = nearest(slots, names);
  }
  if (!names.constants || parts.empty()) return parts;
  std::vector<std::string> keys;
  for (const size_t part : parts) keys.push_back(names.key_of(part));
  return belong_together(keys) ? parts : std::vector<size_t>();
}

}  // namespace remap::infer
