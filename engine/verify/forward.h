// Runs a forward pass written as data over the tensors of one checkpoint, a sample at a time. Weights are read when a
// step needs them and let go after it, so memory is that of one step. Private to the engine.
#pragma once

#include <map>

#include "remap/plan.h"
#include "verify/model_file.h"
#include "verify/weights.h"

namespace remap::forward {

// What a model is run on: token ids and masks as lists of integers, choices as integers; waveforms [n] and images as
// tensors.
struct Sample {
  std::map<std::string, Json> values;
  std::map<std::string, Tensor> tensors;
};

struct Record {
  std::string name;
  Tensor value;
  std::vector<bool> keep;  // rows that count: padding does not; empty: all
};

struct ForwardResult {
  std::vector<Record> records;
  std::vector<Load> loads;  // in order
};

struct ForwardOptions {
  std::map<std::string, Json> documents = {};  // further files that the layout keeps settings in, by name
  Rounding rounding = {};
  size_t max_records = 0;               // stops after so many; 0: runs to the end
  ProgressCounter* progress = nullptr;  // of the bytes that are read; may be null
};

// `config`: what config.json holds, for layouts that keep their settings there. Throws Error at the step that fails.
ForwardResult run_forward(const ModelFile& model, const std::vector<NamedSource>& sources, const Json& config,
                          const Sample& sample, const ForwardOptions& options = {});

}  // namespace remap::forward
