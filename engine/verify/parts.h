// Parts of encoders, computed with Eigen in float32. A sequence is [T, H]: a row a position; an image is [C, height,
// width]. Weights of linear maps are [out, in], of convolutions [out, in / groups, kernel …], as PyTorch has them.
// Shapes that do not fit throw Error "verify-shape", which says what was found. Private to the engine.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "verify/tensor.h"

namespace remap::forward {

// x W^T + b.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor* bias);
// Rows of the table by index; an index out of range is an error.
Tensor embedding(const Tensor& table, const std::vector<int64_t>& ids);
// (x - mean) / sqrt(var + eps) * w + b over the last axis (population variance); without w and b: plain.
Tensor layer_norm(const Tensor& x, const Tensor* weight, const Tensor* bias, float eps);
// x / sqrt(mean(x^2) + eps) * w.
Tensor rms_norm(const Tensor& x, const Tensor& weight, float eps);
// "gelu" (erf), "gelu_new" (tanh approximation), "quick_gelu" (x sigmoid(1.702 x)), "relu", "tanh", "silu".
Tensor activation(const Tensor& x, const std::string& name);
Tensor softmax(const Tensor& x);
Tensor normalised(const Tensor& x);  // every row divided by its Euclidean length
Tensor exponential(const Tensor& x);
Tensor add(const Tensor& a, const Tensor& b);  // same shape, or b is one row added to every row of a, or one number
Tensor multiply(const Tensor& a, const Tensor& b);
Tensor scale(const Tensor& x, float factor);
Tensor concat_rows(const std::vector<Tensor>& parts);
Tensor concat_columns(const std::vector<Tensor>& parts);
Tensor rows(const Tensor& x, int64_t begin, int64_t end);
Tensor transpose(const Tensor& x);
Tensor reshape(const Tensor& x, Shape shape);

struct AttentionOptions {
  int64_t heads = 1;
  float scale = 1;                          // of the scores
  const std::vector<bool>* keep = nullptr;  // keys that may be attended to
  bool causal = false;
  const Tensor* bias = nullptr;  // [heads, T_query, T_key], added to the scores
};
// Multi-head attention on projected q, k, v: heads lie side by side in the last axis. k and v may have fewer heads, as
// many fewer as their rows are shorter.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& options);

// T5's relative position bias: table [buckets, heads] -> [heads, query, key]. Source: Raffel et al. 2020 and its
// reference code.
Tensor relative_bias(const Tensor& table, int64_t n_query, int64_t n_key, bool bidirectional, int64_t max_distance);

// Rotary position embedding (Su et al. 2021): theta^(-2i/head), i < head/2. With a factor: frequencies of wavelengths
// above original/low are divided by it, those below original/high kept (Llama 3.1).
struct RopeScaling {
  double factor = 1, low = 1, high = 1, original = 0;
};
std::vector<double> rotary_frequencies(int64_t head, double theta, const RopeScaling& scaling);
// Turns pairs of elements of each head by position times frequency i: elements 2i and 2i+1 if `neighbours`, else i and
// i + head/2.
Tensor rotary(const Tensor& x, int64_t heads, const std::vector<double>& frequencies, bool neighbours);

// x [T, in] -> [frames, out]; `padding` zeros on both sides.
Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor* bias, int64_t stride, int64_t padding,
              int64_t groups);
// v, scaled so that its parts have the lengths g: g has v's shape, but 1 for the axes over which a part reaches.
Tensor weight_norm(const Tensor& v, const Tensor& g);
// fairseq's sinusoids [T, width]: the sines of each position times width/2 frequencies, then the cosines; zeros for
// `pad`.
Tensor sinusoids(const std::vector<int64_t>& positions, int64_t width, int64_t pad);
// x [in, height, width] -> [out, height', width'].
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor* bias, int64_t stride, int64_t padding);
Tensor max_pool_2(const Tensor& x);                 // 2 x 2, stride 2
std::vector<int64_t> argmax_rows(const Tensor& x);  // the first of equals

}  // namespace remap::forward
