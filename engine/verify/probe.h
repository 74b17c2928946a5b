// Inputs to run a model on. Private to the engine.
#pragma once

#include "verify/forward.h"

namespace remap::forward {

// Deterministic samples for what the target's model file asks: token sequences, one of them padded, each choice (such
// as a language) in turn, waveforms of zero mean and unit variance, images in 0 … 1.
std::vector<Sample> make_probe(const ModelFile& target, const Json& config);

// Samples from a safetensors file: a tensor [batch, …] for each input, `attention_mask` (`decoder_attention_mask` of
// `decoder_input_ids`) for its mask, all ones if it is not there. Choices are indices. Throws Error "verify-input".
std::vector<Sample> read_probe(const ModelFile& target, const Json& config, const std::string& path);

}  // namespace remap::forward
