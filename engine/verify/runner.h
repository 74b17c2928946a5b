// Runs the steps of a forward pass, and is what their expressions see: variables, tensors among them, before the
// layout's 'let', before the checkpoint. Private to the engine.
#pragma once

#include "layout/checkpoint_scope.h"
#include "verify/forward.h"

namespace remap::forward {

// A tensor as a value of an expression, and the tensor of such a value; nullptr if it is none.
lang::Value value_of(Tensor tensor);
const Tensor* tensor_in(const lang::Value& value);

// 1 and true for what counts.
std::vector<bool> booleans(const Json& list);

class Runner : public lang::Scope {
 public:
  Runner(const ModelFile& model, const std::vector<NamedSource>& sources, const Json& config, const Sample& sample,
         const ForwardOptions& options, Diagnostics& diagnostics);
  ForwardResult run();

  std::optional<lang::Value> lookup(const std::string& name) override;
  const Json* reference(const std::string& name) override;
  // "layers.{i}.fc1", "hidden.{i+1}", "{L}.fc1": variables in a string, and in strings of 'let' that stand in one.
  void fill(std::string& literal) override { literal = filled(literal, 0); }
  // Sums and products of tensors, and a tensor times a number.
  lang::Value binary(const std::string& op, const lang::Value& a, const lang::Value& b) override;
  lang::KeyFacts* key_facts() override { return &facts_; }

  // For the parts. Throw Error "verify-missing" for a tensor that is not there; load_if() has no value then.
  Tensor load(const std::string& key, std::optional<Range> range = {});
  std::optional<Tensor> load_if(const std::string& key);
  Tensor load_joined(const std::string& pattern, int64_t axis);
  // What `evaluate` gives while these variables have other values.
  lang::Value with(const std::map<std::string, lang::Value>& variables, const std::function<lang::Value()>& evaluate);

 private:
  void steps(const std::vector<Step>& list);
  void run(const Step& step);
  void repeat(const Step& step);
  void record(const Step& step);
  std::string filled(const std::string& text, int depth);

  const ModelFile& model_;
  Weights weights_;
  PlanOptions options_;
  layout::CheckpointScope facts_;
  std::map<std::string, lang::Value> variables_;
  std::set<std::string> evaluating_;  // entries of 'let'
  size_t max_records_;
  std::vector<Record> records_;
};

}  // namespace remap::forward
