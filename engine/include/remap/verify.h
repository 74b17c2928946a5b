// Computes the forward pass of a model twice, from the source's tensors in the source's layout and from the converted
// folder in the target's, and compares them layer by layer; and checks every target tensor's bytes against the source's
// through the plan. What is computed is written as data, one file a layout, neither derived from the rules
// (docs/verify.md).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "remap/plan.h"
#include "remap/progress.h"
#include "remap/source.h"
#include "remap/values.h"

namespace remap {

struct VerifyOptions {
  double atol = 1e-3;            // largest absolute difference of two recorded values that counts as equal
  size_t max_records = 0;        // stop after so many recorded layers; 0: all
  Json config = Json::object();  // what the user said the checkpoint does not record (--config): all that the source's
                                 // side may know of it
  std::map<std::string, Json>
      documents;  // further files that the source's layout keeps settings in, by the name that the rules have for them
  std::string input;               // a safetensors file with the inputs ([batch, …]); "": a deterministic probe
  ProgressFunction progress = {};  // counted in bytes of tensors: those that the passes read, and those compared
};

// One recorded value of both forward passes, over all samples.
struct LayerDifference {
  std::string name;  // "hidden.3", "logits"
  Shape shape;       // of the first sample
  double max_absolute_diff = 0, mean_absolute_diff = 0;
  bool agrees = true;
};

enum class VouchedBy { forward_and_bytes, bytes, none };

struct TensorAccount {
  std::string key;
  VouchedBy by = VouchedBy::none;
  std::string fault;  // "" if its bytes are those that the plan takes from the source
};

struct VerifyReport {
  std::string family, architecture, source_library, target_library;
  size_t n_samples = 0;
  bool all_layers = true;               // not if VerifyOptions::max_records ended the passes
  std::vector<LayerDifference> layers;  // in the order in which they are computed
  double max_absolute_diff = 0;
  std::optional<size_t> first_divergence;  // index into `layers`
  std::string cause;                       // what explains the divergence, where that can be told; else ""
  std::vector<TensorAccount> tensors;      // every tensor of the target and of the plan, sorted by key
  std::vector<std::string> unused;         // target tensors that no forward pass reads
  std::vector<std::pair<std::string, std::string>>
      duplicates;                     // target tensors that hold the same part of the source as an earlier one
  std::optional<ParameterSums> sums;  // where the rules ask for them
  bool passed = false;
};

// Whether the rules have a section 'verify'.
bool names_forward_passes(const Rules& rules);

// `target` is the converted folder, `config` its config.json. `plan` is that of `rules` for the same sources.
// Throws Error: "usage" if the rules name no forward passes; what a model file, a shape or a missing tensor is about;
// "io-changed", "io-truncated" if a file became another one meanwhile.
VerifyReport verify(const Rules& rules, const Plan& plan, const std::vector<NamedSource>& sources, const Source& target,
                    const Json& config, const VerifyOptions& options);

}  // namespace remap
