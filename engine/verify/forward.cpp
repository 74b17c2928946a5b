#include "verify/forward.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "layout/checkpoint_scope.h"
#include "ops/cast.h"
#include "read/blocks.h"
#include "tensor/box.h"
#include "verify/parts.h"

namespace remap::forward {
namespace {

using lang::ExpressionNode;
using lang::NodeKind;

// A value of an expression: a tensor, or plain data.
struct Value {
  Json json;
  std::optional<Tensor> tensor;
  static Value of(Json j) { return {std::move(j), {}}; }
  static Value of(Tensor t) { return {{}, std::move(t)}; }
};

class Weights {
 public:
  Weights(const lang::KeySpace& space, const std::vector<NamedSource>& sources, const Rounding& rounding,
          Diagnostics& diagnostics)
      : sources_(sources), rounding_(rounding), keys_(space, sources, diagnostics) {}

  const layout::KeyTable& keys() const { return keys_; }
  const layout::SourceKey* find(const std::string& key) const {
    for (size_t s = 0; s < sources_.size(); ++s)
      if (const auto* found = keys_.find(s, key)) return found;
    return nullptr;
  }
  const TensorInfo& info(const layout::SourceKey& key) const {
    return sources_[key.source].source->manifest()[key.tensor];
  }

  // A range of the first axis, or all of it, as float32; in place where it is stored so.
  Tensor load(const layout::SourceKey& key, std::optional<std::pair<int64_t, int64_t>> range) {
    loads.push_back({{}, n_records});
    return read(key, range);
  }
  // Several tensors as one.
  Tensor load_joined(const std::vector<const layout::SourceKey*>& keys, int64_t axis) {
    loads.push_back({{}, n_records});
    std::vector<Tensor> parts;
    for (const auto* key : keys) parts.push_back(read(*key, {}));
    return parts.size() == 1 ? parts.front() : axis == 0 ? concat_rows(parts) : concat_columns(parts);
  }

  std::vector<Load> loads;
  size_t n_records = 0;

 private:
  Tensor read(const layout::SourceKey& key, std::optional<std::pair<int64_t, int64_t>> range) {
    const Source& source = *sources_[key.source].source;
    const TensorInfo& tensor = info(key);
    Box box{Shape(tensor.shape.size(), 0), tensor.shape};
    if (range) {
      if (tensor.shape.empty() || range->first < 0 || range->second > tensor.shape[0] || range->first > range->second)
        throw Error("verify-shape", {},
                    fmt::format("'{}' of shape {} has no part {} to {}", tensor.key, to_string(tensor.shape),
                                range->first, range->second));
      box.origin[0] = range->first;
      box.extent[0] = range->second - range->first;
    }
    loads.back().parts.push_back({key.source, key.tensor, box});
    const int64_t count = element_count(box.extent, tensor.key);
    const auto tiles = source.tile_boxes(key.tensor);
    if (tensor.dtype == DType::f32 && tiles.size() == 1 && !rounding_.contains({&source, key.tensor})) {
      const TileView view = source.load(key.tensor, 0, buffer_);
      const int64_t row =
          tensor.shape.empty() || tensor.shape[0] == 0 ? count : element_count(tensor.shape) / tensor.shape[0];
      if (view.fd >= 0 && is_dense(view, tensor.shape) && reinterpret_cast<uintptr_t>(view.data) % alignof(float) == 0)
        return {box.extent, nullptr, reinterpret_cast<const float*>(view.data) + (range ? range->first * row : 0)};
    }
    return read_values(source, key.tensor, box, rounding_);
  }

  static bool is_dense(const TileView& view, const Shape& shape) {
    const auto dense = row_major_strides(shape);
    for (size_t d = 0; d < shape.size(); ++d)
      if (shape[d] != 1 && view.strides[d] != dense[d]) return false;
    return true;
  }

  const std::vector<NamedSource>& sources_;
  const Rounding& rounding_;
  layout::KeyTable keys_;
  TileBuffer buffer_;
};

class Runner : public lang::Scope {
 public:
  Runner(const ModelFile& model, const std::vector<NamedSource>& sources, const Json& config, const Sample& sample,
         const ForwardOptions& options, Diagnostics& diagnostics)
      : model_(model),
        n_sources_(sources.size()),
        weights_(model.space, sources, options.rounding, diagnostics),
        options_{{}, {}, {}, options.documents, config, ""},
        facts_(model.space, weights_.keys(), sources, options_),
        max_records_(options.max_records) {
    for (const auto& [name, value] : sample.values) variables_[name] = Value::of(value);
    for (const auto& [name, value] : sample.tensors) variables_[name] = Value::of(value);
  }

  ForwardResult run() {
    steps(model_.steps);
    return {std::move(records_), std::move(weights_.loads)};
  }

  // What plain expressions see.
  std::optional<lang::Value> lookup(const std::string& name) override {
    const auto it = variables_.find(name);
    if (it != variables_.end() && !it->second.tensor) return lang::Value::of(it->second.json);
    if (it != variables_.end()) throw Error("expression-value", {}, fmt::format("'{}' is a tensor", name));
    for (const auto& [entry, expression] : model_.space.let)
      if (entry == name) return lang::evaluate(expression, *this);
    return facts_.lookup(name);
  }
  const Json* reference(const std::string& name) override {
    return variables_.contains(name) ? nullptr : facts_.reference(name);
  }
  std::optional<lang::Value> call(const std::string& function, const std::vector<Json>& arguments) override {
    std::vector<Json> filled = arguments;
    for (Json& argument : filled)
      if (argument.is_string()) argument = fill(argument.get<std::string>());
    if (function == "repeated")
      return lang::Value::of(Json(std::vector<Json>(static_cast<size_t>(filled[1].get<int64_t>()), filled[0])));
    if (function == "inverse_sqrt") return lang::Value::of(Json(1.0 / std::sqrt(filled[0].get<double>())));
    if (function == "rotary_frequencies") return lang::Value::of(frequencies(filled));
    if (function == "frame_mask") return lang::Value::of(frame_mask(filled));
    if (function == "positions") return lang::Value::of(positions(filled));
    return facts_.call(function, filled);
  }

 private:
  // ------------------------------------------------------------ steps

  void steps(const std::vector<Step>& list) {
    for (const Step& step : list) {
      if (max_records_ > 0 && records_.size() >= max_records_) return;
      try {
        run(step);
      } catch (const Error& e) {
        if (!std::holds_alternative<std::monostate>(e.diagnostic().place)) throw;
        throw Error(e.diagnostic().id, step.expression->written.place(), e.diagnostic().message, e.diagnostic().hint);
      }
    }
  }

  void run(const Step& step) {
    switch (step.kind) {
      case Step::Kind::assign: variables_[step.name] = value(*step.expression, step.expression->root); break;
      case Step::Kind::record: record(step); break;
      case Step::Kind::when:
        if (lang::evaluate_condition(*step.expression, *this)) steps(step.steps);
        break;
      case Step::Kind::repeat: {
        const Json count = lang::evaluate_present(*step.expression, *this);
        for (int64_t i = 0; i < count.get<int64_t>(); ++i) {
          variables_[step.name] = Value::of(Json(i));
          steps(step.steps);
        }
        break;
      }
    }
  }

  void record(const Step& step) {
    Value v = value(*step.expression, step.expression->root);
    if (!v.tensor) throw Error("expression-value", {}, fmt::format("'{}' is no tensor", step.expression->text));
    Record record{fill(step.name), std::move(*v.tensor), {}};
    const auto mask = variables_.find("mask");
    if (mask != variables_.end() && mask->second.json.is_array() &&
        static_cast<int64_t>(mask->second.json.size()) == record.value.rows())
      record.keep = booleans(mask->second.json);
    records_.push_back(std::move(record));
    weights_.n_records = records_.size();
  }

  // "layers.{i}.fc1", "hidden.{i+1}", "{L}.fc1": variables in a text, and in texts of 'let' that stand in one.
  std::string fill(const std::string& text, int depth = 0) {
    if (depth > 8) throw Error("expression-value", {}, fmt::format("'{}' stands for itself", text));
    std::string filled;
    for (size_t i = 0; i < text.size();) {
      const size_t close = text[i] == '{' ? text.find('}', i) : std::string::npos;
      if (close == std::string::npos) {
        filled += text[i++];
        continue;
      }
      const std::string body = text.substr(i + 1, close - i - 1);
      const size_t sign = body.find_first_of("+-");
      const auto known = lookup(body.substr(0, sign));
      if (!known || known->state != lang::Value::State::present)
        filled += text.substr(i, close + 1 - i);
      else if (known->json.is_string())
        filled += fill(known->json.get<std::string>(), depth + 1);
      else
        filled += std::to_string(known->json.get<int64_t>() +
                                 (sign == std::string::npos ? 0 : std::stoll(body.substr(sign))));
      i = close + 1;
    }
    return filled;
  }

  // ------------------------------------------------------------ expressions

  Value value(const lang::Expression& e, const ExpressionNode& node) {
    if (node.kind == NodeKind::name)
      if (const auto it = variables_.find(node.text); it != variables_.end()) return it->second;
    if (node.kind == NodeKind::literal && node.literal.is_string())
      return Value::of(Json(fill(node.literal.get<std::string>())));
    static const std::set<std::string> kArithmetic = {"+", "-", "*", "/", "//", "%"};
    if (node.kind == NodeKind::binary && kArithmetic.contains(node.text)) return arithmetic(e, node);
    if (node.kind == NodeKind::conditional)
      return value(e, condition(e, node.children[1]) ? node.children[0] : node.children[2]);
    if (node.kind == NodeKind::call &&
        std::any_of(part_table().begin(), part_table().end(), [&](const auto& row) { return row.name == node.text; }))
      return part(e, node);
    const lang::Value plain = lang::evaluate(e, node, *this);
    if (plain.state != lang::Value::State::present)
      throw Error(
          "expression-missing", {},
          fmt::format("'{}' has no value: {} is not there", e.text.substr(node.offset, node.length), plain.what));
    return Value::of(plain.json);
  }

  bool condition(const lang::Expression& e, const ExpressionNode& node) { return value(e, node).json == Json(true); }

  Value arithmetic(const lang::Expression& e, const ExpressionNode& node) {
    Value a = value(e, node.children[0]), b = value(e, node.children[1]);
    if (!a.tensor && !b.tensor) {  // as in every other expression, with what the sides came to
      ExpressionNode plain = node;
      for (size_t side = 0; side < 2; ++side) {
        plain.children[side] = {NodeKind::literal,           {},
                                side == 0 ? a.json : b.json, {},
                                node.children[side].offset,  node.children[side].length};
      }
      return Value::of(lang::evaluate(e, plain, *this).json);
    }
    if (node.text != "+" && node.text != "*")
      throw Error("expression-value", {}, fmt::format("'{}' is not defined for tensors", node.text));
    if (!a.tensor) std::swap(a, b);
    if (b.tensor) return Value::of(node.text == "+" ? add(*a.tensor, *b.tensor) : multiply(*a.tensor, *b.tensor));
    const auto number = b.json.get<float>();
    if (node.text == "*") return Value::of(scale(*a.tensor, number));
    throw Error("expression-value", {}, "a number cannot be added to a tensor");
  }

  // ------------------------------------------------------------ parts

  Tensor load(const std::string& key, std::optional<std::pair<int64_t, int64_t>> range = {}) {
    const auto* found = weights_.find(key);
    if (found == nullptr)
      throw Error("verify-missing", {}, fmt::format("the checkpoint has no tensor '{}'", key),
                  "the forward pass of this layout needs it");
    return weights_.load(*found, range);
  }
  std::optional<Tensor> load_if(const std::string& key) {
    const auto* found = weights_.find(key);
    return found == nullptr ? std::nullopt : std::optional(weights_.load(*found, {}));
  }

  static std::vector<bool> booleans(const Json& list) {
    std::vector<bool> keep;
    for (const Json& entry : list) keep.push_back(entry.is_boolean() ? entry.get<bool>() : entry.get<int64_t>() != 0);
    return keep;
  }
  static std::vector<int64_t> integers(const Json& list) { return list.get<std::vector<int64_t>>(); }

  static Json positions(const std::vector<Json>& a) {
    Json list = Json::array();
    int64_t next = a[2].get<int64_t>();
    for (const Json& id : a[0]) list.push_back(id == a[1] ? a[1].get<int64_t>() : next++);
    return list;
  }

  static Json frame_mask(const std::vector<Json>& a) {
    int64_t total = static_cast<int64_t>(a[0].size()), kept = 0;
    for (const bool keep : booleans(a[0])) kept += keep;
    for (const Json& conv : a[1]) {
      const int64_t kernel = conv.at(1).get<int64_t>(), stride = conv.at(2).get<int64_t>();
      total = (total - kernel) / stride + 1;
      kept = std::max<int64_t>((kept - kernel) / stride + 1, 0);
    }
    Json mask = Json::array();
    for (int64_t i = 0; i < total; ++i) mask.push_back(i < kept ? 1 : 0);
    return mask;
  }

  static Json frequencies(const std::vector<Json>& a) {
    const auto number = [&](size_t i) {
      return a[i].is_number() ? a[i].get<double>()
                              : throw Error("expression-value", {},
                                            fmt::format("argument {} of 'rotary_frequencies' is no number", i + 1));
    };
    if (a.size() != 2 && a.size() != 6)
      throw Error("expression-value", {},
                  "'rotary_frequencies' needs a head's width and theta, and of a scaling all four numbers");
    return rotary_frequencies(static_cast<int64_t>(number(0)), number(1),
                              a.size() == 2 ? RopeScaling{} : RopeScaling{number(2), number(3), number(4), number(5)});
  }

  // The tensors whose keys differ in the pattern's hole.
  Tensor joined(const std::string& text, int64_t axis) {
    Diagnostics diagnostics;
    const auto pattern = lang::parse_pattern(text, {model_.space.text, {}, 0}, {}, diagnostics);
    if (!pattern) throw Error("expression-value", {}, diagnostics.items().front().message);
    if (axis != 0 && axis != 1)
      throw Error("expression-value", {}, fmt::format("'joined' along axis {}: 0 or 1 was expected", axis));
    std::map<std::string, const layout::SourceKey*, decltype(&natural_less)> found(&natural_less);
    for (size_t s = 0; s < n_sources_; ++s)
      weights_.keys().match(
          s, lang::Matcher(*pattern, {}), [&](const layout::SourceKey& key, const lang::Captures& captures) {
            if (captures.holes.size() != 1)
              throw Error("expression-value", {},
                          fmt::format("'{}' has not one hole, whose numbers would order the parts", text));
            found.emplace(captures.holes.front().second, &key);
            return true;
          });
    if (found.empty())
      throw Error("verify-missing", {}, fmt::format("the checkpoint has no tensor '{}'", text),
                  "the forward pass of this layout needs it");
    std::vector<const layout::SourceKey*> keys;
    for (const auto& [number, key] : found) keys.push_back(key);
    return weights_.load_joined(keys, axis);
  }

  static Tensor masked(const Tensor& x, const std::vector<bool>& keep) {
    if (static_cast<int64_t>(keep.size()) != x.rows())
      throw Error("verify-shape", {}, fmt::format("a mask of {} for {} rows", keep.size(), x.rows()));
    NewTensor out(x.shape);
    for (int64_t r = 0; r < x.rows(); ++r)
      if (keep[static_cast<size_t>(r)])
        std::copy_n(x.data + r * x.columns(), x.columns(), out.data.get() + r * x.columns());
    return out;
  }

  Value part(const lang::Expression& e, const ExpressionNode& node) {
    const std::string& f = node.text;
    if (f == "experts") return Value::of(experts(e, node));
    std::vector<Value> a;
    for (const auto& child : node.children) a.push_back(value(e, child));
    const auto tensor = [&](size_t i) -> const Tensor& {
      if (i >= a.size() || !a[i].tensor)
        throw Error("expression-value", {}, fmt::format("argument {} of '{}' is no tensor", i + 1, f));
      return *a[i].tensor;
    };
    const auto text = [&](size_t i) {
      return a[i].json.is_string()
                 ? a[i].json.get<std::string>()
                 : throw Error("expression-value", {}, fmt::format("argument {} of '{}' is no text", i + 1, f));
    };
    const auto integer = [&](size_t i) {
      return a[i].json.is_number_integer()
                 ? a[i].json.get<int64_t>()
                 : throw Error("expression-value", {}, fmt::format("argument {} of '{}' is no integer", i + 1, f));
    };
    const auto number = [&](size_t i) {
      return a[i].json.is_number()
                 ? a[i].json.get<float>()
                 : throw Error("expression-value", {}, fmt::format("argument {} of '{}' is no number", i + 1, f));
    };

    if (f == "weight") return Value::of(load(text(0)));
    if (f == "part") {
      const int64_t begin = integer(1), end = a.size() == 3 ? integer(2) : begin + 1;
      Tensor t = load(text(0), std::pair{begin, end});
      if (a.size() == 2) t.shape.erase(t.shape.begin());
      return Value::of(std::move(t));
    }
    if (f == "joined") return Value::of(joined(text(0), integer(1)));
    if (f == "embedding") return Value::of(embedding(a[0].tensor ? tensor(0) : load(text(0)), integers(a[1].json)));
    if (f == "rotary") {
      if (text(3) != "neighbours" && text(3) != "halves")
        throw Error("expression-value", {}, fmt::format("'rotary' turns 'neighbours' or 'halves', not '{}'", text(3)));
      return Value::of(rotary(tensor(0), integer(1), a[2].json.get<std::vector<double>>(), text(3) == "neighbours"));
    }
    if (f == "linear") {
      const Tensor w = load(text(1) + ".weight");
      const auto bias = load_if(text(1) + ".bias");
      Tensor y = linear(tensor(0), w, bias ? &*bias : nullptr);
      return Value::of(a.size() == 3 ? activation(y, text(2)) : y);
    }
    if (f == "project") return Value::of(linear(tensor(0), tensor(1), a.size() == 3 ? &tensor(2) : nullptr));
    if (f == "layer_norm") {
      if (a.size() == 2) return Value::of(layer_norm(tensor(0), nullptr, nullptr, number(1)));
      const Tensor w = load(text(1) + ".weight"), b = load(text(1) + ".bias");
      return Value::of(layer_norm(tensor(0), &w, &b, number(2)));
    }
    if (f == "rms_norm") return Value::of(rms_norm(tensor(0), load(text(1)), number(2)));
    if (f == "activation") return Value::of(activation(tensor(0), text(1)));
    if (f == "attention") {
      AttentionOptions options;
      options.heads = integer(3);
      options.scale =
          a[4].json == Json("sqrt")
              ? 1.0f / std::sqrt(static_cast<float>(tensor(0).columns()) / static_cast<float>(options.heads))
              : number(4);
      std::vector<bool> keep;
      for (size_t i = 5; i < a.size(); ++i) {
        if (a[i].tensor)
          options.bias = &*a[i].tensor;
        else if (a[i].json == Json("causal"))
          options.causal = true;
        else if (a[i].json.is_array())
          keep = booleans(a[i].json), options.keep = &keep;
      }
      if (options.keep != nullptr && static_cast<int64_t>(keep.size()) != tensor(1).rows())
        throw Error("verify-shape", {}, fmt::format("a mask of {} for {} keys", keep.size(), tensor(1).rows()));
      return Value::of(attention(tensor(0), tensor(1), tensor(2), options));
    }
    if (f == "relative_bias")
      return Value::of(relative_bias(tensor(0), integer(1), integer(2), a.size() == 4, integer(3)));
    if (f == "conv1d" || f == "conv2d") {
      const Tensor w = load(text(1) + ".weight");
      const auto bias = load_if(text(1) + ".bias");
      const Tensor* b = bias ? &*bias : nullptr;
      return Value::of(f == "conv1d" ? conv1d(tensor(0), w, b, integer(2), integer(3), a.size() == 5 ? integer(4) : 1)
                                     : conv2d(tensor(0), w, b, integer(2), integer(3)));
    }
    if (f == "masked") return Value::of(masked(tensor(0), booleans(a[1].json)));
    if (f == "patches")
      return Value::of(
          transpose(reshape(tensor(0), {tensor(0).shape.at(0), tensor(0).size() / tensor(0).shape.at(0)})));
    if (f == "normalised") return Value::of(normalised(tensor(0)));
    if (f == "exponential") return Value::of(exponential(tensor(0)));
    if (f == "max_pool") return Value::of(max_pool_2(tensor(0)));
    if (f == "concat") {
      std::vector<Tensor> parts;
      for (size_t i = 0; i < a.size(); ++i) parts.push_back(tensor(i));
      return Value::of(concat_rows(parts));
    }
    if (f == "rows") return Value::of(rows(tensor(0), integer(1), integer(2)));
    if (f == "length") return Value::of(Json(a[0].tensor ? tensor(0).rows() : static_cast<int64_t>(a[0].json.size())));
    if (f == "transposed") return Value::of(transpose(tensor(0)));
    std::vector<Json> plain;
    for (const Value& argument : a) plain.push_back(argument.json);
    return Value::of(call(f, plain)->json);
  }

  // Top-1 routing with a capacity that drops nothing. One expert's weights are read at a time, and only of those that
  // were chosen.
  Tensor experts(const lang::Expression& e, const ExpressionNode& node) {
    const Value x = value(e, node.children[0]), logits = value(e, node.children[1]);
    if (!x.tensor || !logits.tensor) throw Error("expression-value", {}, "'experts' routes the rows of a tensor");
    const Tensor probabilities = softmax(*logits.tensor);
    const auto chosen = argmax_rows(probabilities);
    const auto outer_x = variables_["x"], outer_e = variables_["e"];
    NewTensor out(x.tensor->shape);
    const int64_t width = x.tensor->columns();
    for (const int64_t expert : std::set<int64_t>(chosen.begin(), chosen.end())) {
      std::vector<int64_t> mine;
      for (size_t r = 0; r < chosen.size(); ++r)
        if (chosen[r] == expert) mine.push_back(static_cast<int64_t>(r));
      variables_["x"] = Value::of(embedding(*x.tensor, mine));
      variables_["e"] = Value::of(Json(expert));
      const Value y = value(e, node.children[2]);
      if (!y.tensor || y.tensor->columns() != width)
        throw Error("verify-shape", {}, "an expert's value has another width than its input");
      for (size_t i = 0; i < mine.size(); ++i) {
        const float p = probabilities.data[mine[i] * probabilities.columns() + expert];
        for (int64_t c = 0; c < width; ++c)
          out.data[static_cast<size_t>(mine[i] * width + c)] = p * y.tensor->data[static_cast<int64_t>(i) * width + c];
      }
    }
    variables_["x"] = outer_x;
    variables_["e"] = outer_e;
    return out;
  }

  const ModelFile& model_;
  size_t n_sources_;
  Weights weights_;
  PlanOptions options_;
  layout::CheckpointScope facts_;
  std::map<std::string, Value> variables_;
  size_t max_records_;
  std::vector<Record> records_;
};

}  // namespace

Tensor read_values(const Source& source, size_t tensor, const Box& box, const Rounding& rounding) {
  auto bytes = read_bytes(source, tensor, box);
  DType dtype = source.manifest()[tensor].dtype;
  const auto whole = ops::normalised({0, 0, {{element_count(box.extent), 1, 1}}});
  if (const auto it = rounding.find({&source, tensor}); it != rounding.end()) {
    std::vector<std::byte> rounded(static_cast<size_t>(element_count(box.extent) * size_bytes(it->second)));
    ops::strided_cast(rounded.data(), it->second, bytes.data(), dtype, whole);
    bytes = std::move(rounded);
    dtype = it->second;
  }
  NewTensor out(box.extent);
  ops::strided_cast(reinterpret_cast<std::byte*>(out.data.get()), DType::f32, bytes.data(), dtype, whole);
  return out;
}

ForwardResult run_forward(const ModelFile& model, const std::vector<NamedSource>& sources, const Json& config,
                          const Sample& sample, const ForwardOptions& options) {
  Diagnostics diagnostics;
  Runner runner(model, sources, config, sample, options, diagnostics);
  if (diagnostics.has_errors()) throw Error(diagnostics.items().front());
  return runner.run();
}

}  // namespace remap::forward
