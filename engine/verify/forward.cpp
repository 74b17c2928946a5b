#include "verify/forward.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "lang/functions.h"
#include "verify/parts.h"
#include "verify/runner.h"

namespace remap::forward {

lang::Value value_of(Tensor tensor) { return lang::Value::opaque(std::move(tensor), "a tensor"); }

const Tensor* tensor_in(const lang::Value& value) { return std::any_cast<Tensor>(&value.held); }

std::vector<bool> booleans(const Json& list) {
  std::vector<bool> keep;
  for (const Json& entry : list) keep.push_back(entry.is_boolean() ? entry.get<bool>() : entry.get<int64_t>() != 0);
  return keep;
}

Runner::Runner(const ModelFile& model, const std::vector<NamedSource>& sources, const Json& config,
               const Sample& sample, const ForwardOptions& options, Diagnostics& diagnostics)
    : model_(model),
      weights_(model.space, sources, options.rounding, options.progress, diagnostics),
      options_{{}, {}, {}, options.documents, config, ""},
      facts_(model.space, weights_.keys(), sources, options_),
      max_records_(options.max_records) {
  for (const auto& [name, value] : sample.values) variables_[name] = lang::Value::of(value);
  for (const auto& [name, value] : sample.tensors) variables_[name] = value_of(value);
}

ForwardResult Runner::run() {
  steps(model_.steps);
  return {std::move(records_), std::move(weights_.loads)};
}

// ---------------------------------------------------------------- what expressions see

std::optional<lang::Value> Runner::lookup(const std::string& name) {
  if (const auto it = variables_.find(name); it != variables_.end()) return it->second;
  for (const auto& [entry, expression] : model_.space.let) {
    if (entry != name) continue;
    if (!evaluating_.insert(name).second)
      throw Error("expression-value", expression.written.place(), fmt::format("'{}' is defined by itself", name));
    struct Done {
      ~Done() { evaluating.erase(name); }
      std::set<std::string>& evaluating;
      const std::string& name;
    } done{evaluating_, name};
    return lang::evaluate(expression, *this);
  }
  return facts_.lookup(name);
}

const Json* Runner::reference(const std::string& name) {
  return variables_.contains(name) ? nullptr : facts_.reference(name);
}

namespace {

// The integer that `by`, "+1" or "-2" or "", makes of another; nullopt if one of them is none.
std::optional<int64_t> moved(const Json& json, std::string_view by) {
  int64_t amount = 0, result = 0;
  if (!json.is_number_integer()) return std::nullopt;
  if (!by.empty()) {
    if (by[0] == '+') by.remove_prefix(1);
    const auto [end, error] = std::from_chars(by.data(), by.data() + by.size(), amount);
    if (error != std::errc() || end != by.data() + by.size()) return std::nullopt;
  }
  return __builtin_add_overflow(json.get<int64_t>(), amount, &result) ? std::nullopt : std::optional(result);
}

}  // namespace

std::string Runner::filled(const std::string& text, int depth) {
  constexpr int kMaxDepth = 8;
  if (depth > kMaxDepth) throw Error("expression-value", {}, fmt::format("'{}' stands for itself", text));
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const size_t close = text[i] == '{' ? text.find('}', i) : std::string::npos;
    if (close == std::string::npos) {
      result += text[i++];
      continue;
    }
    const std::string body = text.substr(i + 1, close - i - 1);
    const size_t sign = std::min(body.find_first_of("+-"), body.size());
    const auto known = lookup(body.substr(0, sign));
    if (!known || known->state == lang::Value::State::missing || known->state == lang::Value::State::omit)
      result += text.substr(i, close + 1 - i);  // a hole of a pattern
    else if (known->json.is_string())
      result += filled(known->json.get<std::string>(), depth + 1);
    else if (const auto number = moved(known->json, body.substr(sign)))
      result += std::to_string(*number);
    else
      throw Error(
          "expression-value", {},
          fmt::format("'{{{}}}' in '{}' is not an integer, an integer moved by a number, or a string", body, text));
    i = close + 1;
  }
  return result;
}

lang::Value Runner::binary(const std::string& op, const lang::Value& a, const lang::Value& b) {
  const Tensor *x = tensor_in(a), *y = tensor_in(b);
  if (op != "+" && op != "*") return Scope::binary(op, a, b);
  if (x != nullptr && y != nullptr) return value_of(op == "+" ? add(*x, *y) : multiply(*x, *y));
  const Json& number = x != nullptr ? b.json : a.json;
  if (op == "*" && number.is_number()) return value_of(scale(x != nullptr ? *x : *y, number.get<float>()));
  throw Error("expression-value", {},
              op == "*" ? "a tensor is multiplied by a tensor or a number" : "a tensor is added to a tensor only");
}

// ---------------------------------------------------------------- steps

void Runner::steps(const std::vector<Step>& list) {
  for (const Step& step : list) {
    if (max_records_ > 0 && records_.size() >= max_records_) return;
    try {
      run(step);
    } catch (const Error& e) {
      if (!std::holds_alternative<std::monostate>(e.diagnostic().place)) throw;
      Diagnostic diagnostic = e.diagnostic();
      diagnostic.place = step.expression->written.place();
      throw Error(std::move(diagnostic));
    }
  }
}

void Runner::run(const Step& step) {
  switch (step.kind) {
    case Step::Kind::assign: variables_[step.name] = lang::evaluate_known(*step.expression, *this); break;
    case Step::Kind::record: record(step); break;
    case Step::Kind::when:
      if (lang::evaluate_condition(*step.expression, *this)) steps(step.steps);
      break;
    case Step::Kind::repeat: repeat(step); break;
  }
}

void Runner::repeat(const Step& step) {
  const Json count = lang::evaluate_present(*step.expression, *this);
  if (!count.is_number_integer())
    throw Error("expression-value", {}, fmt::format("'repeat' needs an integer; found {}", lang::shown(count)));
  for (int64_t i = 0; i < count.get<int64_t>(); ++i) {
    variables_[step.name] = lang::Value::of(Json(i));
    steps(step.steps);
  }
}

void Runner::record(const Step& step) {
  const lang::Value value = lang::evaluate_known(*step.expression, *this);
  const Tensor* tensor = tensor_in(value);
  if (tensor == nullptr)
    throw Error("expression-value", {}, fmt::format("'{}' is not a tensor", step.expression->text));
  Record record{filled(step.name, 0), *tensor, {}};
  const auto mask = variables_.find("mask");
  if (mask != variables_.end() && mask->second.json.is_array() &&
      static_cast<int64_t>(mask->second.json.size()) == record.value.rows())
    record.keep = booleans(mask->second.json);
  records_.push_back(std::move(record));
  weights_.n_records = records_.size();
}

// ---------------------------------------------------------------- for the parts

Tensor Runner::load(const std::string& key, std::optional<Range> range) {
  const auto* found = weights_.find(key);
  if (found == nullptr)
    throw Error("verify-missing", {}, fmt::format("the checkpoint has no tensor '{}'", key),
                "the forward pass of this layout needs it");
  return weights_.load(*found, range);
}

std::optional<Tensor> Runner::load_if(const std::string& key) {
  const auto* found = weights_.find(key);
  return found == nullptr ? std::nullopt : std::optional(weights_.load(*found, {}));
}

Tensor Runner::load_joined(const std::string& pattern, int64_t axis) {
  Diagnostics diagnostics;
  const auto parsed = lang::parse_pattern(pattern, {model_.space.text}, {}, diagnostics);
  if (!parsed) throw Error("expression-value", {}, diagnostics.items().front().message);
  return weights_.load_joined(*parsed, axis);
}

lang::Value Runner::with(const std::map<std::string, lang::Value>& variables,
                         const std::function<lang::Value()>& evaluate) {
  const auto outer = variables_;
  for (const auto& [name, value] : variables) variables_[name] = value;
  lang::Value result = evaluate();  // a pass that fails is not run on
  variables_ = outer;
  return result;
}

ForwardResult run_forward(const ModelFile& model, const std::vector<NamedSource>& sources, const Json& config,
                          const Sample& sample, const ForwardOptions& options) {
  Diagnostics diagnostics;
  Runner runner(model, sources, config, sample, options, diagnostics);
  if (diagnostics.has_errors()) throw Error(diagnostics.items().front());
  return runner.run();
}

}  // namespace remap::forward
