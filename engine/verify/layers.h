// The forward passes of two layouts, layer by layer. Knows nothing of rules, plans and conversions: what it is given
// are tensors, and what each layout's library makes of them (docs/verify.md). Private to the engine.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "remap/verify.h"
#include "verify/forward.h"

namespace remap::forward {

// One layout: what computes it, and its tensors.
struct Side {
  ModelFile model;
  std::vector<NamedSource> sources;  // in the order of the model file
  Json config;
  ForwardOptions options;
};

// Throws Error: the first mistake of the model file.
ModelFile load_model(const std::shared_ptr<const lang::SourceText>& text);
// The sources that a model file names, in its order. Throws Error "verify-input" if one is missing.
std::vector<NamedSource> named_in(const ModelFile& model, const std::vector<NamedSource>& given);
// Where the model file's first source has its keys: what a user may say otherwise.
std::vector<std::string>& roots_of_first(ModelFile& model);

struct LayerComparison {
  std::vector<LayerDifference> layers;  // in the order in which they are computed
  double max_absolute_diff = 0;
  std::optional<size_t> first_divergence;  // index into `layers`
  std::string cause;                       // what explains it, where that can be told
  std::set<std::string> read;              // keys of the target's first source that its pass has read
};

// Computes both passes for every sample. Layers agree if no two values differ by more than `atol`.
LayerComparison compare_layers(const Side& source, const Side& target, const std::vector<Sample>& samples, double atol);

}  // namespace remap::forward
