#include "lang/rules.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/text.h"

namespace remap::lang {

const std::vector<FieldRow>& rule_field_table() {
  static const std::vector<FieldRow> rows = {
      {"because", "why a key is dropped; required with 'drop'", ""},
      {"cast", "the dtype of the target, whatever 'target.dtype' says", "cast back; only a widening one loses nothing"},
      {"concat",
       "{axis, of: {hole: [names]}} or {axis, each: hole}: keys that differ in the hole become one tensor, joined "
       "along an axis in the order given, or of their numbers",
       "split"},
      {"copy_of", "the target key that 'to' repeats", "the copy is left out"},
      {"drop", "a source key that is not carried over", "nothing can bring it back"},
      {"equal_to",
       "with 'drop': the source key whose values the dropped one must equal; --set twins=kept drops it even if they "
       "differ",
       "the twin is written again"},
      {"except", "patterns of keys that the rule does not take, although its own pattern matches them", ""},
      {"fill", "the constant that every element of the target is", "the tensor is left out"},
      {"from", "pattern of the source keys", ""},
      {"keep", "pattern of source keys that have the same name in the target: 'from' and 'to' at once", ""},
      {"linear", "[out, in, …]: 'from' and 'to' name modules with a weight of this shape and a bias [out]", "itself"},
      {"norm", "[n]: 'from' and 'to' name modules with a weight and a bias of this shape", "itself"},
      {"optional", "true: no complaint if no key matches", ""},
      {"permute", "[axes]: axis i of the target is axis permute[i] of the source", "the inverse permutation"},
      {"replicated",
       "a hole: keys that differ only in it must hold the same bytes, and the first is taken; --set replicas=first "
       "takes "
       "it even if they differ",
       "the first is written for all"},
      {"reshape", "the shape after regrouping elements in row-major order", "reshape"},
      {"shape", "the source tensor's shape: names bind dims, expressions are checked, _ is any size", ""},
      {"source", "the name of the source the keys are in, if there are several", ""},
      {"split",
       "{axis, each: hole} one key an index; {axis, into: {hole: [names]}} named parts; one whose name begins with _ "
       "is left to another rule",
       "stack or concat"},
      {"stack",
       "{axis, each: hole} or {axis, of: {hole: [names]}}: keys that differ in the hole become one tensor with a new "
       "axis, in the order of their numbers or of the names; after 'concat', if both are given",
       "split"},
      {"steps",
       "a list of transpose, permute, reshape, split (two of them cut twice), concat and stack, done in this order",
       "the inverse steps, in reverse order"},
      {"to", "the target key", ""},
      {"transpose", "true: the two axes of a matrix are exchanged", "transpose"},
      {"when", "a condition; where it is false, the rule does not exist", ""},
      {"within", "with 'rules': {from, to}, prefixes of all rules of the block", ""},
  };
  return rows;
}

const std::vector<FieldRow>& file_field_table() {
  static const std::vector<FieldRow> rows = {
      {"config", "fields of config.json that the checkpoint determines", ""},
      {"defaults", "fields of config.json that --config may replace", ""},
      {"family", "the name of the model family", ""},
      {"files", "further JSON files to write: file, content (a template), when", ""},
      {"let", "names for expressions", ""},
      {"maps", "tables that translate parts of keys", ""},
      {"normalise", "older spellings of keys, rewritten before the rules", ""},
      {"parameter_sum", "true: what is written must add up to what was read", ""},
      {"recognise", "a condition on keys and metadata: is this checkpoint of this family?", ""},
      {"remap", "version of the rule language: 1", ""},
      {"require", "conditions without which the checkpoint is refused, and why", ""},
      {"rules", "what becomes of every key", ""},
      {"source", "{format, root, files}: what is read", ""},
      {"sources", "further named sources: checkpoints, and files without tensors", ""},
      {"target", "{schema, model_type, architecture, dtype}: what is written", ""},
      {"title", "one line about the conversion", ""},
      {"variants", "named choices, detected from the checkpoint or set by the user", ""},
      {"verify", "{source, target}: names of the forward passes of both layouts (NAME.model.yaml)", ""},
  };
  return rows;
}

const std::vector<ChoiceRow>& choice_table() {
  static const auto has_rule = [](const RuleSet& set, bool (*is)(const Rule&)) {
    return std::any_of(set.rules.begin(), set.rules.end(), is);
  };
  static const std::vector<ChoiceRow> rows = {
      {"dtype", {}, "keep, float32, float16, bfloat16 or float64", [](const RuleSet&) { return true; }},
      {"root",
       {},
       "the prefix of the keys that are converted, in place of the rules' own",
       [](const RuleSet&) { return true; }},
      {"config",
       {"checked", "given"},
       "checked: --config may not contradict the checkpoint; given: what it says is taken",
       [](const RuleSet&) { return true; }},
      {"replicas",
       {"equal", "first"},
       "equal: copies that differ are refused; first: the first is taken, whatever the others hold",
       [](const RuleSet& set) { return has_rule(set, [](const Rule& rule) { return !rule.replicated.empty(); }); }},
      {"twins",
       {"equal", "kept"},
       "equal: a tensor that is dropped as equal to another, and is not, is refused; kept: the other is taken",
       [](const RuleSet& set) { return has_rule(set, [](const Rule& rule) { return rule.equal_to.has_value(); }); }},
      {"waive",
       {},
       "the checks to pass, by the names that their messages give, separated by commas",
       [](const RuleSet& set) {
         return std::any_of(set.require.begin(), set.require.end(),
                            [](const Requirement& r) { return !r.waive.empty(); });
       }},
  };
  return rows;
}

namespace {

std::vector<std::string> names_of(const std::vector<FieldRow>& rows) {
  std::vector<std::string> names;
  for (const auto& row : rows) names.emplace_back(row.name);
  return names;
}

class RuleParser {
 public:
  RuleParser(std::shared_ptr<const SourceText> text, Diagnostics& diagnostics, bool leave_unknown_names)
      : text_(std::move(text)), diagnostics_(diagnostics), leave_unknown_names_(leave_unknown_names) {}

  std::optional<RuleSet> parse() {
    const auto root = parse_yaml(*text_, diagnostics_);
    if (!root) return std::nullopt;
    set_.text = text_;
    if (!expect_map(*root, "a rule file")) return std::nullopt;
    check_fields(*root, names_of(file_field_table()), "a rule file");
    parse_version(*root);
    set_.family = required_text(*root, "family");
    set_.title = text_field(*root, "title").value_or("");
    if (const YamlNode* node = root->find("maps")) parse_tables(*node);
    parse_sources(*root);
    if (const YamlNode* node = root->find("target")) parse_target(*node);
    set_.recognise = expression_field(*root, "recognise");
    if (const YamlNode* node = root->find("variants")) parse_variants(*node);
    if (const YamlNode* node = root->find("let")) parse_let(*node);
    if (const YamlNode* node = root->find("normalise")) parse_normalise(*node);
    if (const YamlNode* node = root->find("require")) parse_require(*node);
    if (const YamlNode* node = root->find("rules"))
      parse_rule_list(*node, {}, {}, "", std::nullopt);
    else
      error("rule-missing-field", *root, "a rule file needs 'rules'");
    if (const YamlNode* node = root->find("config")) parse_templates(*node, set_.config);
    if (const YamlNode* node = root->find("defaults")) parse_templates(*node, set_.defaults);
    if (const YamlNode* node = root->find("files")) parse_files(*node);
    if (const YamlNode* node = root->find("verify"); node != nullptr && expect_map(*node, "'verify'")) {
      check_fields(*node, {"source", "target"}, "'verify'");
      set_.verify_source = name_field(*node, "source", &set_.verify_source_place);
      set_.verify_target = name_field(*node, "target", &set_.verify_target_place);
    }
    set_.parameter_sum = bool_field(*root, "parameter_sum").value_or(false);
    check_names();
    if (!diagnostics_.has_errors()) return std::move(set_);
    for (const auto& d : set_.unknown_names) diagnostics_.add(d);  // nobody will plan with them
    return std::nullopt;
  }

 private:
  void error(const std::string& id, const YamlNode& node, const std::string& message, const std::string& hint = {}) {
    diagnostics_.error(id, place_of(*text_, node), message, hint);
  }
  bool expect_map(const YamlNode& node, const std::string& what) {
    if (node.is_map()) return true;
    error("rule-wrong-type", node, fmt::format("{} is a mapping; found {}", what, node.kind_name()));
    return false;
  }
  bool expect_list(const YamlNode& node, const std::string& what) {
    if (node.is_sequence()) return true;
    error("rule-wrong-type", node, fmt::format("{} is a list; found {}", what, node.kind_name()));
    return false;
  }
  void check_fields(const YamlNode& map, const std::vector<std::string>& allowed, const std::string& what) {
    for (const auto& [key, value] : map.entries) {
      if (std::find(allowed.begin(), allowed.end(), key.text) != allowed.end()) continue;
      const std::string near = nearest_name(key.text, allowed);
      if (value.kind == YamlNode::Kind::null && key.text.find(' ') != std::string::npos) {
        error("rule-unknown-field", key, fmt::format("'{}' is not a field of {}", key.text, what),
              "a comma ends a value inside { }: quote strings that hold one");
        continue;
      }
      error("rule-unknown-field", key, fmt::format("'{}' is not a field of {}", key.text, what),
            near.empty() ? fmt::format("there are: {}", join_names(allowed)) : fmt::format("did you mean '{}'?", near));
    }
  }
  static std::string join_names(const std::vector<std::string>& names) { return remap::join(names, ", "); }

  std::optional<std::string> text_of(const YamlNode& node, const std::string& what) {
    if (node.is_scalar()) return node.text;
    error("rule-wrong-type", node, fmt::format("{} is a string; found {}", what, node.kind_name()));
    return std::nullopt;
  }
  std::optional<std::string> text_field(const YamlNode& map, const std::string& field) {
    const YamlNode* node = map.find(field);
    return node == nullptr ? std::nullopt : text_of(*node, "'" + field + "'");
  }
  std::string required_text(const YamlNode& map, const std::string& field) {
    if (map.find(field) == nullptr) error("rule-missing-field", map, fmt::format("'{}' is missing", field));
    return text_field(map, field).value_or("");
  }
  // The name of a file that is looked for beside the rules, never a path.
  std::string name_field(const YamlNode& map, const std::string& field, TextPlace* place) {
    const std::string name = text_field(map, field).value_or("");
    if (const YamlNode* node = map.find(field)) *place = place_of(*text_, *node);
    if (name.find_first_of("/\\") != std::string::npos || name.starts_with("."))
      error("rule-wrong-type", *map.find(field), fmt::format("'{}' is not a name", name),
            "a name without slashes; the file is found beside the rules or is built in");
    return name;
  }
  std::optional<bool> bool_field(const YamlNode& map, const std::string& field) {
    const YamlNode* node = map.find(field);
    if (node == nullptr) return std::nullopt;
    const Json json = to_json(*node);
    if (json.is_boolean()) return json.get<bool>();
    error("rule-wrong-type", *node, fmt::format("'{}' is true or false", field));
    return std::nullopt;
  }
  Written written(const YamlNode& node) const { return {text_, node, 0}; }
  std::optional<Expression> expression(const YamlNode& node, const std::string& what) {
    if (!node.is_scalar()) {
      error("rule-wrong-type", node, fmt::format("{} is an expression; found {}", what, node.kind_name()));
      return std::nullopt;
    }
    auto parsed = parse_expression(node.text, written(node), diagnostics_);
    if (parsed) note_names(*parsed);
    return parsed;
  }
  std::optional<Expression> expression_field(const YamlNode& map, const std::string& field) {
    const YamlNode* node = map.find(field);
    return node == nullptr ? std::nullopt : expression(*node, "'" + field + "'");
  }
  std::optional<KeyPattern> pattern(const YamlNode& node, const std::string& what) {
    if (!node.is_scalar()) {
      error("rule-wrong-type", node, fmt::format("{} is a key pattern; found {}", what, node.kind_name()),
            "quote patterns that begin with '*' or '{'");
      return std::nullopt;
    }
    auto parsed = parse_pattern(node.text, written(node), set_.tables, diagnostics_);
    if (parsed)
      for (const auto& token : parsed->tokens)
        if (token.kind == PatternToken::Kind::variant)
          variant_uses_.emplace_back(token.text, parsed->written.place(token.offset, token.length));
    return parsed;
  }

  // ------------------------------------------------------------ sections

  void parse_version(const YamlNode& root) {
    const YamlNode* version = root.find("remap");
    if (version == nullptr)
      error("rule-missing-field", root, "'remap: 1' is missing: the version of the rule language");
    else if (version->text != "1")
      error("rule-version", *version,
            fmt::format("version '{}' of the rule language; this program knows version 1", version->text));
  }

  void parse_tables(const YamlNode& node) {
    if (!expect_map(node, "'maps'")) return;
    for (const auto& [name, entries] : node.entries) {
      if (!expect_map(entries, "a table")) continue;
      Table table;
      for (const auto& [key, value] : entries.entries)
        if (const auto text = text_of(value, "an entry")) table.emplace_back(key.text, *text);
      if (table.empty()) error("rule-wrong-type", entries, "a table needs entries");
      set_.tables.emplace(name.text, std::move(table));
    }
  }

  // Formats of checkpoints; and of files without tensors, which only 'sources' can name.
  static const std::vector<std::string>& formats() {
    static const std::vector<std::string> names = {"torch", "t5x", "safetensors"};
    return names;
  }
  static const std::vector<std::string>& document_formats() {
    static const std::vector<std::string> names = {"json", "lines"};
    return names;
  }
  static bool is_one_of(const std::string& name, const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  }

  // `further`: it stands under 'sources'.
  SourceSpec parse_source(const YamlNode& node, std::string name, bool further) {
    SourceSpec spec;
    spec.name = std::move(name);
    spec.roots = {""};
    if (!expect_map(node, "a source")) return spec;
    spec.format = text_field(node, "format").value_or("");
    spec.doc = text_field(node, "doc").value_or("");
    const bool known = spec.format.empty() || is_one_of(spec.format, formats());
    std::vector<std::string> fields = {"format", "root", "files", "doc"};
    if (further) fields.emplace_back("beside");
    check_fields(node, fields, "a source");
    if (const YamlNode* beside = further && known ? node.find("beside") : nullptr)
      error("rule-field-combination", *beside, "'beside' is a field of files without tensors, and this is a checkpoint",
            fmt::format("the formats of files without tensors are: {}", join_names(document_formats())));
    if (!known)
      error("rule-wrong-type", *node.find("format"), fmt::format("'{}' is not a format that remap reads", spec.format),
            fmt::format(
                "there are: {}{}", join_names(formats()),
                further ? fmt::format("; and for files without tensors: {}", join_names(document_formats())) : ""));
    spec.separator = spec.format == "t5x" ? '/' : '.';
    if (const YamlNode* root = node.find("root")) {
      spec.roots.clear();
      if (root->is_sequence())
        for (const auto& item : root->items) spec.roots.push_back(item.text);
      else
        spec.roots.push_back(root->text);
    }
    if (const YamlNode* files = node.find("files"))
      if ((spec.files = pattern(*files, "'files'")) && !is_file_pattern(*spec.files))
        error("rule-wrong-type", *files, "'files' is a file name with holes that number the files",
              "for example: model.{rank}.pt");
    return spec;
  }
  static bool is_file_pattern(const KeyPattern& p) {
    const auto is = [](PatternToken::Kind kind) { return [kind](const PatternToken& t) { return t.kind == kind; }; };
    using Kind = PatternToken::Kind;
    return !p.is_regex && p.text.find('/') == std::string::npos &&
           std::any_of(p.tokens.begin(), p.tokens.end(), is(Kind::hole)) &&
           std::all_of(p.tokens.begin(), p.tokens.end(),
                       [&](const PatternToken& t) { return is(Kind::hole)(t) || is(Kind::literal)(t); });
  }
  void parse_sources(const YamlNode& root) {
    if (const YamlNode* node = root.find("source"))
      set_.sources.push_back(parse_source(*node, "", false));
    else {
      error("rule-missing-field", root, "'source' is missing", "for example: source: {format: torch, root: model}");
      set_.sources.push_back({});
    }
    if (const YamlNode* node = root.find("sources"); node != nullptr && expect_map(*node, "'sources'"))
      for (const auto& [name, spec] : node->entries) {
        const YamlNode* format = spec.is_map() ? spec.find("format") : nullptr;
        if (format != nullptr && is_one_of(format->text, document_formats()))
          parse_document(name.text, spec);
        else
          set_.sources.push_back(parse_source(spec, name.text, true));
      }
  }
  void parse_document(const std::string& name, const YamlNode& node) {
    check_fields(node, {"format", "beside", "doc"}, "a document");
    DocumentSpec spec{name, text_field(node, "format").value_or(""), text_field(node, "beside").value_or(""),
                      text_field(node, "doc").value_or("")};
    if (spec.beside.find('/') != std::string::npos)
      error("rule-wrong-type", *node.find("beside"), "'beside' is the name of a file, not a path");
    set_.documents.push_back(std::move(spec));
  }

  static bool is_further_file(const std::string& name) {
    constexpr size_t kMaxBytes = 255;  // of a name, on common file systems
    const bool plain = !name.empty() && name.size() <= kMaxBytes && name != "." && name != ".." &&
                       name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
    return plain && name != "config.json" && !name.ends_with(".safetensors") &&
           !name.ends_with(".safetensors.index.json");
  }
  void parse_files(const YamlNode& node) {
    if (!expect_list(node, "'files'")) return;
    for (const auto& item : node.items) {
      if (!expect_map(item, "a file")) continue;
      check_fields(item, {"file", "content", "when"}, "a file");
      FileSpec spec;
      spec.name = required_text(item, "file");
      if (const YamlNode* name = item.find("file"); name != nullptr && !is_further_file(spec.name))
        error("rule-wrong-type", *name, fmt::format("'{}' is not a name for a further file", spec.name),
              "a name without slashes, other than config.json and the files of tensors");
      spec.when = expression_field(item, "when");
      const YamlNode* content = item.find("content");
      if (content == nullptr) {
        error("rule-missing-field", item, "'content' is missing: what the file holds");
        continue;
      }
      if (auto value = template_of(*content)) spec.content = std::move(*value);
      set_.files.push_back(std::move(spec));
    }
  }

  void parse_target(const YamlNode& node) {
    if (!expect_map(node, "'target'")) return;
    check_fields(node, {"schema", "model_type", "architecture", "dtype"}, "'target'");
    set_.schema = name_field(node, "schema", &set_.schema_place);
    if (const YamlNode* model_type = node.find("model_type")) {
      set_.model_type = text_of(*model_type, "'model_type'").value_or("");
      set_.model_type_place = place_of(*text_, *model_type);
    }
    if (const YamlNode* architecture = node.find("architecture")) set_.architecture = template_of(*architecture);
    if (const YamlNode* dtype = node.find("dtype")) set_.dtype = dtype_of(*dtype);
  }
  std::optional<DType> dtype_of(const YamlNode& node) {
    const auto dtype = parse_dtype(node.text);
    if (!dtype)
      error("rule-wrong-type", node, fmt::format("'{}' is not a dtype", node.text),
            "for example float32, float16, bfloat16");
    return dtype;
  }

  void parse_variants(const YamlNode& node) {
    if (!expect_map(node, "'variants'")) return;
    for (const auto& [name, body] : node.entries) {
      Variant variant;
      variant.name = name.text;
      variant.place = place_of(*text_, name);
      for (const auto& choice : choice_table())
        if (choice.name == name.text)
          error("rule-wrong-type", name, fmt::format("'{}' is a choice that every rule file has", name.text),
                "give the variant another name");
      if (!expect_map(body, "a variant")) continue;
      check_fields(body, {"detect", "values", "doc"}, "a variant");
      variant.detect = expression_field(body, "detect");
      variant.values = expression_field(body, "values");
      variant.doc = text_field(body, "doc").value_or("");
      if (!body.find("detect"))
        error("rule-missing-field", body,
              fmt::format("variant '{}' needs 'detect': an expression that gives its value", name.text));
      set_.variants.push_back(std::move(variant));
    }
  }

  void parse_let(const YamlNode& node) {
    if (!expect_map(node, "'let'")) return;
    for (const auto& [name, value] : node.entries)
      if (auto parsed = expression(value, "an entry of 'let'")) set_.let.emplace_back(name.text, std::move(*parsed));
  }

  void parse_normalise(const YamlNode& node) {
    if (!expect_list(node, "'normalise'")) return;
    for (const auto& item : node.items) {
      if (!expect_map(item, "an entry of 'normalise'")) continue;
      check_fields(item, {"from", "to"}, "'normalise'");
      const YamlNode *from = item.find("from"), *to = item.find("to");
      if (from == nullptr || to == nullptr) {
        error("rule-missing-field", item, "an entry of 'normalise' needs 'from' and 'to'");
        continue;
      }
      auto f = pattern(*from, "'from'"), t = pattern(*to, "'to'");
      if (!f || !t) continue;
      check_expansion(*t, *f, {}, set_.tables, diagnostics_);
      set_.normalise.push_back({std::move(*f), std::move(*t), place_of(*text_, item)});
    }
  }

  void parse_require(const YamlNode& node) {
    if (!expect_list(node, "'require'")) return;
    for (const auto& item : node.items) {
      if (!expect_map(item, "an entry of 'require'")) continue;
      check_fields(item, {"that", "because", "hint", "waive"}, "'require'");
      const auto because = required_text(item, "because");
      const std::string waive = text_field(item, "waive").value_or("");
      std::optional<Template> hint;
      if (const YamlNode* node_of_hint = item.find("hint")) hint = template_of(*node_of_hint);
      if (waive.find_first_of(", =") != std::string::npos)
        error("rule-wrong-type", *item.find("waive"), fmt::format("'{}' is not a name", waive),
              "letters, digits, '-' and '_'");
      const YamlNode* that = item.find("that");
      if (that == nullptr)
        error("rule-missing-field", item, "'that' is missing: the condition");
      else if (auto condition = expression(*that, "'that'"))
        set_.require.push_back({std::move(*condition), because, std::move(hint), waive});
    }
  }

  std::optional<Template> template_of(const YamlNode& node) {
    auto value = parse_template(text_, node, diagnostics_);
    if (value) note_template(*value);
    return value;
  }
  void parse_templates(const YamlNode& node, std::vector<std::pair<std::string, Template>>& into) {
    if (!expect_map(node, "this section")) return;
    for (const auto& [name, value] : node.entries)
      if (auto parsed = template_of(value)) {
        parsed->name_place = place_of(*text_, name);
        into.emplace_back(name.text, std::move(*parsed));
      }
  }

  // ------------------------------------------------------------ rules

  using Prefix = KeyPattern;

  void parse_rule_list(const YamlNode& list, const Prefix& from, const Prefix& to, const std::string& source,
                       const std::optional<Expression>& when) {
    if (!expect_list(list, "'rules'")) return;
    for (const auto& item : list.items) {
      if (!expect_map(item, "a rule")) continue;
      if (item.find("within") != nullptr || item.find("rules") != nullptr)
        parse_block(item, from, to, source, when);
      else
        parse_rule(item, from, to, source, when);
    }
  }

  char separator(const std::string& source) const {
    for (const auto& spec : set_.sources)
      if (spec.name == source) return spec.separator;
    return '.';
  }

  std::string source_field(const YamlNode& item, const std::string& inherited) {
    const auto name = text_field(item, "source");
    if (!name) return inherited;
    if (std::none_of(set_.sources.begin(), set_.sources.end(), [&](const SourceSpec& s) { return s.name == *name; }))
      error("rule-unknown-source", *item.find("source"), fmt::format("there is no source '{}'", *name),
            "name it under 'sources'");
    return *name;
  }

  // Both conditions must hold: that of the rule and those of the blocks around it.
  std::optional<Expression> when_field(const YamlNode& item, const std::optional<Expression>& outer) {
    auto own = expression_field(item, "when");
    if (!own) return outer;
    if (!outer) return own;
    error("rule-wrong-type", *item.find("when"), "the block around this rule has a 'when' already",
          "say both in one condition, or leave one out");
    return own;
  }

  // 'within' gives the rules of a block prefixes; a block may do without, and share a 'when' or a 'source' alone.
  void parse_block(const YamlNode& item, const Prefix& from, const Prefix& to, const std::string& source,
                   const std::optional<Expression>& when) {
    check_fields(item, {"within", "rules", "when", "source"}, "a block of rules");
    const YamlNode* within = item.find("within");
    if (within != nullptr) {
      if (!expect_map(*within, "'within'")) return;
      check_fields(*within, {"from", "to"}, "'within'");
    }
    const std::string own_source = source_field(item, source);
    const auto prefix = [&](const char* field, const Prefix& outer, char sep) -> Prefix {
      const YamlNode* node = within == nullptr ? nullptr : within->find(field);
      if (node == nullptr) return outer;
      auto parsed = pattern(*node, fmt::format("'{}'", field));
      if (!parsed) return outer;
      if (parsed->is_regex) error("pattern-syntax", *node, "an expression cannot be a prefix");
      return join(outer, sep, *parsed);
    };
    const YamlNode* rules = item.find("rules");
    if (rules == nullptr) {
      error("rule-missing-field", item, "a 'within' block needs 'rules'");
      return;
    }
    const Prefix new_from = prefix("from", from, separator(own_source)), new_to = prefix("to", to, '.');
    parse_rule_list(*rules, new_from, new_to, own_source, when_field(item, when));
  }

  void parse_rule(const YamlNode& item, const Prefix& from, const Prefix& to, const std::string& source,
                  const std::optional<Expression>& when) {
    check_fields(item, names_of(rule_field_table()), "a rule");
    Rule rule;
    rule.place = place_of(*text_, item);
    rule.source = source_field(item, source);
    rule.when = when_field(item, when);
    rule.optional = bool_field(item, "optional").value_or(false);
    if (item.find("drop")) return parse_drop(item, from, std::move(rule));
    if (item.find("fill") || item.find("copy_of")) return parse_made(item, to, std::move(rule));
    parse_move(item, from, to, std::move(rule));
  }

  void only_fields(const YamlNode& item, const std::vector<std::string>& allowed, const std::string& what) {
    for (const auto& [key, value] : item.entries)
      if (std::find(allowed.begin(), allowed.end(), key.text) == allowed.end() &&
          std::any_of(rule_field_table().begin(), rule_field_table().end(),
                      [&](const FieldRow& r) { return r.name == key.text; }))
        error("rule-field-combination", key, fmt::format("'{}' has no meaning beside {}", key.text, what));
  }

  KeyPattern in_source(const Prefix& prefix, const std::string& source, const KeyPattern& pattern) {
    return join(prefix, separator(source), pattern);
  }

  void parse_except(const YamlNode& item, const Prefix& prefix, Rule& rule) {
    if (const YamlNode* except = item.find("except")) {
      const std::vector<YamlNode> list = except->is_sequence() ? except->items : std::vector<YamlNode>{*except};
      for (const auto& node : list)
        if (auto p = pattern(node, "'except'")) rule.except.push_back(in_source(prefix, rule.source, *p));
    }
  }

  void parse_drop(const YamlNode& item, const Prefix& prefix, Rule rule) {
    only_fields(item, {"drop", "because", "except", "equal_to", "when", "optional", "source"}, "'drop'");
    rule.kind = Rule::Kind::drop;
    const auto key = pattern(*item.find("drop"), "'drop'");
    rule.because = text_field(item, "because").value_or("");
    if (rule.because.empty())
      diagnostics_.error("rule-drop-without-reason", rule.place, "a key is dropped without saying why",
                         "add 'because: …'");
    parse_except(item, prefix, rule);
    if (!key) return;
    rule.from = in_source(prefix, rule.source, *key);
    if (const YamlNode* twin = item.find("equal_to"))
      if (auto p = pattern(*twin, "'equal_to'")) {
        rule.equal_to = in_source(prefix, rule.source, *p);
        check_expansion(*rule.equal_to, rule.from, {}, set_.tables, diagnostics_);
      }
    rule.summary = rule.from.text + " → (dropped)";
    set_.rules.push_back(std::move(rule));
  }

  void parse_made(const YamlNode& item, const Prefix& prefix, Rule rule) {
    const bool fill = item.find("fill") != nullptr;
    rule.kind = fill ? Rule::Kind::fill : Rule::Kind::copy;
    only_fields(item,
                fill ? std::vector<std::string>{"to", "fill", "shape", "cast", "when"}
                     : std::vector<std::string>{"to", "copy_of", "when"},
                fill ? "'fill'" : "'copy_of'");
    const YamlNode* to = item.find("to");
    if (to == nullptr) return error("rule-missing-field", item, "'to' is missing: the target key");
    if (auto p = pattern(*to, "'to'")) rule.to = join(prefix, '.', *p);
    check_expansion(rule.to, {}, {}, set_.tables, diagnostics_);
    if (fill) {
      const Json value = to_json(*item.find("fill"));
      if (!value.is_number())
        error("rule-wrong-type", *item.find("fill"), "'fill' is a number");
      else
        rule.fill = value.get<double>();
      parse_shape_field(item, "shape", rule);
      if (item.find("shape") == nullptr) error("rule-missing-field", item, "'fill' needs 'shape'");
      if (rule.shape &&
          std::any_of(rule.shape->begin(), rule.shape->end(), [](const DimTerm& term) { return !term.expression; }))
        error("rule-wrong-type", *item.find("shape"), "'_' does not say a size; 'fill' needs one for every axis");
      if (const YamlNode* cast = item.find("cast")) rule.cast = dtype_of(*cast);
      rule.summary = fmt::format("{} → {}", item.find("fill")->text, rule.to.text);
    } else if (auto p = pattern(*item.find("copy_of"), "'copy_of'")) {
      rule.copy_of = join(prefix, '.', *p);
      rule.summary = fmt::format("{} → {}", rule.copy_of.text, rule.to.text);
    }
    set_.rules.push_back(std::move(rule));
  }

  void parse_shape_field(const YamlNode& item, const char* field, Rule& rule) {
    const YamlNode* node = item.find(field);
    if (node == nullptr) return;
    rule.shape_place = place_of(*text_, *node);
    rule.shape = parse_shape(text_, *node, diagnostics_);
    if (rule.shape)
      for (const DimTerm& term : *rule.shape)
        if (term.expression) note_dims(*term.expression);
  }

  void parse_move(const YamlNode& item, const Prefix& from_prefix, const Prefix& to_prefix, Rule rule) {
    only_fields(item,
                {"from", "to", "keep", "shape", "linear", "norm", "transpose", "permute", "reshape", "steps", "split",
                 "stack", "concat", "replicated", "cast", "when", "optional", "source", "except"},
                "'from'");
    const YamlNode *from = item.find("from"), *to = item.find("to"), *keep = item.find("keep");
    if (keep != nullptr && (from != nullptr || to != nullptr))
      return error("rule-field-combination", *keep, "'keep' is 'from' and 'to' at once");
    if (keep != nullptr) from = to = keep;
    if (from == nullptr || to == nullptr) {
      error("rule-missing-field", item, from == nullptr ? "'from' is missing" : "'to' is missing",
            "a rule has 'from' and 'to', or 'keep', or 'drop', or 'to' with 'fill' or 'copy_of'; a block has 'rules'");
      return;
    }
    auto source_key = pattern(*from, "'from'"), target_key = keep != nullptr ? source_key : pattern(*to, "'to'");
    if (!source_key || !target_key) return;
    if (source_key->is_regex && !from_prefix.tokens.empty())
      error("pattern-syntax", *from, "an expression matches the whole key; it cannot stand in a 'within' block");
    rule.from = in_source(from_prefix, rule.source, *source_key);
    rule.to = join(to_prefix, '.', *target_key);
    rule.summary = fmt::format("{} → {}", rule.from.text, rule.to.text);
    parse_except(item, from_prefix, rule);
    parse_operations(item, rule);
    std::vector<std::string> extra;
    for (const auto* split : {&rule.split, &rule.inner_split})
      if (*split) extra.push_back((*split)->hole);
    check_expansion(rule.to, rule.from, extra, set_.tables, diagnostics_);
    check_holes(rule, *to, *from);
    expand_module(item, std::move(rule));
  }

  static bool has_hole(const KeyPattern& p, const std::string& name) {
    return std::any_of(p.tokens.begin(), p.tokens.end(),
                       [&](const PatternToken& t) { return t.kind == PatternToken::Kind::hole && t.text == name; });
  }
  void check_holes(const Rule& rule, const YamlNode& to, const YamlNode& from) {
    const auto taken = [](const AxisParts& split) {
      return std::count_if(split.parts.begin(), split.parts.end(),
                           [](const AxisPart& p) { return !is_left_part(p.name); });
    };
    for (const auto* split : {&rule.split, &rule.inner_split})
      if (*split && !has_hole(rule.to, (*split)->hole) && ((*split)->each || taken(**split) > 1))
        error("pattern-missing-capture", to,
              fmt::format("'split' gives '{{{}}}', which the target key does not have: all parts would have one name",
                          (*split)->hole));
    std::set<std::string> gone;
    const auto check_gone = [&](const std::string& hole, const char* what) {
      if (!has_hole(rule.from, hole))
        error("pattern-missing-capture", from,
              fmt::format("'{{{}}}' is {}, but is not a hole of the source key", hole, what));
      if (has_hole(rule.to, hole))
        error("pattern-missing-capture", to, fmt::format("'{{{}}}' is {}: the target key cannot have it", hole, what));
      if (!gone.insert(hole).second)
        error("rule-field-combination", from, fmt::format("'{{{}}}' is gathered twice", hole),
              "'concat', 'stack' and 'replicated' each need a hole of their own");
    };
    if (rule.concat) check_gone(rule.concat->hole, "gathered");
    if (rule.stack) check_gone(rule.stack->hole, "gathered");
    if (!rule.replicated.empty()) check_gone(rule.replicated, "replicated");
  }

  // 'linear' and 'norm' stand for two tensors, weight and bias.
  void expand_module(const YamlNode& item, Rule rule) {
    const YamlNode *linear = item.find("linear"), *norm = item.find("norm");
    if ((linear != nullptr) + (norm != nullptr) + (item.find("shape") != nullptr) > 1)
      error("rule-field-combination", item, "only one of 'shape', 'linear' and 'norm' says the shape");
    if (linear == nullptr && norm == nullptr) {
      parse_shape_field(item, "shape", rule);
      set_.rules.push_back(std::move(rule));
      return;
    }
    if (rule.split || rule.concat || rule.stack || !rule.steps.empty())
      error("rule-field-combination", item,
            "'linear' and 'norm' rename modules whole; write the two tensors as rules of their own");
    parse_shape_field(item, linear != nullptr ? "linear" : "norm", rule);
    if (!rule.shape) return;
    for (const char* part : {".weight", ".bias"}) {
      Rule one = rule;
      one.from = with_suffix(one.from, part);
      one.to = with_suffix(one.to, part);
      if (linear != nullptr && part == std::string(".bias")) one.shape->resize(1);
      one.summary = fmt::format("{} → {}", one.from.text, one.to.text);
      set_.rules.push_back(std::move(one));
    }
  }

  // ------------------------------------------------------------ operations

  void parse_operations(const YamlNode& item, Rule& rule) {
    for (const char* field : {"split", "concat", "stack"})
      if (const YamlNode* node = item.find(field)) parse_axis_field(field, *node, rule);
    rule.replicated = text_field(item, "replicated").value_or("");
    int given = 0;
    for (const char* field : {"transpose", "permute", "reshape"})
      if (const YamlNode* node = item.find(field)) {
        ++given;
        parse_step(field, *node, rule);
      }
    const YamlNode* steps = item.find("steps");
    if (given > 1 || (given == 1 && steps != nullptr))
      error("rule-field-combination", item, "more than one change of layout: their order matters",
            "write them in order under 'steps'");
    if (steps != nullptr && expect_list(*steps, "'steps'"))
      for (const auto& step : steps->items) {
        if (!expect_map(step, "a step")) continue;
        check_fields(step, {"transpose", "permute", "reshape", "split", "concat", "stack"}, "a step");
        if (step.entries.size() != 1) error("rule-wrong-type", step, "a step is one operation");
        for (const auto& [name, body] : step.entries)
          if (name.text == "split" || name.text == "concat" || name.text == "stack")
            parse_axis_step(name.text, body, rule);
          else
            parse_step(name.text, body, rule);
      }
    if (const YamlNode* cast = item.find("cast")) rule.cast = dtype_of(*cast);
  }

  void parse_axis_field(const std::string& name, const YamlNode& node, Rule& rule) {
    auto& parts = name != "split" ? (name == "concat" ? rule.concat : rule.stack)
                  : rule.split    ? rule.inner_split
                                  : rule.split;
    parts = parse_parts(node, name, name == "split" ? "into" : "of");
    if (parts && name == "split" && !parts->each &&
        std::all_of(parts->parts.begin(), parts->parts.end(), [](const AxisPart& p) { return is_left_part(p.name); }))
      error("rule-wrong-type", node, "all parts are left to other rules");
  }

  // 'split', 'concat' and 'stack' among the steps: what stands before them acts before, what stands behind them after.
  void parse_axis_step(const std::string& name, const YamlNode& body, Rule& rule) {
    const bool splits = name == "split";
    if ((splits ? rule.inner_split : name == "concat" ? rule.concat : rule.stack).has_value())
      return error("rule-field-combination", body, fmt::format("there is a '{}' too many", name),
                   "a rule can have two of 'split', and one each of 'concat' and 'stack'");
    if (splits && rule.gathers())
      return error("rule-field-combination", body, "'split' stands before 'concat' and 'stack'",
                   "parts are cut first, and joined then");
    if (name == "concat" && rule.stack)
      return error("rule-field-combination", body, "'concat' stands before 'stack'",
                   "what is stacked has been joined before");
    if (name == "stack" && rule.concat && rule.gather_at != rule.steps.size())
      return error("rule-field-combination", body, "'stack' follows 'concat' at once",
                   "steps stand before both, or behind both");
    const bool again = splits && rule.split;
    parse_axis_field(name, body, rule);
    if (again && (rule.split->leaves_parts() || (rule.inner_split && rule.inner_split->leaves_parts())))
      error("rule-field-combination", body, "a tensor that is split twice leaves no parts to other rules",
            "name all parts");
    if (again && rule.inner_split && rule.inner_split->hole == rule.split->hole)
      error("rule-field-combination", body, fmt::format("both of 'split' give '{{{}}}'", rule.split->hole),
            "each needs a hole of its own");
    (again ? rule.inner_split_at : splits ? rule.split_at : rule.gather_at) = rule.steps.size();
  }

  void parse_step(const std::string& name, const YamlNode& body, Rule& rule) {
    LayoutStep step;
    step.place = place_of(*text_, body);
    if (name == "transpose") {
      if (to_json(body) != Json(true))
        return error("rule-wrong-type", body, "'transpose' is true or left out", "for other axes: permute: [2, 0, 1]");
      step.transpose = true;
      step.order = {1, 0};
    } else if (name == "permute") {
      if (!expect_list(body, "'permute'")) return;
      for (const auto& axis : body.items) {
        const Json number = to_json(axis);
        if (!number.is_number_integer() || number < 0 || number >= static_cast<int64_t>(body.items.size()))
          return error("rule-wrong-type", axis,
                       fmt::format("'permute' lists the axes 0 … {} once each", body.items.size() - 1));
        step.order.push_back(number.get<int>());
      }
      if (std::set<int>(step.order.begin(), step.order.end()).size() != step.order.size())
        return error("rule-wrong-type", body, "'permute' names an axis twice");
    } else if (name == "reshape") {
      step.kind = LayoutStep::Kind::reshape;
      auto shape = parse_shape(text_, body, diagnostics_);
      if (!shape) return;
      if (std::count_if(shape->begin(), shape->end(), [](const DimTerm& term) { return !term.expression; }) > 1)
        return error("rule-wrong-type", body, "'_' stands for the size that the others leave: 'reshape' can have one");
      for (const auto& term : *shape)
        if (term.expression) note_dims(*term.expression);
      step.shape = std::move(*shape);
    } else {
      return;  // reported by check_fields
    }
    rule.steps.push_back(std::move(step));
  }

  // `named`: the field that lists names in order; nullptr: there is none.
  std::optional<AxisParts> parse_parts(const YamlNode& node, const std::string& what, const char* named) {
    if (!expect_map(node, "'" + what + "'")) return std::nullopt;
    std::vector<std::string> fields = {"axis", "each"};
    if (named != nullptr) fields.push_back(named);
    check_fields(node, fields, "'" + what + "'");
    AxisParts parts;
    const YamlNode* axis = node.find("axis");
    const Json number = axis == nullptr ? Json() : to_json(*axis);
    if (!number.is_number_integer() || number < 0 || number > 31)
      error("rule-wrong-type", axis == nullptr ? node : *axis, fmt::format("'{}' needs 'axis': a number from 0", what));
    else
      parts.axis = number.get<int>();
    const YamlNode* each = node.find("each");
    const YamlNode* list = named == nullptr ? nullptr : node.find(named);
    if ((each != nullptr) == (list != nullptr)) {
      error("rule-missing-field", node,
            fmt::format("'{}' needs 'each: hole'{}", what,
                        named == nullptr ? "" : fmt::format(" or '{}: {{hole: [names]}}'", named)));
      return std::nullopt;
    }
    if (each != nullptr) {
      parts.each = true;
      parts.hole = text_of(*each, "'each'").value_or("");
      return parts;
    }
    if (!expect_map(*list, fmt::format("'{}'", named)) || list->entries.size() != 1) {
      error("rule-wrong-type", *list, fmt::format("'{}' has one entry: hole: [names in order]", named));
      return std::nullopt;
    }
    const auto& [hole, names] = list->entries.front();
    parts.hole = hole.text;
    if (names.is_sequence()) {
      for (const auto& name : names.items) parts.parts.push_back({name.text, std::nullopt});
    } else if (names.is_map()) {
      for (const auto& [name, size] : names.entries) {
        auto length = expression(size, "a part's size");
        if (length) note_dims(*length, false);
        parts.parts.push_back({name.text, std::move(length)});
      }
    }
    if (parts.parts.empty())
      error("rule-wrong-type", names, "a list of names, or a mapping of names to sizes, was expected");
    return parts;
  }

  // ------------------------------------------------------------ names

  void note_names(const Expression& e) { expressions_.push_back(e); }
  void note_template(const Template& t) {
    if (t.expression) note_names(*t.expression);
    for (const auto& item : t.items) note_template(item);
    for (const auto& [name, field] : t.fields) note_template(field);
  }
  void note_dims(const Expression& e, bool note = true) {
    visit(e.root, [&](const ExpressionNode& node) {
      if (node.kind == NodeKind::name) dims_.insert(node.text);
    });
    if (note) expressions_.push_back(e);
  }

  // A name must be a dim of some shape, an entry of 'let', a variant, or 'meta': found before any checkpoint is read.
  void check_names() {
    std::vector<std::string> known = {"meta", "dtype", "config"};
    for (const auto& s : set_.sources) known.push_back(s.name);
    for (const auto& d : set_.documents) known.push_back(d.name);
    known.insert(known.end(), dims_.begin(), dims_.end());
    for (const auto& [name, e] : set_.let) known.push_back(name);
    for (const auto& v : set_.variants) known.push_back(v.name);
    for (const auto& e : expressions_)
      visit(e.root, [&](const ExpressionNode& node) {
        if (node.kind == NodeKind::call) check_key_function(e, node);
        if (node.kind != NodeKind::name || std::find(known.begin(), known.end(), node.text) != known.end()) return;
        const std::string near = nearest_name(node.text, known);
        Diagnostic unknown{Severity::error,
                           "expression-unknown-name",
                           e.written.place(node.offset, node.length),
                           fmt::format("nothing is called '{}'", node.text),
                           {},
                           near.empty() ? "names are dims of shapes, entries of 'let', variants, further sources, "
                                          "'config' (--config), and 'meta' for the checkpoint's metadata"
                                        : fmt::format("did you mean '{}'?", near)};
        if (leave_unknown_names_)
          set_.unknown_names.push_back(std::move(unknown));
        else
          diagnostics_.add(std::move(unknown));
      });
    for (const auto& [name, place] : variant_uses_)
      if (std::none_of(set_.variants.begin(), set_.variants.end(),
                       [&, &n = name](const Variant& v) { return v.name == n; }) &&
          std::none_of(set_.let.begin(), set_.let.end(),
                       [&, &n = name](const auto& entry) { return entry.first == n; }))
        diagnostics_.error("expression-unknown-name", place,
                           fmt::format("there is no variant or entry of 'let' called '{}'", name));
  }
  void check_key_function(const Expression& e, const ExpressionNode& call) {
    for (const auto& row : function_table())
      if (row.name == call.text && row.about_keys && !call.children.empty() &&
          call.children[0].kind == NodeKind::literal && call.children[0].literal.is_string()) {
        Written at = e.written;
        at.offset += call.children[0].offset + 1;
        parse_pattern(call.children[0].literal.get<std::string>(), at, set_.tables, diagnostics_);
      }
  }

  std::shared_ptr<const SourceText> text_;
  Diagnostics& diagnostics_;
  const bool leave_unknown_names_;
  RuleSet set_;
  std::set<std::string> dims_;
  std::vector<Expression> expressions_;
  std::vector<std::pair<std::string, TextPlace>> variant_uses_;
};

}  // namespace

bool AxisParts::leaves_parts() const {
  return std::any_of(parts.begin(), parts.end(), [](const AxisPart& part) { return is_left_part(part.name); });
}

std::optional<RuleSet> parse_rules(std::shared_ptr<const SourceText> text, Diagnostics& diagnostics,
                                   bool leave_unknown_names) {
  auto set = RuleParser(std::move(text), diagnostics, leave_unknown_names).parse();
  diagnostics.sort();
  return set;
}

std::optional<Template> parse_template(const std::shared_ptr<const SourceText>& text, const YamlNode& node,
                                       Diagnostics& diagnostics) {
  Template result;
  result.place = place_of(*text, node);
  if (node.is_sequence()) {
    result.kind = Template::Kind::list;
    for (const auto& item : node.items)
      if (auto value = parse_template(text, item, diagnostics)) result.items.push_back(std::move(*value));
  } else if (node.is_map()) {
    result.kind = Template::Kind::object;
    for (const auto& [name, item] : node.entries)
      if (auto value = parse_template(text, item, diagnostics)) {
        value->name_place = place_of(*text, name);
        result.fields.emplace_back(name.text, std::move(*value));
      }
  } else if (node.is_scalar() && node.text.starts_with("$") && !node.text.starts_with("$$")) {
    result.kind = Template::Kind::expression;
    result.expression = parse_expression(node.text.substr(1), {text, node, 1}, diagnostics);
    if (!result.expression) return std::nullopt;
  } else {
    result.constant = to_json(node);
    if (node.is_scalar() && node.text.starts_with("$$")) result.constant = node.text.substr(1);
  }
  return result;
}

std::optional<std::vector<DimTerm>> parse_shape(const std::shared_ptr<const SourceText>& text, const YamlNode& node,
                                                Diagnostics& diagnostics) {
  if (!node.is_sequence()) {
    diagnostics.error("rule-wrong-type", place_of(*text, node),
                      fmt::format("a shape is a list, such as [hidden, hidden]; found {}", node.kind_name()));
    return std::nullopt;
  }
  std::vector<DimTerm> shape;
  bool good = true;
  for (const auto& item : node.items) {
    DimTerm term;
    if (!item.is_scalar()) {
      diagnostics.error("rule-wrong-type", place_of(*text, item),
                        fmt::format("a dim is a name, a number or an expression; found {}", item.kind_name()));
      good = false;
    } else if (item.text != "_") {
      term.expression = parse_expression(item.text, {text, item, 0}, diagnostics);
      good &= term.expression.has_value();
    }
    shape.push_back(std::move(term));
  }
  return good ? std::optional(std::move(shape)) : std::nullopt;
}

std::optional<Json> instantiate(const Template& value, Scope& scope) {
  switch (value.kind) {
    case Template::Kind::constant: return value.constant;
    case Template::Kind::expression: {
      Value result = evaluate(*value.expression, scope);
      if (result.state == Value::State::omit) return std::nullopt;
      if (result.state == Value::State::missing)
        return evaluate_present(*value.expression, scope);  // throws, saying what is missing
      return std::move(result.json);
    }
    case Template::Kind::list: {
      Json list = Json::array();
      for (const auto& item : value.items)
        if (auto made = instantiate(item, scope)) list.push_back(std::move(*made));
      return list;
    }
    case Template::Kind::object: {
      Json object = Json::object();
      for (const auto& [name, field] : value.fields)
        if (auto made = instantiate(field, scope)) object[name] = std::move(*made);
      return object;
    }
  }
  return std::nullopt;
}

}  // namespace remap::lang
