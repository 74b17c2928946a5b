// What a search by values knows so far, and its stages. Each stage takes tensors that are still open, and adds
// relations between them. Private to infer.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "infer/name_guide.h"
#include "infer/relation.h"
#include "infer/values.h"

namespace remap::infer {

struct ValueSearch {
  struct SourceTensor {
    Ref ref;
    std::map<DType, Print> prints;  // as what a target may hold; none: it is not read
    bool used = false;
  };
  struct TargetTensor {
    Print print;
    bool done = false;
    bool left = false;  // done with, but nothing was found: it stays open
  };
  using SameValues = std::pair<std::vector<size_t>, std::vector<uint32_t>>;  // sources, targets

  explicit ValueSearch(const Problem& problem);  // reads all tensors

  const Problem& problem;
  Findings findings;
  std::vector<SourceTensor> sources;
  std::vector<TargetTensor> targets;
  std::vector<SameValues> constants;               // tensors of one value that are equal
  std::map<size_t, std::vector<size_t>> replicas;  // in several files alike, by the first of each
  size_t windows = 0;                              // sums that were looked up

  const TensorInfo& info(size_t s) const { return problem.info(sources[s].ref); }
  const TensorInfo& target_info(size_t t) const { return problem.info(static_cast<uint32_t>(t)); }
  const std::string& source_key(size_t s) const { return problem.key(sources[s].ref); }
  const std::string& target_key(size_t t) const { return target_info(t).key; }
  const Source& source_of(size_t s) const { return *problem.sources[sources[s].ref.source].source; }
  size_t number_of(Ref ref) const { return first_[ref.source] + ref.tensor; }
  bool is_open_source(size_t s) const { return !sources[s].used && info(s).unread == nullptr; }
  bool any_open() const;  // on both sides
  void sum_open();        // reads the tensors that are open once more, for their multisets

  Elements source_elements(size_t s, DType as) const;
  Elements target_elements(size_t t) const;

  // Notes a relation, and that its tensors are done.
  void take(Relation relation);
  // `s` as it is, with its replicas, or after `layout`. `check`: why that is not certain, or "".
  void rename(size_t s, uint32_t t, const Layout& layout, const std::string& check);

  // What names say of all tensors; found when it is first asked for.
  const std::vector<Relation>& suggested();
  // What names say once some relations are certain; what they say of all tensors only if that was asked for.
  NameGuide guide() const;

 private:
  std::vector<size_t> first_;  // number of each source's first tensor
  std::optional<std::vector<Relation>> suggested_;
};

// The stages, in the order in which they run.
void match_whole(ValueSearch& search);         // tensors that hold the same, in the same order
void leave_shared_bytes(ValueSearch& search);  // elements that share bytes are looked for in whole tensors only
// The same elements in another order. `constants`: tensors of one value, which fit anywhere; only once it is known
// where everything else goes.
void match_rearranged(ValueSearch& search, bool constants);
// Tensors that are parts of others. `constants`: those of one value can be parts too, of a whole that has others.
void match_parts(ValueSearch& search, bool constants);
void match_neighbours(ValueSearch& search);  // keys that differ in numbers from those of a relation
void match_siblings(ValueSearch& search);    // a bias of zeros goes where its weight went
void decide_constants(ValueSearch& search);  // constants belong where their neighbours went
void match_suggested(ValueSearch& search);   // what names say, where the values agree

// Keys of parts whose whole is called `to` in place of `from`: numbers that are one of the whole's in all of them, or
// that and the same more, change with it. Empty: there are no parts.
std::vector<std::string> renumbered(const std::vector<std::string>& parts, const std::string& from,
                                    const std::string& to);

// Parts of match_parts: targets that are made of several sources, and sources that become several targets.
void gather(ValueSearch& search, const NameGuide& guide, bool constants);
void scatter(ValueSearch& search, const NameGuide& guide, bool constants);

// Whether the tensors of a relation are open and hold what it says: all elements, or a sample of large tensors.
bool is_open(const ValueSearch& search, const Relation& relation);
bool holds(const ValueSearch& search, const Relation& relation);

}  // namespace remap::infer
