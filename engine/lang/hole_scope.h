// What an expression about a key sees: the key's holes, and what another scope knows.
#pragma once

#include "lang/expression.h"
#include "lang/pattern.h"

namespace remap::lang {

// What a hole took, as a value: digits are a number, all else is a string.
Json value_of_hole(const std::string& text);

class HoleScope : public Scope {
 public:
  // Both outlive this; `outer` may be nullptr.
  HoleScope(const Captures& captures, Scope* outer) : captures_(captures), outer_(outer) {}

  std::optional<Value> lookup(const std::string& name) override;
  const Json* reference(const std::string& name) override;
  Json member_key(const std::string& base, const std::string& member) const override;
  KeyFacts* key_facts() override { return outer_ == nullptr ? nullptr : outer_->key_facts(); }

 private:
  const Captures& captures_;
  Scope* outer_;
};

}  // namespace remap::lang
