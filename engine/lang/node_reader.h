// Reads the nodes of a rule file as what the language wants there. Every mistake is reported where it is; what could
// not be read has no value.
#pragma once

#include "lang/used_names.h"

namespace remap::lang {

std::vector<std::string> names_of(const std::vector<FieldRow>& rows);

// `what` and `field` are for messages: "'within'", "a rule".
class NodeReader {
 public:
  // `tables`: the file's 'maps', which must be read before any pattern. They must outlive the reader.
  NodeReader(std::shared_ptr<const SourceText> text, const Tables& tables, Diagnostics& diagnostics)
      : text_(std::move(text)), tables_(tables), diagnostics_(diagnostics) {}

  void error(const std::string& id, const YamlNode& node, const std::string& message, const std::string& hint = {});
  TextPlace place(const YamlNode& node) const { return place_of(*text_, node); }

  bool expect_map(const YamlNode& node, const std::string& what);
  bool expect_list(const YamlNode& node, const std::string& what);
  void check_fields(const YamlNode& map, const std::vector<std::string>& allowed, const std::string& what);

  std::optional<std::string> text_of(const YamlNode& node, const std::string& what);
  std::optional<DType> dtype(const YamlNode& node);
  std::optional<Expression> expression(const YamlNode& node, const std::string& what);
  // The same where holes are names: these are not looked for elsewhere.
  std::optional<Expression> hole_expression(const YamlNode& node, const std::string& what,
                                            const std::vector<std::string>& holes);
  std::optional<KeyPattern> pattern(const YamlNode& node, const std::string& what);
  // Reports {=…} in a pattern that keys are matched with.
  void refuse_computed(const std::string& what, const KeyPattern& pattern);
  std::optional<Template> value_template(const YamlNode& node);
  // The names in these two are dims.
  std::optional<std::vector<DimTerm>> shape(const YamlNode& node);
  std::optional<Expression> part_size(const YamlNode& node);

  // Of a field that is not there: no value, and "" where a text is required.
  std::optional<std::string> text_field(const YamlNode& map, const std::string& field);
  std::string required_text(const YamlNode& map, const std::string& field);
  std::optional<bool> bool_field(const YamlNode& map, const std::string& field);
  std::optional<Expression> expression_field(const YamlNode& map, const std::string& field);
  // The name of a file that is looked for beside the rules, never a path.
  std::string name_field(const YamlNode& map, const std::string& field, TextPlace* place);

  // Reports what `to` asks for and `from` does not take; `extra`: holes that operations add.
  void check_expansion(const KeyPattern& to, const KeyPattern& from, const std::vector<std::string>& extra = {});

  const UsedNames& names() const { return names_; }

 private:
  void note(const Expression& expression, const std::vector<std::string>& holes = {});
  void note(const Template& value);
  void check_key(const Expression& expression, const ExpressionNode& call);

  std::shared_ptr<const SourceText> text_;
  const Tables& tables_;
  Diagnostics& diagnostics_;
  UsedNames names_;
};

}  // namespace remap::lang
