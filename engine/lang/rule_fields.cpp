#include <algorithm>

#include "lang/rules.h"

namespace remap::lang {
namespace {

constexpr unsigned kMove = kind_bit(Rule::Kind::move), kDrop = kind_bit(Rule::Kind::drop),
                   kFill = kind_bit(Rule::Kind::fill), kCopy = kind_bit(Rule::Kind::copy);
constexpr unsigned kBlock = 0;  // of a block of rules

}  // namespace

const std::vector<FieldRow>& rule_field_table() {
  static const std::vector<FieldRow> rows = {
      {"because", kMove | kDrop, "why a key is dropped, or is one for the rest; required with 'drop' and 'rest'", ""},
      {"cast", kMove | kFill, "the dtype of the target, whatever 'target.dtype' says",
       "cast back; only a widening one loses nothing"},
      {"concat", kMove,
       "{axis, of: {hole: [names]}} or {axis, each: hole}: keys that differ in the hole become one tensor, joined "
       "along an axis in the order given, or of their numbers; {fill, size} among the names is a constant, {entry: "
       "name} a part that is one entry of the axis; the hole may be that of 'split'",
       "split; a constant is left out"},
      {"copy_of", kCopy, "the target key that 'to' repeats", "the copy is left out"},
      {"drop", kDrop, "a source key that is not carried over", "nothing can bring it back"},
      {"each", kFill | kCopy,
       "with 'fill' and 'copy_of': {hole: list}, a target for each entry of a list, or each combination of several",
       ""},
      {"equal_to", kDrop,
       "with 'drop': the source key whose values the dropped one must equal; --set twins=kept drops it even if they "
       "differ",
       "the twin is written again"},
      {"except", kMove | kDrop, "patterns of keys that the rule does not take, although its own pattern matches them",
       ""},
      {"fill", kFill,
       "the constant that every element of the target is; or {begin, step, axis}: it counts along an axis, the last if "
       "none is named",
       "the tensor is left out"},
      {"from", kMove, "pattern of the source keys", ""},
      {"keep", kMove, "pattern of source keys that have the same name in the target: 'from' and 'to' at once", ""},
      {"linear", kMove, "[out, in, …]: 'from' and 'to' name modules with a weight of this shape and a bias [out]",
       "itself"},
      {"norm", kMove, "[n]: 'from' and 'to' name modules with a weight and a bias of this shape", "itself"},
      {"optional", kMove | kDrop, "true: no complaint if no key matches", ""},
      {"pad", kMove, "{axis, before, after, fill}: a constant is joined before the tensor, or after it",
       "slice; the constant is left out"},
      {"permute", kMove, "[axes]: axis i of the target is axis permute[i] of the source", "the inverse permutation"},
      {"replicated", kMove,
       "a hole: keys that differ only in it must hold the same bytes, and the first is taken; --set replicas=first "
       "takes "
       "it even if they differ",
       "the first is written for all"},
      {"reshape", kMove, "the shape after regrouping elements in row-major order", "reshape"},
      {"rest", kMove | kDrop, "true: takes only keys that no other rule takes; 'because' says why", ""},
      {"shape", kMove | kFill, "the source tensor's shape: names bind dims, expressions are checked, _ is any size",
       ""},
      {"slice", kMove,
       "{axis, begin, end, because}: the entries of an axis from begin to before end; a number below 0 counts from the "
       "end. The others are dropped",
       "nothing can bring back what is dropped"},
      {"source", kMove | kDrop, "the name of the source the keys are in, if there are several", ""},
      {"split", kMove | kDrop,
       "{axis, each: hole} one key an index; {axis, each: hole, parts: n} n equal parts by number; {axis, into: {hole: "
       "[names]}} named parts; one whose name begins with _ is left to another rule; with 'drop', the others are "
       "dropped",
       "stack or concat"},
      {"stack", kMove,
       "{axis, each: hole} or {axis, of: {hole: [names]}}: keys that differ in the hole become one tensor with a new "
       "axis, in the order of their numbers or of the names; after 'concat', if both are given",
       "split"},
      {"steps", kMove,
       "a list of transpose, permute, reshape, slice, split (two of them cut twice), concat, pad and stack, done in "
       "this order",
       "the inverse steps, in reverse order"},
      {"to", kMove | kFill | kCopy, "the target key", ""},
      {"transpose", kMove, "true: the two axes of a matrix are exchanged", "transpose"},
      {"when", kMove | kDrop | kFill | kCopy, "a condition; where it is false, the rule does not exist", ""},
      {"where", kMove | kDrop | kFill | kCopy,
       "a condition on what the holes of a key took; where it is false, the rule does not take the key", ""},
      {"within", kBlock, "with 'rules': {from, to}, prefixes of all rules of the block", ""},
  };
  return rows;
}

const std::vector<FieldRow>& file_field_table() {
  static const std::vector<FieldRow> rows = {
      {"carry", 0, "names of files that are copied as they are where they lie in the checkpoint's folder", ""},
      {"computed", 0,
       "keys that are computed of others, in whose place the rules see them: to, weight_norm or mean, because", ""},
      {"config", 0, "fields of config.json that the checkpoint determines, or an expression that gives all of them",
       ""},
      {"defaults", 0, "fields of config.json that --config may replace, or an expression that gives all of them", ""},
      {"family", 0, "the name of the model family", ""},
      {"files", 0, "further JSON files to write: file, content (a template), when", ""},
      {"let", 0, "names for expressions", ""},
      {"maps", 0, "tables that translate parts of keys", ""},
      {"normalise", 0, "older spellings of keys, rewritten before the rules", ""},
      {"notes", 0, "what a user should know, and when: when, say, hint", ""},
      {"parameter_sum", 0, "true: what is written must add up to what was read", ""},
      {"recognise", 0, "a condition on keys and metadata: is this checkpoint of this family?", ""},
      {"remap", 0, "version of the rule language: 1", ""},
      {"require", 0, "conditions without which the checkpoint is refused, and why", ""},
      {"rules", 0, "what becomes of every key", ""},
      {"source", 0, "{format, root, files}: what is read", ""},
      {"sources", 0, "further named sources: checkpoints, and files without tensors", ""},
      {"target", 0, "{schema, model_type, architecture, dtype, separator}: what is written", ""},
      {"title", 0, "one line about the conversion", ""},
      {"variants", 0, "named choices, detected from the checkpoint or set by the user", ""},
      {"verify", 0, "{source, target}: names of the forward passes of both layouts (NAME.model.yaml)", ""},
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
      {"shared",
       {"copied", "once"},
       "copied: tensors that are the same memory are written under each of their names; once: under the first, and the "
       "files' metadata says which name stands for which",
       [](const RuleSet& set) { return set.schema.empty(); }},
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

}  // namespace remap::lang
