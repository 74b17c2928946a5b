#include "lang/schema.h"

#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "base/text.h"
#include "lang/sections.h"
#include "remap/nearest.h"

namespace remap::lang {
namespace {

// Keys that a schema expands to: fifteen times those of the largest architectures there are.
constexpr size_t kMaxExpanded = 2'000'000;

class SchemaParser {
 public:
  SchemaParser(std::shared_ptr<const SourceText> text, Diagnostics& diagnostics)
      : text_(std::move(text)), diagnostics_(diagnostics) {}

  std::optional<Schema> parse() {
    const auto root = parse_yaml(*text_, diagnostics_);
    if (!root) return std::nullopt;
    schema_.text = text_;
    if (!root->is_map()) {
      error(*root, "a schema file is a mapping");
      return std::nullopt;
    }
    for (const auto& [key, value] : root->entries) section(key, value);
    if (!has_version_) no_version(*root);
    if (!schema_.fields.empty()) check_names();
    if (diagnostics_.has_errors()) return std::nullopt;
    return std::move(schema_);
  }

 private:
  void error(const YamlNode& node, const std::string& message, const std::string& hint = {}) {
    diagnostics_.error("schema-syntax", place_of(*text_, node), message, hint);
  }

  struct Section {
    std::string name;
    void (SchemaParser::*read)(const YamlNode& value);
  };
  static const std::vector<Section>& sections() {
    static const std::vector<Section> rows = {
        {"remap_schema", &SchemaParser::version},
        {"model_type", &SchemaParser::model_type},
        {"library", &SchemaParser::library},
        {"fields", &SchemaParser::fields},
        {"aliases", &SchemaParser::aliases},
        {"config", &SchemaParser::config},
        {"implied", &SchemaParser::implied},
        {"require", &SchemaParser::requirements},
        {"tensors", &SchemaParser::common_tensors},
        {"base_model", &SchemaParser::base_model},
        {"architectures", &SchemaParser::architectures},
        {"spellings", &SchemaParser::spellings},
        {"files", &SchemaParser::files},
    };
    return rows;
  }

  void section(const YamlNode& key, const YamlNode& value) {
    std::vector<std::string> names;
    for (const Section& section : sections()) {
      if (section.name == key.text) return (this->*section.read)(value);
      names.push_back(section.name);
    }
    error(key, fmt::format("'{}' is not a section of a schema", key.text), did_you_mean(nearest_name(key.text, names)));
  }

  void version(const YamlNode& node) {
    has_version_ = true;
    if (node.text != "1") no_version(node);
  }
  void no_version(const YamlNode& node) {
    error(node, "'remap_schema: 1' is missing: the version of the schema language");
  }
  void model_type(const YamlNode& node) { schema_.model_type = node.text; }
  void library(const YamlNode& node) { schema_.library = node.text; }
  void fields(const YamlNode& node) { schema_.fields = parse_fields(*text_, node, diagnostics_); }
  void config(const YamlNode& node) { templates(node, schema_.config); }
  void implied(const YamlNode& node) { templates(node, schema_.implied); }
  void common_tensors(const YamlNode& node) { tensors(node, schema_.tensors); }
  void spellings(const YamlNode& node) {
    NodeReader in(text_, no_tables_, diagnostics_);
    read_spellings(in, "spellings", node, schema_.spellings);
  }
  void files(const YamlNode& node) {
    NodeReader in(text_, no_tables_, diagnostics_);
    read_files(in, node, schema_.files);
  }
  void architectures(const YamlNode& node) {
    if (!node.is_map()) return error(node, "'architectures' is a mapping of class names to tensors");
    for (const auto& [name, list] : node.entries) {
      schema_.architectures.emplace_back(name.text, std::vector<SchemaTensor>{});
      if (list.kind != YamlNode::Kind::null) tensors(list, schema_.architectures.back().second);
    }
  }

  void templates(const YamlNode& node, std::vector<Template::Field>& into) {
    if (!node.is_map()) return error(node, "a mapping of config fields was expected");
    for (const auto& [name, value] : node.entries)
      if (auto parsed = parse_template(text_, value, diagnostics_)) {
        parsed->name_place = place_of(*text_, name);
        into.push_back({name.text, std::move(*parsed)});
      }
  }

  void aliases(const YamlNode& node) {
    if (!node.is_map()) return error(node, "'aliases' is a mapping of other names to fields");
    for (const auto& [name, field] : node.entries) schema_.aliases.emplace_back(name.text, field.text);
  }

  // ------------------------------------------------------------ names of fields

  // What a schema says of fields that it does not list would hold for none.
  void check_names() {
    for (const auto* section : {&schema_.config, &schema_.implied})
      for (const auto& [name, value] : *section) check_template(schema_.fields, name, value);
    for (const auto& [other, name] : schema_.aliases)
      if (!is_field(schema_.fields, name))
        diagnostics_.error("schema-syntax", text_->place(1, 1),
                           fmt::format("the alias '{}' stands for '{}', which is not in 'fields'", other, name));
    for (const auto& requirement : schema_.require) check_expression(requirement.condition, {});
    for (const auto& file : schema_.files) {
      if (file.when) check_expression(*file.when, {});
      check_content(file.content);
    }
    for (const auto& tensor : schema_.tensors) check_tensor(tensor);
    for (const auto& [name, tensors] : schema_.architectures)
      for (const auto& tensor : tensors) check_tensor(tensor);
  }
  static bool is_field(const std::vector<ConfigField>& fields, const std::string& name) {
    return find_field(fields, name) != nullptr || find_field(common_fields().common, name) != nullptr;
  }
  void report_name(const std::vector<ConfigField>& fields, const std::string& name, const TextPlace& place) {
    diagnostics_.error("schema-syntax", place, fmt::format("'{}' is not in 'fields'", name),
                       did_you_mean(nearest_field(fields, name), "add it there if the class has it"));
  }
  void check_template(const std::vector<ConfigField>& fields, const std::string& name, const Template& value) {
    if (!is_field(fields, name)) return report_name(fields, name, value.name_place);
    const ConfigField* field = find_field(fields, name);
    if (field == nullptr || field->parts.empty()) return;
    for (const auto& [part, inner] : value.fields) check_template(field->parts, part, inner);
  }
  void check_content(const Template& content) {
    if (content.expression) check_expression(*content.expression, {});
    for (const Template& item : content.items) check_content(item);
    for (const auto& [name, value] : content.fields) check_content(value);
  }
  void check_tensor(const SchemaTensor& tensor) {
    std::vector<std::string> loops;
    for (const auto& token : tensor.key) {
      for (const auto* expression : {&token.list, &token.first, &token.last})
        if (*expression) check_expression(**expression, loops);
      if (!token.variable.empty()) loops.push_back(token.variable);
    }
    for (const auto& term : tensor.shape)
      if (term.expression) check_expression(*term.expression, loops);
    if (tensor.when) check_expression(*tensor.when, loops);
  }
  void check_expression(const Expression& expression, const std::vector<std::string>& loops) {
    visit(expression.root, [&](const ExpressionNode& node) {
      const bool member = node.kind == NodeKind::member && node.children[0].kind == NodeKind::name;
      if (!member && node.kind != NodeKind::name) return;
      const std::string& first = member ? node.children[0].text : node.text;
      if (std::find(loops.begin(), loops.end(), first) != loops.end()) return;
      const ConfigField* field = find_field(schema_.fields, first);
      // The name before the dot is visited by itself.
      if (member && field != nullptr && !field->parts.empty() && !is_field(field->parts, node.text))
        report_name(field->parts, node.text, expression.written.place(node.offset, node.length));
      if (!member && !is_field(schema_.fields, first))
        report_name(schema_.fields, first, expression.written.place(node.offset, node.length));
    });
  }

  void base_model(const YamlNode& node) {
    const YamlNode *architecture = node.find("architecture"), *prefix = node.find("prefix");
    if (architecture == nullptr || prefix == nullptr)
      return error(node, "'base_model' has 'architecture' and 'prefix'");
    schema_.base_architecture = architecture->text;
    schema_.base_prefix = prefix->text + ".";
  }

  void requirements(const YamlNode& node) {
    for (const auto& item : node.items) {
      const YamlNode *that = item.find("that"), *because = item.find("because");
      if (that == nullptr || because == nullptr)
        error(item, "a requirement has 'that' and 'because'");
      else if (auto condition = parse_expression(that->text, span_of(text_, *that), diagnostics_))
        schema_.require.push_back({std::move(*condition), because->text});
    }
  }

  void tensors(const YamlNode& node, std::vector<SchemaTensor>& into) {
    if (!node.is_map()) return error(node, "a mapping of keys to shapes was expected");
    for (const auto& [key, value] : node.entries) {
      SchemaTensor tensor;
      tensor.place = place_of(*text_, key);
      const YamlNode* shape = &value;
      if (value.is_map()) {
        shape = value.find("shape");
        if (const YamlNode* when = value.find("when"))
          tensor.when = parse_expression(when->text, span_of(text_, *when), diagnostics_);
        if (shape == nullptr) {
          error(value, "'shape' is missing");
          continue;
        }
      }
      auto terms = parse_shape(text_, *shape, diagnostics_);
      if (!terms) continue;
      tensor.shape = std::move(*terms);
      if (parse_key(key, tensor.key)) into.push_back(std::move(tensor));
    }
  }

  bool parse_key(const YamlNode& node, std::vector<SchemaKeyToken>& tokens) {
    const std::string& key = node.text;
    for (size_t i = 0; i < key.size();) {
      SchemaKeyToken token;
      if (key[i] != '{') {
        const size_t end = std::min(key.find('{', i), key.size());
        token.literal = key.substr(i, end - i);
        i = end;
      } else {
        const size_t close = key.find('}', i);
        if (close == std::string::npos) return error(node, "'{' is not closed"), false;
        if (!parse_choice(node, i + 1, key.substr(i + 1, close - i - 1), token)) return false;
        i = close + 1;
      }
      tokens.push_back(std::move(token));
    }
    return true;
  }

  bool parse_choice(const YamlNode& node, size_t offset, const std::string& body, SchemaKeyToken& token) {
    if (const size_t in = body.find(" in "); in != std::string::npos) {
      token.variable = body.substr(0, in);
      token.list = parse_expression(body.substr(in + 4), span_of(text_, node, offset + in + 4), diagnostics_);
      return token.list.has_value();
    }
    if (const size_t dots = body.find(".."); dots != std::string::npos) {
      token.first = parse_expression(body.substr(0, dots), span_of(text_, node, offset), diagnostics_);
      token.last = parse_expression(body.substr(dots + 2), span_of(text_, node, offset + dots + 2), diagnostics_);
      return token.first && token.last;
    }
    for (size_t start = 0; start <= body.size();) {
      const size_t bar = std::min(body.find('|', start), body.size());
      token.alternatives.push_back(body.substr(start, bar - start));
      start = bar + 1;
    }
    return true;
  }

  std::shared_ptr<const SourceText> text_;
  Diagnostics& diagnostics_;
  Schema schema_;
  const Tables no_tables_;
  bool has_version_ = false;
};

class ConfigScope : public Scope {
 public:
  explicit ConfigScope(const Json& config) : config_(config) {}
  std::optional<Value> lookup(const std::string& name) override {
    if (const auto it = loops.find(name); it != loops.end()) return Value::of(it->second);
    const auto it = config_.find(name);
    return it == config_.end() ? Value::missing(fmt::format("the config field '{}'", name)) : Value::of(*it);
  }
  std::map<std::string, Json> loops;

 private:
  const Json& config_;
};

class Expander {
 public:
  Expander(const Json& config, const VisitDemanded& visit) : scope_(config), visit_(visit) {}
  void expand(const SchemaTensor& tensor, const std::string& prefix = "") {
    always_.reset();
    key_ = prefix;
    step(tensor, 0);
  }

 private:
  // Goes on behind what `key_` holds already.
  void step(const SchemaTensor& tensor, size_t index) {
    if (index == tensor.key.size()) return emit(tensor);
    const SchemaKeyToken& token = tensor.key[index];
    const size_t length = key_.size();
    const auto with = [&](std::string_view text) {
      key_.append(text);
      step(tensor, index + 1);
      key_.resize(length);
    };
    if (token.list) {
      for (const Json& item : evaluate_present(*token.list, scope_)) {
        const Loop loop(scope_, token, item);
        with(item.is_string() ? item.get<std::string>() : item.dump());
      }
    } else if (token.first) {
      const int64_t first = integer(*token.first), last = integer(*token.last);
      for (int64_t i = first; i <= last; ++i) {
        const Loop loop(scope_, token, i);
        const fmt::format_int number(i);
        with({number.data(), number.size()});
        if (i == last) break;  // it may be the largest there is
      }
    } else if (!token.alternatives.empty()) {
      for (const auto& text : token.alternatives) with(text);
    } else {
      with(token.literal);
    }
  }
  // The loop's variable while it has one value.
  class Loop {
   public:
    Loop(ConfigScope& scope, const SchemaKeyToken& token, const Json& item) : scope_(scope), name_(token.variable) {
      if (!name_.empty()) scope_.loops[name_] = item;
    }
    ~Loop() {
      if (!name_.empty()) scope_.loops.erase(name_);
    }
    Loop(const Loop&) = delete;

   private:
    ConfigScope& scope_;
    const std::string& name_;
  };
  int64_t integer(const Expression& expression) {
    const Json value = evaluate_present(expression, scope_);
    if (!value.is_number_integer())
      throw Error("expression-value", expression.written.place(),
                  fmt::format("'{}' is {}; an integer was expected", expression.text, value.dump()));
    return value.get<int64_t>();
  }
  // Whether there is such a tensor, and in which shape, is evaluated once where no loop's variable can change it.
  void emit(const SchemaTensor& tensor) {
    // Those that a condition leaves out take their time, too.
    if (++n_expanded_ > kMaxExpanded)
      throw Error("limit-exceeded", tensor.place,
                  fmt::format("with this config the schema has more than {} tensors", kMaxExpanded),
                  "correct the sizes in the config");
    if (!always_ || !scope_.loops.empty()) {
      always_ = Emitted{!tensor.when || evaluate_condition(*tensor.when, scope_), {}};
      for (const DimTerm& term : tensor.shape)
        if (always_->any) always_->shape.push_back(term.expression ? integer(*term.expression) : -1);
    }
    if (!always_->any) return;
    visit_(key_, always_->shape, tensor);
  }

  struct Emitted {
    bool any = true;
    Shape shape;
  };
  ConfigScope scope_;
  const VisitDemanded& visit_;
  std::string key_;
  std::optional<Emitted> always_;  // of the tensor that is expanded
  size_t n_expanded_ = 0;
};

}  // namespace

std::optional<Schema> parse_schema(std::shared_ptr<const SourceText> text, Diagnostics& diagnostics) {
  auto schema = SchemaParser(std::move(text), diagnostics).parse();
  diagnostics.sort();
  return schema;
}

bool holds(const Requirement& requirement, const Json& config) {
  ConfigScope scope(config);
  return evaluate_condition(requirement.condition, scope);
}

ListedNames::ListedNames(const Schema& schema) : schema_(schema) {
  for (const auto& spelling : schema.spellings) matchers_.emplace_back(spelling.from, VariantValues());
}

std::optional<std::string> ListedNames::of(std::string_view key) const {
  Captures captures;
  for (size_t i = 0; i < matchers_.size(); ++i)
    if (matchers_[i].match(key, captures))
      return expand(schema_.spellings[i].to, schema_.spellings[i].from, captures, {}, {});
  return std::nullopt;
}

std::vector<std::pair<std::string, Json>> files_of(const Schema& schema, const Json& config) {
  std::vector<std::pair<std::string, Json>> files;
  ConfigScope scope(config);
  for (const FileSpec& file : schema.files) {
    if (file.when && !evaluate_condition(*file.when, scope)) continue;
    if (auto content = instantiate(file.content, scope)) files.emplace_back(file.name, std::move(*content));
  }
  return files;
}

void for_each_demanded(const Schema& schema, const std::string& architecture, const Json& config,
                       const VisitDemanded& visit) {
  Expander expander(config, visit);
  const auto own = std::find_if(schema.architectures.begin(), schema.architectures.end(),
                                [&](const auto& entry) { return entry.first == architecture; });
  if (own == schema.architectures.end()) {
    std::vector<std::string> names;
    for (const auto& [name, tensors] : schema.architectures) names.push_back(name);
    throw Error("schema-unknown-architecture", schema.text->place(1, 1),
                fmt::format("the schema has no architecture '{}'", architecture),
                fmt::format("it has: {}", remap::join(names, ", ")));
  }
  for (const auto& tensor : schema.tensors)
    expander.expand(tensor, architecture == schema.base_architecture ? "" : schema.base_prefix);
  for (const auto& tensor : own->second) expander.expand(tensor);
}

}  // namespace remap::lang
