// A rule file as a value: parsed, checked, with the place of everything in it. Knows no checkpoint.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lang/key_space.h"
#include "remap/dtype.h"

namespace remap::lang {

// A value of a template (config, files, architecture): plain data in which strings that begin with '$' are expressions.
struct Template {
  struct Field;
  Json constant;  // used if nothing else is set
  std::optional<Expression> expression;
  std::vector<Template> items;  // a list
  std::vector<Field> fields;    // an object
  enum class Kind { constant, expression, list, object } kind = Kind::constant;
  TextPlace place;
  TextPlace name_place;  // of the name, if it is the value of a field
};
struct Template::Field {
  std::string name;
  Template value;
};

// One entry of a shape: '_' asserts nothing.
struct DimTerm {
  std::optional<Expression> expression;
};

// One part of a split or concat: its name, and its size (absent: all parts are equally long).
struct AxisPart {
  std::string name;
  std::optional<Expression> size;
  std::optional<double> fill = {};  // of a concat: a constant of this size, which has no name
  bool is_entry = false;            // of a concat: one entry of the axis, which the part itself does not have
};

// split: an axis becomes many keys.  stack / concat: many keys become one axis.
struct AxisParts {
  int axis = 0;
  std::string hole;
  bool each = false;  // one key an index; the axis vanishes (split), appears (stack) or is joined (concat)
  std::optional<Expression> count;  // split each: into so many equal parts, and the axis stays
  std::vector<AxisPart> parts;      // otherwise: named parts in order
  bool leaves_parts() const;        // one of them is left to another rule
};
inline bool is_left_part(std::string_view name) { return name.starts_with("_"); }

struct LayoutStep {
  enum class Kind { permute, reshape, slice } kind = Kind::permute;
  bool transpose = false;      // permute given as 'transpose: true': exchanges the two axes of a matrix
  std::vector<int> order;      // permute: axis i of the result is axis order[i]
  std::vector<DimTerm> shape;  // reshape; one of them may be '_': what the others leave
  // slice: the entries of `axis` from `begin` (absent: 0) to before `end` (absent: its end); below 0 counts from the
  // end. The others are dropped, and why.
  int axis = 0;
  std::optional<Expression> begin, end;
  std::string because;
  TextPlace place;
};

// A fill that counts along an axis: begin, begin + step, …
struct Counting {
  std::optional<Expression> begin, step;  // absent: 0 and 1
  std::optional<int> axis;                // absent: the last
};

// `name` takes every entry of a list, as a hole of the target's key.
struct Loop {
  std::string name;
  Expression list;
};

// What each kind of rule has is in the comments; all else is empty.
struct Rule {
  enum class Kind { move, drop, fill, copy } kind = Kind::move;
  TextPlace place;
  std::string summary;  // "from → to", for plans and messages
  std::optional<Expression> when;
  std::optional<Expression> where;  // of each key, its holes being names: false, and the rule does not take it

  // move, drop: the source keys.
  std::string source;  // which source: its name ("" is the first)
  KeyPattern from;
  std::vector<KeyPattern> except;  // keys that the rule does not take, although `from` matches them
  bool optional = false;
  bool rest = false;  // takes only keys that no other rule takes
  // drop, rest
  std::string because;
  std::optional<KeyPattern> equal_to;  // refused unless this source tensor holds the same values

  // move, fill, copy: the target key.
  KeyPattern to;
  // move, fill
  std::optional<std::vector<DimTerm>> shape;  // of the source tensor; of a fill's target
  TextPlace shape_place;
  std::optional<DType> cast;
  // fill, copy: a target for each combination of the loops' entries
  std::vector<Loop> each;
  double fill = 0;  // fill
  std::optional<Counting> counting;
  KeyPattern copy_of;  // copy: another target key

  // move: what is done to the tensor.
  std::optional<AxisParts> split, concat, stack;
  std::string replicated;  // a hole: keys that differ only in it hold the same bytes; "": none
  std::vector<LayoutStep> steps;
  std::optional<AxisParts> inner_split;     // of each part of the split
  size_t split_at = 0, inner_split_at = 0;  // so many steps are done before
  size_t gather_at = kAfterSteps;           // so many before concat and stack; the others act on what these made
  static constexpr size_t kAfterSteps = static_cast<size_t>(-1);
  bool gathers() const { return concat || stack; }
  size_t steps_of_parts() const { return gathers() && gather_at < steps.size() ? gather_at : steps.size(); }
  bool slices() const;
  bool is_split_hole(std::string_view hole) const {
    return (split && split->hole == hole) || (inner_split && inner_split->hole == hole);
  }
};

// Keys in whose place the rules see one that is computed of them.
struct Computed {
  enum class Kind { weight_norm, mean } kind = Kind::weight_norm;
  TextPlace place;
  std::string summary;  // "weight_norm(**.weight_g, **.weight_v) → **.weight"
  std::string source;   // which source: its name ("" is the first)
  KeyPattern from, g;   // weight_norm: v and g; mean: the keys
  std::string each;     // mean: the hole in which these differ
  KeyPattern to;        // the key that the rules see
  std::string because;  // why values are computed
  bool optional = false;
};

struct Requirement {
  Expression condition;
  std::string because;
  std::optional<Template> hint = {};  // what the user can do, as text
  std::string waive = {};             // the user may pass it with --set waive=NAME; "": it cannot be passed
};

// What a user should know of this checkpoint, said with its plan where the condition holds.
struct Note {
  Expression condition;
  Template text;
  std::optional<Template> hint = {};
};

// A file to write: a template as JSON.
struct FileSpec {
  std::string name;
  std::optional<Expression> when;
  Template content;
};

struct RuleSet : KeySpace {
  std::string family, title;
  std::string schema;      // name of the target schema; "" : none
  std::string model_type;  // of config.json, where no schema says it; "" : not said
  std::optional<Template> architecture;
  std::optional<DType> dtype;  // of all floating-point targets; absent: as in the source
  char separator = '\0';       // between the parts of target keys, in place of the source's own; '\0': as they are
  std::vector<Requirement> require;
  std::vector<Note> notes;
  std::vector<Computed> computed;
  std::vector<Rule> rules;
  // A field without a name is an expression whose value is an object: all of its fields.
  std::vector<Template::Field> config;    // facts: --config may not say otherwise
  std::vector<Template::Field> defaults;  // --config may replace these
  std::vector<std::string> carry;         // files of the checkpoint's folder that are copied as they are
  std::vector<FileSpec> files;
  bool parameter_sum = false;
  std::string verify_source, verify_target;  // names of forward passes written as data; "": none
  TextPlace schema_place, model_type_place, verify_source_place, verify_target_place;
  std::vector<Diagnostic> unknown_names;  // left to the planner, if parse_rules() was asked to
};

// nullopt if `diagnostics` has errors. All mistakes of the file are reported.
std::optional<RuleSet> parse_rules(std::shared_ptr<const SourceText> text, Diagnostics& diagnostics,
                                   bool leave_unknown_names = false);

// What the user can choose with --set for any rule file to which it applies; the rules' own variants have other names.
struct ChoiceRow {
  std::string_view name;
  std::vector<std::string_view> values;  // the first is what holds if nothing is said; empty: any text
  std::string_view doc;
  bool (*applies)(const RuleSet& rules);
};
const std::vector<ChoiceRow>& choice_table();

// The fields of a rule, one row each: parser, documentation and the editors' schema are checked against it.
constexpr unsigned kind_bit(Rule::Kind kind) { return 1U << static_cast<unsigned>(kind); }
struct FieldRow {
  std::string_view name;
  unsigned kinds = 0;  // the bits of the kinds of rule that have it
  std::string_view purpose;
  std::string_view inverse;  // what it is when the plan runs backwards; "" if it is not an operation
};
const std::vector<FieldRow>& rule_field_table();
const std::vector<FieldRow>& file_field_table();

// Shared with the parser of schema files.
std::optional<Template> parse_template(const std::shared_ptr<const SourceText>& text, const YamlNode& node,
                                       Diagnostics& diagnostics);
std::optional<std::vector<DimTerm>> parse_shape(const std::shared_ptr<const SourceText>& text, const YamlNode& node,
                                                Diagnostics& diagnostics);
// Evaluates a template; fields and items whose value is `omit` are left out. nullopt: the whole is omitted.
std::optional<Json> instantiate(const Template& value, Scope& scope);

}  // namespace remap::lang
