#include "lang/sections.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "lang/computed_section.h"
#include "tensor/source_formats.h"

namespace remap::lang {
namespace {

void parse_version(NodeReader& in, const YamlNode& root) {
  const YamlNode* version = root.find("remap");
  if (version == nullptr)
    in.error("rule-missing-field", root, "'remap: 1' is missing: the version of the rule language");
  else if (version->text != "1")
    in.error("rule-version", *version,
             fmt::format("version '{}' of the rule language; this program knows version 1", version->text));
}

void parse_tables(NodeReader& in, RuleSet& set, const YamlNode& node) {
  if (!in.expect_map(node, "'maps'")) return;
  for (const auto& [name, entries] : node.entries) {
    if (!in.expect_map(entries, "a table")) continue;
    Table table;
    for (const auto& [key, value] : entries.entries)
      if (const auto text = in.text_of(value, "an entry")) table.add(key.text, *text);
    if (table.empty()) in.error("rule-wrong-type", entries, "a table needs entries");
    set.tables.emplace(name.text, std::move(table));
  }
}

// Formats of checkpoints; and of files without tensors, which only 'sources' can name.
const std::vector<std::string>& formats() {
  static const std::vector<std::string> names = source_format_names();
  return names;
}

const std::vector<std::string>& document_formats() {
  static const std::vector<std::string> names = {"json", "yaml", "lines"};
  return names;
}

bool is_one_of(const std::string& name, const std::vector<std::string>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_file_pattern(const KeyPattern& p) {
  const auto is = [](PatternToken::Kind kind) { return [kind](const PatternToken& t) { return t.kind == kind; }; };
  using Kind = PatternToken::Kind;
  return !p.is_regex && p.text.find('/') == std::string::npos &&
         std::any_of(p.tokens.begin(), p.tokens.end(), is(Kind::hole)) &&
         std::all_of(p.tokens.begin(), p.tokens.end(),
                     [&](const PatternToken& t) { return is(Kind::hole)(t) || is(Kind::literal)(t); });
}

// `further`: it stands under 'sources'.
SourceSpec parse_source(NodeReader& in, const YamlNode& node, std::string name, bool further) {
  SourceSpec spec;
  spec.name = std::move(name);
  spec.roots = {""};
  if (!in.expect_map(node, "a source")) return spec;
  spec.format = in.text_field(node, "format").value_or("");
  spec.doc = in.text_field(node, "doc").value_or("");
  const bool known = spec.format.empty() || is_one_of(spec.format, formats());
  std::vector<std::string> fields = {"format", "root", "files", "doc"};
  if (further) fields.emplace_back("beside");
  in.check_fields(node, fields, "a source");
  if (const YamlNode* beside = further && known ? node.find("beside") : nullptr)
    in.error("rule-field-combination", *beside,
             "'beside' is a field of files without tensors, and this is a checkpoint",
             fmt::format("the formats of files without tensors are: {}", remap::join(document_formats(), ", ")));
  if (!known)
    in.error(
        "rule-wrong-type", *node.find("format"), fmt::format("'{}' is not a format that remap reads", spec.format),
        fmt::format(
            "there are: {}{}", remap::join(formats(), ", "),
            further ? fmt::format("; and for files without tensors: {}", remap::join(document_formats(), ", ")) : ""));
  const SourceFormat* format = find_source_format(spec.format);
  spec.separator = format != nullptr ? format->separator : '.';
  if (const YamlNode* root = node.find("root")) {
    spec.roots.clear();
    if (root->is_sequence())
      for (const auto& item : root->items) spec.roots.push_back(item.text);
    else
      spec.roots.push_back(root->text);
  }
  if (const YamlNode* files = node.find("files"))
    if ((spec.files = in.pattern(*files, "'files'")) && !is_file_pattern(*spec.files))
      in.error("rule-wrong-type", *files, "'files' is a file name with holes that number the files",
               "for example: model.{rank}.pt");
  return spec;
}

void parse_document(NodeReader& in, RuleSet& set, const std::string& name, const YamlNode& node) {
  in.check_fields(node, {"format", "beside", "doc"}, "a document");
  DocumentSpec spec{name, in.text_field(node, "format").value_or(""), in.text_field(node, "beside").value_or(""),
                    in.text_field(node, "doc").value_or("")};
  if (spec.beside.find('/') != std::string::npos)
    in.error("rule-wrong-type", *node.find("beside"), "'beside' is the name of a file, not a path");
  set.documents.push_back(std::move(spec));
}

void parse_sources(NodeReader& in, RuleSet& set, const YamlNode& root) {
  if (const YamlNode* node = root.find("source"))
    set.sources.push_back(parse_source(in, *node, "", false));
  else {
    in.error("rule-missing-field", root, "'source' is missing", "for example: source: {format: torch, root: model}");
    set.sources.push_back({});
  }
  if (const YamlNode* node = root.find("sources"); node != nullptr && in.expect_map(*node, "'sources'"))
    for (const auto& [name, spec] : node->entries) {
      const YamlNode* format = spec.is_map() ? spec.find("format") : nullptr;
      if (format != nullptr && is_one_of(format->text, document_formats()))
        parse_document(in, set, name.text, spec);
      else
        set.sources.push_back(parse_source(in, spec, name.text, true));
    }
}

bool is_further_file(const std::string& name) {
  constexpr size_t kMaxBytes = 255;  // of a name, on common file systems
  const bool plain = !name.empty() && name.size() <= kMaxBytes && name != "." && name != ".." &&
                     name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  return plain && name != "config.json" && !name.ends_with(".safetensors") &&
         !name.ends_with(".safetensors.index.json");
}

void parse_files(NodeReader& in, std::vector<FileSpec>& files, const YamlNode& node) {
  if (!in.expect_list(node, "'files'")) return;
  for (const auto& item : node.items) {
    if (!in.expect_map(item, "a file")) continue;
    in.check_fields(item, {"file", "content", "when"}, "a file");
    FileSpec spec;
    spec.name = in.required_text(item, "file");
    if (const YamlNode* name = item.find("file"); name != nullptr && !is_further_file(spec.name))
      in.error("rule-wrong-type", *name, fmt::format("'{}' is not a name for a further file", spec.name),
               "a name without slashes, other than config.json and the files of tensors");
    spec.when = in.expression_field(item, "when");
    const YamlNode* content = item.find("content");
    if (content == nullptr) {
      in.error("rule-missing-field", item, "'content' is missing: what the file holds");
      continue;
    }
    if (auto value = in.value_template(*content)) spec.content = std::move(*value);
    files.push_back(std::move(spec));
  }
}

void parse_target(NodeReader& in, RuleSet& set, const YamlNode& node) {
  if (!in.expect_map(node, "'target'")) return;
  in.check_fields(node, {"schema", "model_type", "architecture", "dtype", "separator"}, "'target'");
  if (const YamlNode* separator = node.find("separator")) {
    if (separator->text != "." && separator->text != "/")
      in.error("rule-wrong-type", *separator, "'separator' is '.' or '/'");
    else
      set.separator = separator->text.front();
  }
  set.schema = in.name_field(node, "schema", &set.schema_place);
  if (const YamlNode* model_type = node.find("model_type")) {
    set.model_type = in.text_of(*model_type, "'model_type'").value_or("");
    set.model_type_place = in.place(*model_type);
  }
  if (const YamlNode* architecture = node.find("architecture")) set.architecture = in.value_template(*architecture);
  if (const YamlNode* dtype = node.find("dtype")) set.dtype = in.dtype(*dtype);
}

void parse_variants(NodeReader& in, RuleSet& set, const YamlNode& node) {
  if (!in.expect_map(node, "'variants'")) return;
  for (const auto& [name, body] : node.entries) {
    Variant variant;
    variant.name = name.text;
    variant.place = in.place(name);
    for (const auto& choice : choice_table())
      if (choice.name == name.text)
        in.error("rule-wrong-type", name, fmt::format("'{}' is a choice that every rule file has", name.text),
                 "give the variant another name");
    if (!in.expect_map(body, "a variant")) continue;
    in.check_fields(body, {"detect", "values", "doc"}, "a variant");
    variant.detect = in.expression_field(body, "detect");
    variant.values = in.expression_field(body, "values");
    variant.doc = in.text_field(body, "doc").value_or("");
    if (!body.find("detect"))
      in.error("rule-missing-field", body,
               fmt::format("variant '{}' needs 'detect': an expression that gives its value", name.text));
    set.variants.push_back(std::move(variant));
  }
}

void parse_let(NodeReader& in, RuleSet& set, const YamlNode& node) {
  if (!in.expect_map(node, "'let'")) return;
  for (const auto& [name, value] : node.entries)
    if (auto parsed = in.expression(value, "an entry of 'let'")) set.let.emplace_back(name.text, std::move(*parsed));
}

void parse_spellings(NodeReader& in, const std::string& section, std::vector<Normalise>& spellings,
                     const YamlNode& node) {
  if (!in.expect_list(node, fmt::format("'{}'", section))) return;
  for (const auto& item : node.items) {
    if (!in.expect_map(item, fmt::format("an entry of '{}'", section))) continue;
    in.check_fields(item, {"from", "to"}, fmt::format("'{}'", section));
    const YamlNode *from = item.find("from"), *to = item.find("to");
    if (from == nullptr || to == nullptr) {
      in.error("rule-missing-field", item, fmt::format("an entry of '{}' needs 'from' and 'to'", section));
      continue;
    }
    auto f = in.pattern(*from, "'from'"), t = in.pattern(*to, "'to'");
    if (!f || !t) continue;
    in.check_expansion(*t, *f);
    spellings.push_back({std::move(*f), std::move(*t), in.place(item)});
  }
}

void parse_require(NodeReader& in, RuleSet& set, const YamlNode& node) {
  if (!in.expect_list(node, "'require'")) return;
  for (const auto& item : node.items) {
    if (!in.expect_map(item, "an entry of 'require'")) continue;
    in.check_fields(item, {"that", "because", "hint", "waive"}, "'require'");
    const auto because = in.required_text(item, "because");
    const std::string waive = in.text_field(item, "waive").value_or("");
    std::optional<Template> hint;
    if (const YamlNode* node_of_hint = item.find("hint")) hint = in.value_template(*node_of_hint);
    if (waive.find_first_of(", =") != std::string::npos)
      in.error("rule-wrong-type", *item.find("waive"), fmt::format("'{}' is not a name", waive),
               "letters, digits, '-' and '_'");
    const YamlNode* that = item.find("that");
    if (that == nullptr)
      in.error("rule-missing-field", item, "'that' is missing: the condition");
    else if (auto condition = in.expression(*that, "'that'"))
      set.require.push_back({std::move(*condition), because, std::move(hint), waive});
  }
}

void parse_notes(NodeReader& in, RuleSet& set, const YamlNode& node) {
  if (!in.expect_list(node, "'notes'")) return;
  for (const auto& item : node.items) {
    if (!in.expect_map(item, "a note")) continue;
    in.check_fields(item, {"when", "say", "hint"}, "a note");
    auto condition = in.expression_field(item, "when");
    std::optional<Template> text, hint;
    if (const YamlNode* say = item.find("say")) text = in.value_template(*say);
    if (const YamlNode* way = item.find("hint")) hint = in.value_template(*way);
    for (const char* field : {"when", "say"})
      if (item.find(field) == nullptr)
        in.error("rule-missing-field", item, fmt::format("'{}' is missing: a note needs 'when' and 'say'", field));
    if (condition && text) set.notes.push_back({std::move(*condition), std::move(*text), std::move(hint)});
  }
}

void parse_carry(NodeReader& in, RuleSet& set, const YamlNode& node) {
  if (!in.expect_list(node, "'carry'")) return;
  for (const auto& item : node.items) {
    const auto name = in.text_of(item, "a file's name");
    if (!name) continue;
    if (!is_further_file(*name))
      in.error("rule-wrong-type", item, fmt::format("'{}' is not a name for a further file", *name),
               "a name without slashes, other than config.json and the files of tensors");
    set.carry.push_back(*name);
  }
}

void parse_templates(NodeReader& in, const YamlNode& node, std::vector<Template::Field>& into) {
  if (node.is_scalar() && node.text.starts_with("$")) {
    if (auto all = in.value_template(node)) into.push_back({"", std::move(*all)});
    return;
  }
  if (!in.expect_map(node, "this section")) return;
  for (const auto& [name, value] : node.entries)
    if (auto parsed = in.value_template(value)) {
      parsed->name_place = in.place(name);
      into.push_back({name.text, std::move(*parsed)});
    }
}

void parse_verify(NodeReader& in, RuleSet& set, const YamlNode& node) {
  if (!in.expect_map(node, "'verify'")) return;
  in.check_fields(node, {"source", "target"}, "'verify'");
  set.verify_source = in.name_field(node, "source", &set.verify_source_place);
  set.verify_target = in.name_field(node, "target", &set.verify_target_place);
}

}  // namespace

void read_sections(const YamlNode& root, NodeReader& in, RuleSet& set) {
  in.check_fields(root, names_of(file_field_table()), "a rule file");
  parse_version(in, root);
  set.family = in.required_text(root, "family");
  set.title = in.text_field(root, "title").value_or("");
  if (const YamlNode* node = root.find("maps")) parse_tables(in, set, *node);
  parse_sources(in, set, root);
  if (const YamlNode* node = root.find("target")) parse_target(in, set, *node);
  set.recognise = in.expression_field(root, "recognise");
  if (const YamlNode* node = root.find("variants")) parse_variants(in, set, *node);
  if (const YamlNode* node = root.find("let")) parse_let(in, set, *node);
  if (const YamlNode* node = root.find("normalise")) parse_spellings(in, "normalise", set.normalise, *node);
  if (const YamlNode* node = root.find("computed")) read_computed(in, *node, set);
  if (const YamlNode* node = root.find("require")) parse_require(in, set, *node);
  if (const YamlNode* node = root.find("notes")) parse_notes(in, set, *node);
  if (const YamlNode* node = root.find("carry")) parse_carry(in, set, *node);
  if (const YamlNode* node = root.find("config")) parse_templates(in, *node, set.config);
  if (const YamlNode* node = root.find("defaults")) parse_templates(in, *node, set.defaults);
  if (const YamlNode* node = root.find("files")) parse_files(in, set.files, *node);
  if (const YamlNode* node = root.find("verify")) parse_verify(in, set, *node);
  set.parameter_sum = in.bool_field(root, "parameter_sum").value_or(false);
  if (set.parameter_sum && root.find("computed") != nullptr)
    in.error("rule-field-combination", *root.find("parameter_sum"),
             "what is computed does not add up to what was read: 'parameter_sum' and 'computed' exclude each other");
}

void read_spellings(NodeReader& in, const std::string& section, const YamlNode& node,
                    std::vector<Normalise>& spellings) {
  parse_spellings(in, section, spellings, node);
}

void read_files(NodeReader& in, const YamlNode& node, std::vector<FileSpec>& files) { parse_files(in, files, node); }

}  // namespace remap::lang
