// The source keys as the rules see them: below the root, older spellings normalised.
#pragma once

#include <deque>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/fetch.h"
#include "lang/key_space.h"
#include "remap/plan.h"

namespace remap::layout {

struct SourceKey {
  std::string_view key;             // in the manifest, or in the table where it is spelt otherwise
  uint32_t source = 0, tensor = 0;  // indices into the plan's sources and that source's manifest
};

// What stands between the parts of a source's keys: as the rules have it, or, of rules for every format, as its own
// format has it.
char separator_of(const lang::SourceSpec& spec, const Source& source);

// Moves, but is not copied; the sources outlive it.
class KeyTable {
 public:
  // Reports keys that two spellings collide on, and a root that holds nothing. `root`: of the first source, in place of
  // its own.
  KeyTable(const lang::KeySpace& space, const std::vector<NamedSource>& sources, Diagnostics& diagnostics,
           const std::optional<std::string>& root = {});
  KeyTable(KeyTable&&) = default;
  KeyTable& operator=(KeyTable&&) = default;

  const std::vector<SourceKey>& keys(size_t source) const { return keys_[source]; }  // sorted by key
  const SourceKey* find(size_t source, std::string_view key) const;
  // Where `now_at` says that a source's tensors are elsewhere in its manifest, and other keys stand in the place of
  // those of `taken`. No key of `made` may be there already.
  void exchange(size_t source, const std::vector<uint32_t>& now_at, const std::set<std::string_view>& taken,
                std::vector<std::pair<std::string, uint32_t>> made);

  // Calls visit(key, captures) for every key of the source that the pattern matches.
  template <typename Visit>
  void match(size_t source, const lang::Matcher& matcher, Visit visit) const {
    const auto& list = keys_[source];
    lang::Captures captures;
    const auto first = static_cast<size_t>(lower_bound(source, matcher.literal_prefix()) - list.begin());
    for (size_t i = first; i < list.size() && list[i].key.starts_with(matcher.literal_prefix()); ++i) {
      fetch_later(i, list.size(), [&](size_t later) { return list[later].key.data(); });
      if (matcher.match(list[i].key, captures) && !visit(list[i], captures)) return;
    }
  }

 private:
  std::vector<SourceKey>::const_iterator lower_bound(size_t source, std::string_view key) const;
  std::vector<std::vector<SourceKey>> keys_;
  std::deque<std::string> respelt_;  // keys that no manifest has in this form
};

// Prefixes, shortest first, below which some key is as `recognise` or an older spelling says, and that are none of the
// rules' roots.
std::vector<std::string> prefixes_of_known_keys(const lang::KeySpace& space, const Manifest& manifest);
// Whether all keys lie below `prefix`, of those below the part of it that it has in common with a root of the rules.
bool holds_all_keys(const std::string& prefix, const lang::KeySpace& space, const Manifest& manifest);

}  // namespace remap::layout
