// What the expressions of a rule file can see of a checkpoint: metadata, dims, let, variants, and facts about keys and
// values.
#pragma once

#include <map>

#include "lang/functions.h"
#include "layout/key_table.h"

namespace remap::layout {

class CheckpointScope : public lang::Scope, public lang::KeyFacts {
 public:
  CheckpointScope(const lang::KeySpace& space, const KeyTable& keys, const std::vector<NamedSource>& sources,
                  const PlanOptions& options);

  std::optional<lang::Value> lookup(const std::string& name) override;
  const Json* reference(const std::string& name) override;
  lang::KeyFacts* key_facts() override { return this; }

  bool exists(const std::string& pattern) override;
  int64_t count(const std::string& pattern) override;
  Json indices(const std::string& pattern) override;
  Json captures(const std::string& pattern, const std::string& hole) override;
  Json counts(const std::string& pattern, const std::string& hole) override;
  Json shape(const std::string& key) override;
  Json values(const std::string& key) override;
  bool same(const std::string& key, const std::string& other) override;

  // hidden.m is the size of 'hidden' for what the hole m took.
  Json member_key(const std::string& base, const std::string& member) const override;

  // Whether the name stands for something else than a dim.
  bool is_defined(const std::string& name) const;
  // Whether two source tensors hold the same bytes; recorded among checks(). True where it is not known. Throws Error
  // "plan-unread-tensor" if one of them is not read.
  bool same(const SourceKey& a, const SourceKey& b);
  // Entries of let are evaluated once; those evaluated before the dims were bound are evaluated again.
  void forget_let() { let_.clear(); }

  std::map<std::string, int64_t> dims;  // bound so far; "hidden.text" is entry 'text' of the dim 'hidden'
  lang::VariantValues variants;         // detected or set so far, and texts under 'let' that patterns use
  std::map<std::string, Json> holes;    // of the key whose shape is looked at
  std::string target_dtype;             // "float32"; empty until the target tensors are known
  const std::vector<PlanCheck>& checks() const { return checks_; }

 private:
  void require_values(const SourceKey& key) const;
  const SourceKey& key_called(const std::string& name) const;
  struct Compiled {
    lang::KeyPattern pattern;
    lang::Matcher matcher;
  };
  const Compiled& compiled(const std::string& pattern);
  void each_match(const Compiled& compiled, const std::function<void(const lang::Captures&)>& visit) const;

  const lang::KeySpace& space_;
  const KeyTable& keys_;
  const std::vector<NamedSource>& sources_;
  const PlanOptions& options_;
  Json chosen_ = Json::object();  // what the user said with --set, as strings
  Json file_ = Json::object();    // what the first source is called
  std::optional<lang::Value> dim(const std::string& name) const;
  const Json* outside_facts(const std::string& name) const;

  std::map<std::pair<std::string, lang::VariantValues>, Compiled> compiled_;  // patterns that were asked about
  std::map<std::string, Json> let_;                                           // evaluated entries
  std::set<std::string> evaluating_;
  std::vector<PlanCheck> checks_;
  std::map<std::pair<std::string, std::string>, size_t> checked_;  // which check is about these keys
};

}  // namespace remap::layout
