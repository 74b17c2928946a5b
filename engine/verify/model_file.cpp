#include "verify/model_file.h"

#include <fmt/format.h>

#include "base/text.h"

namespace remap::forward {

using lang::YamlNode;

const std::vector<lang::FunctionRow>& part_table() {
  static const std::vector<lang::FunctionRow> rows = {
      {"activation", 2, 2, "activation(x, name)", "gelu (erf), gelu_new, relu, tanh, silu", false},
      {"attention", 5, 7, "attention(q, k, v, heads, scale[, mask[, bias]])",
       "multi-head attention, k and v may have fewer heads; scale of the scores, or 'sqrt' for 1/sqrt(width of a "
       "head); mask: 1 for keys that count, or 'causal'",
       false},
      {"concat", 2, -1, "concat(a, b, …)", "rows after rows", false},
      {"conv1d", 4, 5, "conv1d(x, module, stride, padding[, groups])", "over the rows of x", false},
      {"conv2d", 4, 4, "conv2d(x, module, stride, padding)", "over an image [channels, height, width]", false},
      {"embedding", 2, 2, "embedding(key or table, ids)", "rows of a table", false},
      {"experts", 3, 3, "experts(x, logits, value)",
       "each row x goes to the expert e of its largest logit; its value, over the rows 'x' of that expert, times the "
       "softmax's probability",
       false},
      {"exponential", 1, 1, "exponential(x)", "e to the power of each element", false},
      {"frame_mask", 2, 2, "frame_mask(mask, convolutions)",
       "the mask after convolutions [[_, kernel, stride], …] without padding, of right-padded input", false},
      {"inverse_sqrt", 1, 1, "inverse_sqrt(n)", "1 / sqrt(n)", false},
      {"joined", 2, 2, "joined(pattern, axis)",
       "the tensors whose keys differ in one hole of the pattern, in order of its numbers, joined along axis 0 or 1",
       false},
      {"layer_norm", 2, 3, "layer_norm(x[, module], eps)", "over the last axis", false},
      {"length", 1, 1, "length(x)", "number of rows", false},
      {"linear", 2, 3, "linear(x, module[, activation])", "module.weight [out, in] and module.bias, if there is one",
       false},
      {"masked", 2, 2, "masked(x, mask)", "rows whose mask is 0 become 0", false},
      {"max_pool", 1, 1, "max_pool(x)", "2 x 2 of an image", false},
      {"normalised", 1, 1, "normalised(x)", "rows of length 1", false},
      {"part", 2, 3, "part(key, i) or part(key, begin, end)", "entry i of the first axis, or a range of it", false},
      {"patches", 1, 1, "patches(x)", "[channels, height, width] as height*width rows", false},
      {"positions", 3, 3, "positions(ids, pad, offset)",
       "running numbers of the tokens that are no padding, from offset; pad for padding", false},
      {"project", 2, 3, "project(x, weight[, bias])", "x W^T + b for values", false},
      {"relative_bias", 4, 5, "relative_bias(table, n_query, n_key, max_distance[, 'causal'])",
       "T5's relative position bias", false},
      {"repeated", 2, 2, "repeated(value, n)", "a list of n equal entries", false},
      {"rms_norm", 3, 3, "rms_norm(x, key, eps)", "root mean square norm", false},
      {"rotary", 4, 4, "rotary(x, heads, frequencies, pairs)",
       "rotary position embedding; pairs: 'neighbours' (2i, 2i+1) or 'halves' (i, i + half) of each head", false},
      {"rotary_frequencies", 2, 6, "rotary_frequencies(head, theta[, factor, low, high, original])",
       "theta^(-2i/head); with a factor, those of long wavelengths are divided by it", false},
      {"rows", 3, 3, "rows(x, begin, end)", "some rows of x", false},
      {"transposed", 1, 1, "transposed(x)", "of a matrix", false},
      {"weight", 1, 1, "weight(key)", "a tensor of the checkpoint, as float32", false},
  };
  return rows;
}

namespace {

class ModelParser {
 public:
  ModelParser(std::shared_ptr<const lang::SourceText> text, Diagnostics& diagnostics)
      : text_(std::move(text)), diagnostics_(diagnostics) {
    functions_ = lang::function_table();
    functions_.insert(functions_.end(), part_table().begin(), part_table().end());
  }

  std::optional<ModelFile> parse() {
    const auto root = parse_yaml(*text_, diagnostics_);
    if (!root) return std::nullopt;
    model_.space.text = text_;
    model_.space.sources.push_back({"", "", {""}, '.', ""});
    if (!root->is_map() || root->find("remap_model") == nullptr) {
      error(*root, "'remap_model: 1' is missing: this is no forward pass");
      return std::nullopt;
    }
    for (const auto& [key, value] : root->entries) section(key, value);
    return diagnostics_.has_errors() ? std::nullopt : std::optional(std::move(model_));
  }

 private:
  void error(const YamlNode& node, const std::string& message) {
    diagnostics_.error("model-syntax", place_of(*text_, node), message);
  }

  std::optional<lang::Expression> expression(const YamlNode& node) {
    if (!node.is_scalar())
      return error(node, fmt::format("an expression was expected; found {}", node.kind_name())), std::nullopt;
    return lang::parse_expression(node.text, {text_, node, 0}, diagnostics_, functions_);
  }

  void section(const YamlNode& key, const YamlNode& value) {
    static const std::vector<std::string> kSections = {"remap_model", "library", "source", "sources",
                                                       "normalise",   "let",     "inputs", "steps"};
    if (key.text == "library")
      model_.library = value.text;
    else if (key.text == "source")
      model_.space.sources.front() = source("", value);
    else if (key.text == "sources") {
      for (const auto& [name, spec] : value.entries) model_.space.sources.push_back(source(name.text, spec));
    } else if (key.text == "normalise")
      normalise(value);
    else if (key.text == "let") {
      for (const auto& [name, entry] : value.entries)
        if (auto parsed = expression(entry)) model_.space.let.emplace_back(name.text, std::move(*parsed));
    } else if (key.text == "inputs")
      inputs(value);
    else if (key.text == "steps")
      steps(value, model_.steps);
    else if (key.text != "remap_model")
      error(key, fmt::format("'{}' is no section of a forward pass; there are: {}", key.text, join(kSections, ", ")));
  }

  lang::SourceSpec source(const std::string& name, const YamlNode& node) {
    lang::SourceSpec spec{name, "", {}, '.', ""};
    if (const YamlNode* root = node.find("root")) {
      if (root->is_sequence())
        for (const auto& item : root->items) spec.roots.push_back(item.text);
      else
        spec.roots.push_back(root->text);
    }
    if (const YamlNode* files = node.find("files"))
      spec.files = lang::parse_pattern(files->text, {text_, *files, 0}, {}, diagnostics_);
    if (const YamlNode* separator = node.find("separator"))
      spec.separator = separator->text.empty() ? '.' : separator->text[0];
    if (spec.roots.empty()) spec.roots.emplace_back();
    return spec;
  }

  void normalise(const YamlNode& node) {
    for (const auto& item : node.items) {
      const YamlNode *from = item.find("from"), *to = item.find("to");
      if (from == nullptr || to == nullptr) {
        error(item, "an entry of 'normalise' has 'from' and 'to'");
        continue;
      }
      auto f = lang::parse_pattern(from->text, {text_, *from, 0}, {}, diagnostics_),
           t = lang::parse_pattern(to->text, {text_, *to, 0}, {}, diagnostics_);
      if (f && t) model_.space.normalise.push_back({std::move(*f), std::move(*t), place_of(*text_, item)});
    }
  }

  void inputs(const YamlNode& node) {
    for (const auto& [name, body] : node.entries) {
      InputSpec spec{name.text, "", "", "", {}};
      for (const auto& [field, value] : body.entries) {
        if (field.text == "kind")
          spec.kind = value.text;
        else if (field.text == "mask")
          spec.mask = value.text;
        else if (field.text == "like")
          spec.like = value.text;
        else if (auto parsed = expression(value))
          spec.fields.emplace_back(field.text, std::move(*parsed));
      }
      model_.inputs.push_back(std::move(spec));
    }
  }

  void steps(const YamlNode& node, std::vector<Step>& into) {
    if (!node.is_sequence()) return error(node, fmt::format("steps are a list; found {}", node.kind_name()));
    for (const auto& item : node.items) {
      if (!item.is_map() || item.entries.empty()) {
        error(item, "a step is 'name: value', 'record', 'repeat' or 'when'");
        continue;
      }
      step(item, into);
    }
  }

  void step(const YamlNode& item, std::vector<Step>& into) {
    const auto& [key, value] = item.entries.front();
    const bool repeat = key.text == "repeat", when = key.text == "when";
    if (repeat || when) {
      Step block;
      block.kind = repeat ? Step::Kind::repeat : Step::Kind::when;
      const YamlNode* count = &value;
      if (repeat) {
        if (!value.is_map() || value.entries.size() != 1)
          return error(value, "'repeat' names its counter: {i: number}");
        block.name = value.entries.front().first.text;
        count = &value.entries.front().second;
      }
      block.expression = expression(*count);
      if (const YamlNode* inner = item.find("steps"))
        steps(*inner, block.steps);
      else
        error(item, "'steps' is missing");
      into.push_back(std::move(block));
      return;
    }
    if (item.entries.size() != 1) return error(item, "a step has one name");
    if (key.text == "record") {
      if (!value.is_map()) return error(value, "'record' names what it records: {label: value}");
      for (const auto& [label, recorded] : value.entries)
        into.push_back({Step::Kind::record, label.text, expression(recorded), {}});
    } else {
      into.push_back({Step::Kind::assign, key.text, expression(value), {}});
    }
  }

  std::shared_ptr<const lang::SourceText> text_;
  Diagnostics& diagnostics_;
  std::vector<lang::FunctionRow> functions_;
  ModelFile model_;
};

}  // namespace

std::optional<ModelFile> parse_model_file(std::shared_ptr<const lang::SourceText> text, Diagnostics& diagnostics) {
  auto model = ModelParser(std::move(text), diagnostics).parse();
  diagnostics.sort();
  return model;
}

}  // namespace remap::forward
