// Checkpoints to measure with: random weights, any size, written without the libraries that they stand for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bench {

// How many of each; -1: as the kind has it.
using Numbers = std::vector<int64_t>;

// What fairseq saves of a RoBERTa, as torch.save writes it: numbers are layers, hidden, ffn, vocab.
void make_roberta(const std::string& path, const Numbers& numbers);

// A safetensors file of 'layers.N.in.weight' [hidden, ffn] and 'layers.N.out.weight' [ffn, hidden]: numbers are layers,
// hidden, ffn. `dtype`: "F32" or "F16".
void make_matrices(const std::string& path, const std::string& dtype, const Numbers& numbers);

// A safetensors file of F32 'blocks.N.weight': numbers are tensors, elements of each.
void make_small(const std::string& path, const Numbers& numbers);

// The same of about a gigabyte of zeros each, with no data in the file but the header: numbers are gigabytes.
void make_sparse(const std::string& path, const Numbers& numbers);

// A folder as T5X saves Switch Transformers, in zarr chunks of a few experts, gzip or not: numbers are experts,
// layers (encoder and decoder, every second sparse), d_model, d_ff.
void make_switch(const std::string& path, bool gzip, const Numbers& numbers);

// A torch.distributed.checkpoint of F32 'layers.N.weight' [1024, columns], cut by rows: numbers are ranks, tensors,
// columns.
void make_dcp(const std::string& path, const Numbers& numbers);

// What DeepSpeed saves of the same tensors in ZeRO stage 3.
void make_zero3(const std::string& path, const Numbers& numbers);

// Numbers, each its default where none is given.
Numbers filled(const Numbers& given, Numbers defaults);

// Cheap, never the same, and about as wide as trained weights.
void fill_randomly(float* values, size_t count, uint64_t& state);

[[noreturn]] void fail(const std::string& what);  // with errno

}  // namespace bench
