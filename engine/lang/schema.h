// A target schema: the tensors that an architecture demands, in terms of the fields of its config.json.
//
//   remap_schema: 1
//   model_type: bert
//   library: transformers 4.38.2               # whose class this describes
//   fields: [hidden_size, …, {text_config: [vocab_size, …]}]   # all that the class has; beside those of every class
//   aliases: {n_embd: hidden_size}             # other names that the class has for a field
//   config: {hidden_act: gelu, …}              # what the class writes where nothing else is known
//   implied: {tie_word_embeddings: true}       # defaults of the class: a field that equals one is not written
//   require: [{that: CONDITION, because: …}]   # on the fields of config.json
//   tensors:                                   # of every architecture of the family
//     encoder.layer.{0..num_hidden_layers-1}.output.dense.{weight|bias}: …
//   base_model: {architecture: BertModel, prefix: bert}   # other architectures hold `tensors` under it
//   spellings: [{from: "**.gamma", to: "**.weight"}]      # other names of tensors, which the class loads too
//   files:                                     # that it has beside the weights, from the fields of config.json
//     - {file: generation_config.json, when: CONDITION, content: {eos_token_id: $eos_token_id}}
//   architectures:
//     BertForMaskedLM: {lm_head.bias: [vocab_size], …}
//
// In a key, {a|b} stands for each text, {0..n} for each index, {x in LIST} for each entry of a list, which the shape
// may use as x. A tensor is a shape, or {shape: […], when: CONDITION}; both see the loops' variables.
#pragma once

#include <functional>
#include <string_view>

#include "lang/config_fields.h"
#include "lang/rules.h"
#include "remap/manifest.h"

namespace remap::lang {

struct SchemaKeyToken {
  std::string literal;  // if nothing else is set
  std::vector<std::string> alternatives;
  std::string variable;                   // of a loop; may be empty
  std::optional<Expression> list;         // of a loop over a list
  std::optional<Expression> first, last;  // of a loop over indices, inclusive
};

struct SchemaTensor {
  std::vector<SchemaKeyToken> key;
  std::vector<DimTerm> shape;
  std::optional<Expression> when;
  TextPlace place;
};

struct Schema {
  std::shared_ptr<const SourceText> text;
  std::string model_type, library;
  std::vector<ConfigField> fields;                           // empty: not known
  std::vector<std::pair<std::string, std::string>> aliases;  // other name, field
  std::vector<Template::Field> config, implied;
  std::vector<Requirement> require;
  std::string base_architecture, base_prefix;
  std::vector<SchemaTensor> tensors;
  std::vector<std::pair<std::string, std::vector<SchemaTensor>>> architectures;
  std::vector<Normalise> spellings;
  std::vector<FileSpec> files;
};

std::optional<Schema> parse_schema(std::shared_ptr<const SourceText> text, Diagnostics& diagnostics);

// Whether a config (all fields, implied ones included) meets a requirement. Throws Error if the condition has no value.
bool holds(const Requirement& requirement, const Json& config);

// The name by which a schema's `tensors` and `architectures` list a tensor that is spelt otherwise. The schema outlives
// it.
class ListedNames {
 public:
  explicit ListedNames(const Schema& schema);
  // nullopt if no spelling is about the key.
  std::optional<std::string> of(std::string_view key) const;

 private:
  const Schema& schema_;
  std::vector<Matcher> matchers_;
};

// What the files of the schema hold with this config (all fields, implied ones included), in the schema's order. Throws
// Error if an expression has no value.
std::vector<std::pair<std::string, Json>> files_of(const Schema& schema, const Json& config);

// Calls visit for every tensor that `architecture` has with this config (all fields, implied ones included), in the
// schema's order. Throws Error if the architecture is unknown or an expression has no value. The key and the shape, of
// which -1 is any size, are good for the call.
using VisitDemanded = std::function<void(std::string_view key, const Shape& shape, const SchemaTensor& origin)>;
void for_each_demanded(const Schema& schema, const std::string& architecture, const Json& config,
                       const VisitDemanded& visit);

}  // namespace remap::lang
