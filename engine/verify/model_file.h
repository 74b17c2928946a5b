// A forward pass as data: which tensor of a layout plays which part of the model, written from the definition of the
// library that owns the layout. Lines of a small program over the parts of verify/parts.h; its grammar is that of rule
// files' expressions.
//
//   remap_model: 1
//   library: transformers 4.38.2
//   source: {root: model}                  # or files: "model.{rank}.pt", as in rule files;
//   sources: {NAME: {root: …}}             # for further ones
//   normalise: [{from: …, to: …}]          # older spellings, as the library itself upgrades them
//   let: {heads: config.num_attention_heads}
//   inputs: {input_ids: {kind: tokens, …}} # what a probe has to hold
//   steps:
//     - x: embedding('embed.weight', input_ids)
//     - repeat: {i: layers}
//       steps: [{x: "linear(x, 'layers.{i}.fc1')"}, {record: {"hidden.{i+1}": x}}]
//     - when: exists('head.weight')
//       steps: […]
#pragma once

#include "lang/key_space.h"

namespace remap::forward {

struct Step {
  enum class Kind { assign, record, repeat, when } kind = Kind::assign;
  std::string name;                            // assigned variable, recorded label, or the counter of 'repeat'
  std::optional<lang::Expression> expression;  // value, count or condition
  std::vector<Step> steps;
};

struct InputSpec {
  std::string name, kind;  // "tokens", "zeros", "choice", "waveform", "image"
  std::string mask, like;  // name of the mask that goes with it; the input whose length it has
  std::vector<std::pair<std::string, lang::Expression>> fields;
};

struct ModelFile {
  std::string library;
  lang::KeySpace space;
  std::vector<InputSpec> inputs;
  std::vector<Step> steps;
};

std::optional<ModelFile> parse_model_file(std::shared_ptr<const lang::SourceText> text, Diagnostics& diagnostics);

}  // namespace remap::forward
