// The types that carry the flow of planning. Each is made by one pass and const from then on:
//
//   PlanInput ─► choose_variants ─► Choices ─► match_keys ─► Matches ─► bind_dims ─► Dims
//             ─► find_replicas ─► Replicas ─► build_tensors ─► Targets ─► make_config ─► TargetConfig ─► check_schema
//
// make_plan.cpp is the list. A pass reports all that it finds; whether the next one runs is the list's business.
// Expressions are evaluated in one layout::CheckpointScope, which every pass that evaluates has as a parameter: it
// caches entries of 'let' and records facts about values, so that none is asked twice.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fetch.h"
#include "base/key_index.h"
#include "lang/rules.h"
#include "lang/schema.h"
#include "layout/checkpoint_scope.h"
#include "remap/limits.h"
#include "remap/plan.h"

namespace remap::plan {

// What a plan is made of. It all outlives the planning, and nothing of it changes.
struct PlanInput {
  const lang::RuleSet& rules;
  const std::optional<lang::Schema>& schema;
  const std::vector<NamedSource>& sources;  // in the order of rules.sources
  const PlanOptions& options;
  const layout::KeyTable& keys;
  Limits limits;

  const TensorInfo& info(const layout::SourceKey& key) const {
    return sources[key.source].source->manifest()[key.tensor];
  }
  Place place_of_source(uint32_t source) const { return BytePlace{sources[source].source->path(), {}, {}}; }
  // Whether the user said --set name=value.
  bool chose(const std::string& name, const std::string& value) const;
  // False if a manifest stands in for a checkpoint: what it cannot tell stays open (Plan::open) and is not an error.
  bool has_data() const;
  bool stays_open(const Error& error) const { return !has_data() && error.diagnostic().id == "expression-missing"; }
};

// What the user or the checkpoint chose.
struct Choices {
  lang::VariantValues texts;  // what ${name} stands for: variants, and strings under 'let'
  std::vector<std::pair<std::string, std::string>> variants;  // as the plan lists them
  std::optional<DType> dtype;                                 // of all floating-point targets; absent: as in the source
  std::set<std::string> waived;                               // checks that the user passes
};

// Whether each rule is in force.
using ActiveRules = std::vector<bool>;

// One key that one rule matched, as long as it is looked at.
struct Match {
  const layout::SourceKey* key;
  const lang::Captures& captures;
};

// The keys that one rule matched, in their order: of each where its groups are, and what they took when asked.
class RuleMatches {
 public:
  RuleMatches() = default;
  explicit RuleMatches(lang::Matcher matcher) : matcher_(std::move(matcher)) {}

  void add(const layout::SourceKey& key, const lang::KeyPart* parts) {
    keys_.push_back(&key);
    parts_.insert(parts_.end(), parts, parts + matcher_->n_groups());
  }
  // Behind its own.
  void append(const RuleMatches& others) {
    if (!matcher_) matcher_ = others.matcher_;
    keys_.insert(keys_.end(), others.keys_.begin(), others.keys_.end());
    parts_.insert(parts_.end(), others.parts_.begin(), others.parts_.end());
  }
  size_t size() const { return keys_.size(); }
  bool empty() const { return keys_.empty(); }
  const layout::SourceKey& key(size_t i) const { return *keys_[i]; }
  // In a loop over them, at i: what stands at address_of(key) of a later one will be needed (base/fetch.h).
  template <typename AddressOf>
  void fetch_later(size_t i, const AddressOf& address_of) const {
    constexpr size_t kStepsToKey = 32;
    remap::fetch_later(
        i, size(), [&](size_t later) { return keys_[later]; }, kStepsToKey);
    remap::fetch_later(i, size(), [&](size_t later) { return address_of(key(later)); });
  }
  void take(size_t i, lang::Captures& captures) const {
    matcher_->take(keys_[i]->key, parts_.data() + i * matcher_->n_groups(), captures);
  }

  class Iterator {
   public:
    explicit Iterator(const RuleMatches& matches) : matches_(matches) {}
    Match operator*() {
      matches_.take(i_, captures_);
      return {&matches_.key(i_), captures_};
    }
    Iterator& operator++() {
      ++i_;
      return *this;
    }
    bool operator!=(size_t end) const { return i_ != end; }

   private:
    const RuleMatches& matches_;
    size_t i_ = 0;
    lang::Captures captures_;
  };
  Iterator begin() const { return Iterator(*this); }
  size_t end() const { return size(); }

 private:
  std::optional<lang::Matcher> matcher_;  // none: the rule matches no keys
  std::vector<const layout::SourceKey*> keys_;
  std::vector<lang::KeyPart> parts_;  // n_groups() a key
};

// The indices that '*' took, by source and by what stands before it.
using LayerIndices = std::map<std::pair<uint32_t, std::string>, std::set<int>>;

// Every key, with the rule that it belongs to.
struct Matches {
  std::vector<RuleMatches> by_rule;
  std::vector<const layout::SourceKey*> unmatched;
  LayerIndices indices;
};

// Keys that hold what another key of the same rule holds ('replicated').
struct Replicas {
  std::set<std::pair<uint32_t, const layout::SourceKey*>> skipped;  // by rule: no target is made from these
  std::vector<DroppedTensor> dropped;
};

// The target tensors, in the order in which rules gave them.
struct Targets {
  std::vector<PlannedTensor> tensors;
  std::vector<DroppedTensor> dropped_parts;  // what slices left

  void reserve(size_t n) {
    tensors.reserve(n);
    by_key.reserve(n);
  }
  // Its place, and whether it was added: false if there is one of that key.
  std::pair<size_t, bool> add(PlannedTensor tensor) {
    const auto added = by_key.add(tensor.key, tensors.size(), KeyOf{tensors});
    if (added.second) tensors.push_back(std::move(tensor));
    return added;
  }
  // KeyIndex::npos if there is none.
  size_t find(std::string_view key) const { return by_key.find(key, KeyOf{tensors}); }
  // visit(i, find(keys[i])) for all, faster than one by one.
  template <typename Visit>
  void find_each(std::span<const std::string> keys, const Visit& visit) const {
    by_key.find_each(keys, KeyOf{tensors}, visit);
  }
  // What add() of such a key reads first (base/fetch.h).
  const void* home_of(std::string_view key) const { return by_key.home_of(key); }

 private:
  struct KeyOf {
    const std::vector<PlannedTensor>& tensors;
    std::string_view operator()(size_t i) const { return tensors[i].key; }
    const void* home(size_t i) const { return &tensors[i]; }
  };
  KeyIndex by_key;
};

// Targets that are left out, since another one is the same memory (--set shared=once).
struct SharedOnce {
  std::map<std::string, std::string> kept_as;  // the key that is left out -> the one that is kept
  std::vector<DroppedTensor> dropped;
};

// The floating-point dtype that most bytes of the targets have. Targets are looked at once, as they come to a list.
class MainDtype {
 public:
  DType of(const std::vector<PlannedTensor>& tensors);  // the list of the calls before, and what was appended

 private:
  size_t n_seen_ = 0;
  std::map<DType, int64_t> bytes_;
};

// "rules/x.yaml:4:5: from → to", as a note.
std::string note_of(const lang::Rule& rule);
Error too_many_tensors(const PlanInput& input, const lang::Rule& rule);
// Reports an error; one that has no place of its own is about the rule.
void add_about(const lang::Rule& rule, const Error& error, Diagnostics& diagnostics);

}  // namespace remap::plan
