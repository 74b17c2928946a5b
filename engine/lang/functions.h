// The functions that expressions call, one row each: parsing, documentation and dispatch go by the rows.
#pragma once

#include "lang/expression.h"

namespace remap::lang {

// What a checkpoint answers about its keys and tensors. Patterns and keys are whole, from the root of the source on.
// Throws Error without a place if one is malformed, is not there, or has no values to be looked at.
class KeyFacts {
 public:
  virtual ~KeyFacts() = default;
  virtual bool exists(const std::string& pattern) = 0;
  virtual int64_t count(const std::string& pattern) = 0;
  virtual Json indices(const std::string& pattern) = 0;
  virtual Json captures(const std::string& pattern, const std::string& hole) = 0;
  virtual Json counts(const std::string& pattern, const std::string& hole) = 0;
  virtual Json shape(const std::string& key) = 0;
  virtual Json values(const std::string& key) = 0;
  virtual bool same(const std::string& key, const std::string& other) = 0;
};

// A call, as the function sees it. These throw Error without a place if an argument is something else.
struct Call {
  const FunctionRow& function;
  Scope& scope;
  std::vector<Value> arguments = {};       // present or opaque
  std::function<Value()> evaluate_last{};  // of Takes::last_unevaluated: the value of the last argument, now

  size_t size() const { return arguments.size(); }
  const Json& json(size_t i) const;
  const Json& list(size_t i) const;
  const std::string& string(size_t i) const;
  int64_t integer(size_t i) const;
  double number(size_t i) const;
  KeyFacts& checkpoint() const;
  // "'range' needs an integer as argument 2; found true"
  [[noreturn]] void needs(const std::string& what, size_t i) const;
};

struct FunctionRow {
  using Run = Value(const Call&);
  enum class Takes {
    values,            // all arguments, evaluated
    key_first,         // so too; the first is a key pattern or key of the checkpoint
    last_unevaluated,  // the function evaluates the last one itself
  };
  FunctionRow(std::string_view name_, int min, int max, std::string_view signature_, std::string_view purpose_,
              Run& run_, Takes takes_ = Takes::values)
      : name(name_),
        min_arguments(min),
        max_arguments(max),
        signature(signature_),
        purpose(purpose_),
        run(run_),
        takes(takes_) {}

  std::string_view name;
  int min_arguments, max_arguments;  // max -1: any number
  std::string_view signature, purpose;
  Run* run;  // never null
  Takes takes;
};

// A function whose value is plain data, as a row has it.
template <Json (*function)(const Call&)>
Value plain(const Call& call) {
  return Value::of(function(call));
}

// A value for a message, cut where it is long.
std::string shown(const Json& json);

// Entry `key` of an object or list (from its end where it is negative); nullptr if there is none.
const Json* entry_of(const Json& json, const Json& key);

constexpr int64_t kMaxListLength = 1'000'000;  // of a list that an expression makes

}  // namespace remap::lang
