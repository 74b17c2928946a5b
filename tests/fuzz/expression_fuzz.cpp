// Any text as an expression: a value, or an Error at a place inside the text.
#include "lang/expression.h"

#include <cstdint>

#include "lang/functions.h"
#include "remap/text.h"

using namespace remap;
using namespace remap::lang;

namespace {

// A checkpoint of two layers.
class Facts : public KeyFacts {
 public:
  bool exists(const std::string& pattern) override { return pattern == "a"; }
  int64_t count(const std::string& pattern) override { return pattern.starts_with("layers") ? 2 : 0; }
  Json indices(const std::string&) override { return {0, 1}; }
  Json captures(const std::string&, const std::string& hole) override { return {hole, "b"}; }
  Json counts(const std::string&, const std::string&) override { return {2, 3}; }
  Json shape(const std::string&) override { return {4, 8}; }
  Json values(const std::string&) override { return {1.5, -2, 0}; }
  bool same(const std::string& key, const std::string& other) override { return key == other; }
};

class FuzzScope : public Scope {
 public:
  std::optional<Value> lookup(const std::string& name) override {
    if (name == "hidden") return Value::of(32);
    if (name == "huge") return Value::of(INT64_MAX);
    if (name == "small") return Value::of(INT64_MIN);
    if (name == "real") return Value::of(1.5e300);
    if (name == "list") return Value::of({3, 1, 2});
    if (name == "open") return Value::missing("a size for the dim 'open'");
    if (name == "tensor") return Value::opaque(1, "a tensor");
    return std::nullopt;
  }
  const Json* reference(const std::string& name) override { return name == "meta" ? &meta_ : nullptr; }
  KeyFacts* key_facts() override { return &facts_; }

 private:
  Json meta_ = Json::parse(R"({"args": null, "cfg": {"heads": 4, "name": "base", "list": [1, [2.5], {"a": true}]}})");
  Facts facts_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (!is_utf8(text)) return 0;  // the file it stands in is
  Diagnostics diagnostics;
  const auto expression =
      parse_expression(text, {std::make_shared<SourceText>("fuzz", text), 1, 1, 1, text.size(), 0}, diagnostics);
  if (!expression) {
    if (!diagnostics.has_errors()) __builtin_trap();
    return 0;
  }
  FuzzScope scope;
  try {
    evaluate_present(*expression, scope).dump();
  } catch (const Error&) {
  }
  return 0;
}
