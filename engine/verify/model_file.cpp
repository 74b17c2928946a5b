#include "verify/model_file.h"

#include <fmt/format.h>

#include "base/text.h"
#include "verify/part_table.h"

namespace remap::forward {

using lang::YamlNode;

namespace {

class ModelParser {
 public:
  ModelParser(std::shared_ptr<const lang::SourceText> text, Diagnostics& diagnostics)
      : text_(std::move(text)), diagnostics_(diagnostics) {}

  std::optional<ModelFile> parse() {
    const auto root = parse_yaml(*text_, diagnostics_);
    if (!root) return std::nullopt;
    model_.space.text = text_;
    model_.space.sources.push_back({"", "", {""}, '.', ""});
    if (!root->is_map() || root->find("remap_model") == nullptr) {
      error(*root, "'remap_model: 1' is missing: this is not a forward pass");
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
    return lang::parse_expression(node.text, span_of(text_, node), diagnostics_, forward_functions());
  }

  struct Section {
    std::string name;
    void (ModelParser::*read)(const YamlNode& value);
  };
  void section(const YamlNode& key, const YamlNode& value) {
    static const std::vector<Section> rows = {
        {"remap_model", &ModelParser::version}, {"library", &ModelParser::library},
        {"source", &ModelParser::first_source}, {"sources", &ModelParser::further_sources},
        {"normalise", &ModelParser::normalise}, {"let", &ModelParser::let},
        {"inputs", &ModelParser::inputs},       {"steps", &ModelParser::all_steps},
    };
    std::vector<std::string> names;
    for (const Section& section : rows) {
      if (section.name == key.text) return (this->*section.read)(value);
      names.push_back(section.name);
    }
    error(key, fmt::format("'{}' is not a section of a forward pass; there are: {}", key.text, join(names, ", ")));
  }

  void version(const YamlNode&) {}  // looked at before
  void library(const YamlNode& node) { model_.library = node.text; }
  void first_source(const YamlNode& node) { model_.space.sources.front() = source("", node); }
  void further_sources(const YamlNode& node) {
    for (const auto& [name, spec] : node.entries) model_.space.sources.push_back(source(name.text, spec));
  }
  void let(const YamlNode& node) {
    for (const auto& [name, entry] : node.entries)
      if (auto parsed = expression(entry)) model_.space.let.emplace_back(name.text, std::move(*parsed));
  }
  void all_steps(const YamlNode& node) { steps(node, model_.steps); }

  lang::SourceSpec source(const std::string& name, const YamlNode& node) {
    lang::SourceSpec spec{name, "", {}, '.', ""};
    if (const YamlNode* root = node.find("root")) {
      if (root->is_sequence())
        for (const auto& item : root->items) spec.roots.push_back(item.text);
      else
        spec.roots.push_back(root->text);
    }
    if (const YamlNode* files = node.find("files"))
      spec.files = lang::parse_pattern(files->text, span_of(text_, *files), {}, diagnostics_);
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
      auto f = lang::parse_pattern(from->text, span_of(text_, *from), {}, diagnostics_),
           t = lang::parse_pattern(to->text, span_of(text_, *to), {}, diagnostics_);
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
        block.name = value.entries.front().key.text;
        count = &value.entries.front().value;
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
  ModelFile model_;
};

}  // namespace

std::optional<ModelFile> parse_model_file(std::shared_ptr<const lang::SourceText> text, Diagnostics& diagnostics) {
  auto model = ModelParser(std::move(text), diagnostics).parse();
  diagnostics.sort();
  return model;
}

}  // namespace remap::forward
