// Runs a forward pass written as data over the tensors of one checkpoint, a sample at a time. Weights are read when a step needs
// them and let go after it, so memory is that of one step. Private to the engine.
#pragma once

#include <map>

#include "remap/plan.h"
#include "verify/model_file.h"
#include "verify/tensor.h"

namespace remap::forward {

// What a model is run on: token ids and masks as lists of integers, choices as integers; waveforms [n] and images as tensors.
struct Sample {
  std::map<std::string, Json> values;
  std::map<std::string, Tensor> tensors;
};

struct Record {
  std::string name;
  Tensor value;
  std::vector<bool> keep;  // rows that count: padding does not; empty: all
};

// A tensor that a step read: where it is, which part of it, and how many values had been recorded before.
struct Load {
  size_t source = 0, tensor = 0, n_records = 0;
  Box box;
};

struct ForwardResult {
  std::vector<Record> records;
  std::vector<Load> loads;  // in order
};

// `config`: what config.json holds, for layouts that keep their settings there. Throws Error at the step that fails.
// `max_records`: stops after so many; 0: runs to the end.
ForwardResult run_forward(const ModelFile& model, const std::vector<NamedSource>& sources, const Json& config, const Sample& sample, size_t max_records = 0);

}  // namespace remap::forward
