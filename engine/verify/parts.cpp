#include "verify/parts.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>
#include <Eigen/Dense>

#include "base/parallel_for.h"
#include "remap/diagnostic.h"
#include "verify/gemm.h"

namespace remap::forward {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using View = Eigen::Map<const Matrix>;
using Target = Eigen::Map<Matrix>;
using Strided = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;
using StridedTarget = Eigen::Map<Matrix, 0, Eigen::OuterStride<>>;

View view(const Tensor& x) { return {x.data, x.rows(), x.columns()}; }
Target view(NewTensor& x) {
  const Tensor t = x;
  return {x.data.get(), t.rows(), t.columns()};
}

[[noreturn]] void misfit(const std::string& what) { throw Error("verify-shape", {}, what); }
void require(bool good, const char* part, const Tensor& a, const Tensor& b) {
  if (!good) misfit(fmt::format("{}: shapes {} and {} do not fit", part, to_string(a.shape), to_string(b.shape)));
}

Shape with_last(Shape shape, int64_t last) {
  if (shape.empty()) shape.push_back(1);
  shape.back() = last;
  return shape;
}

template <typename F>
Tensor each(const Tensor& x, F f) {
  constexpr int64_t kCost = 32;  // of a transcendental function, in multiplications
  NewTensor out(x.shape);
  parallel_for(x.size(), x.size() * kCost, [&, to = out.data.get()](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = f(x.data[i]);
  });
  return out;
}

template <typename F>
Tensor both(const char* part, const Tensor& a, const Tensor& b, F f) {
  const int64_t n = a.size(), m = b.size();
  require(m == n || m == 1 || (b.rows() == 1 && b.columns() == a.columns()), part, a, b);
  NewTensor out(a.shape);
  for (int64_t i = 0; i < n; ++i)
    out.data[static_cast<size_t>(i)] = f(a.data[i], b.data[m == n ? i : m == 1 ? 0 : i % m]);
  return out;
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor* bias) {
  require(weight.shape.size() == 2 && weight.shape[1] == x.columns(), "linear", x, weight);
  NewTensor out(with_last(x.shape, weight.shape[0]));
  multiply_transposed(out.data.get(), x.data, weight.data, x.rows(), weight.shape[0], x.columns());
  if (bias != nullptr) {
    require(bias->size() == weight.shape[0], "bias", weight, *bias);
    view(out).rowwise() += Eigen::Map<const Eigen::RowVectorXf>(bias->data, bias->size());
  }
  return out;
}

Tensor embedding(const Tensor& table, const std::vector<int64_t>& ids) {
  NewTensor out({static_cast<int64_t>(ids.size()), table.columns()});
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= table.rows())
      misfit(fmt::format("embedding: index {} of a table with {} rows", ids[i], table.rows()));
    std::copy_n(table.data + ids[i] * table.columns(), table.columns(),
                out.data.get() + static_cast<int64_t>(i) * table.columns());
  }
  return out;
}

Tensor layer_norm(const Tensor& x, const Tensor* weight, const Tensor* bias, float eps) {
  const int64_t n = x.columns();
  if (weight != nullptr) require(weight->size() == n && bias != nullptr && bias->size() == n, "layer norm", x, *weight);
  NewTensor out(x.shape);
  for (int64_t r = 0; r < x.rows(); ++r) {
    const Eigen::Map<const Eigen::ArrayXf> row(x.data + r * n, n);
    Eigen::Map<Eigen::ArrayXf> result(out.data.get() + r * n, n);
    const float mean = row.mean();
    result = row - mean;
    result *= 1.0f / std::sqrt(result.square().mean() + eps);
    if (weight != nullptr)
      result =
          result * Eigen::Map<const Eigen::ArrayXf>(weight->data, n) + Eigen::Map<const Eigen::ArrayXf>(bias->data, n);
  }
  return out;
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, float eps) {
  const int64_t n = x.columns();
  require(weight.size() == n, "rms norm", x, weight);
  NewTensor out(x.shape);
  for (int64_t r = 0; r < x.rows(); ++r) {
    const Eigen::Map<const Eigen::ArrayXf> row(x.data + r * n, n);
    Eigen::Map<Eigen::ArrayXf>(out.data.get() + r * n, n) =
        row * (1.0f / std::sqrt(row.square().mean() + eps)) * Eigen::Map<const Eigen::ArrayXf>(weight.data, n);
  }
  return out;
}

Tensor activation(const Tensor& x, const std::string& name) {
  if (name == "gelu")
    return each(x,
                [](float v) { return 0.5f * v * (1.0f + std::erf(v * static_cast<float>(std::numbers::sqrt2 / 2))); });
  if (name == "gelu_new")
    return each(x, [](float v) { return 0.5f * v * (1.0f + std::tanh(0.7978845608f * (v + 0.044715f * v * v * v))); });
  if (name == "relu") return each(x, [](float v) { return std::max(v, 0.0f); });
  if (name == "tanh") return each(x, [](float v) { return std::tanh(v); });
  if (name == "silu") return each(x, [](float v) { return v / (1.0f + std::exp(-v)); });
  if (name == "quick_gelu") return each(x, [](float v) { return v / (1.0f + std::exp(-1.702f * v)); });
  misfit(fmt::format("there is no activation function '{}'", name));
}

Tensor softmax(const Tensor& x) {
  NewTensor out(x.shape);
  const int64_t n = x.columns();
  for (int64_t r = 0; r < x.rows(); ++r) {
    const Eigen::Map<const Eigen::ArrayXf> row(x.data + r * n, n);
    Eigen::Map<Eigen::ArrayXf> result(out.data.get() + r * n, n);
    result = (row - row.maxCoeff()).exp();
    result /= result.sum();
  }
  return out;
}

Tensor normalised(const Tensor& x) {
  NewTensor out(x.shape);
  const int64_t n = x.columns();
  for (int64_t r = 0; r < x.rows(); ++r) {
    const Eigen::Map<const Eigen::VectorXf> row(x.data + r * n, n);
    Eigen::Map<Eigen::VectorXf>(out.data.get() + r * n, n) = row / row.norm();
  }
  return out;
}

Tensor exponential(const Tensor& x) {
  return each(x, [](float v) { return std::exp(v); });
}

Tensor add(const Tensor& a, const Tensor& b) {
  return both("sum", a, b, [](float x, float y) { return x + y; });
}
Tensor multiply(const Tensor& a, const Tensor& b) {
  return both("product", a, b, [](float x, float y) { return x * y; });
}
Tensor scale(const Tensor& x, float factor) {
  return each(x, [factor](float v) { return v * factor; });
}

Tensor concat_rows(const std::vector<Tensor>& parts) {
  int64_t total = 0;
  for (const auto& part : parts) {
    require(part.columns() == parts.front().columns(), "concat", parts.front(), part);
    total += part.rows();
  }
  NewTensor out({total, parts.front().columns()});
  float* at = out.data.get();
  for (const auto& part : parts) at = std::copy_n(part.data, part.size(), at);
  return out;
}

Tensor concat_columns(const std::vector<Tensor>& parts) {
  int64_t total = 0;
  for (const auto& part : parts) {
    require(part.rows() == parts.front().rows(), "concat", parts.front(), part);
    total += part.columns();
  }
  NewTensor out({parts.front().rows(), total});
  float* at = out.data.get();
  for (int64_t r = 0; r < parts.front().rows(); ++r)
    for (const auto& part : parts) at = std::copy_n(part.data + r * part.columns(), part.columns(), at);
  return out;
}

Tensor rows(const Tensor& x, int64_t begin, int64_t end) {
  if (begin < 0 || end > x.rows() || begin > end)
    misfit(fmt::format("rows {} to {} of {}", begin, end, to_string(x.shape)));
  Tensor part = x;
  part.shape = {end - begin, x.columns()};
  part.data += begin * x.columns();
  return part;
}

Tensor transpose(const Tensor& x) {
  NewTensor out({x.columns(), x.rows()});
  view(out) = view(x).transpose();
  return out;
}

Tensor reshape(const Tensor& x, Shape shape) {
  Tensor result = x;
  result.shape = std::move(shape);
  if (result.size() != x.size())
    misfit(fmt::format("{} cannot become {}", to_string(x.shape), to_string(result.shape)));
  return result;
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& options) {
  const int64_t width = q.columns(), n_query = q.rows(), n_key = k.rows(), heads = options.heads;
  require(heads > 0 && width % heads == 0 && k.columns() == v.columns() && v.rows() == n_key, "attention", q, k);
  const int64_t head = width / heads, key_width = k.columns(), key_heads = head == 0 ? 0 : key_width / head;
  require(key_heads > 0 && key_width % head == 0 && heads % key_heads == 0, "attention", q, k);
  NewTensor out(q.shape);
  const auto one_head = [&, to = out.data.get()](int64_t h, Matrix& scores) {
    const Strided qh(q.data + h * head, n_query, head, Eigen::OuterStride<>(width));
    const int64_t key_head = h / (heads / key_heads);  // neighbouring heads of q share one of k and v
    const Strided kh(k.data + key_head * head, n_key, head, Eigen::OuterStride<>(key_width));
    const Strided vh(v.data + key_head * head, n_key, head, Eigen::OuterStride<>(key_width));
    scores.noalias() = (qh * kh.transpose()) * options.scale;
    if (options.bias != nullptr) scores += View(options.bias->data + h * n_query * n_key, n_query, n_key);
    for (int64_t i = 0; i < n_query; ++i) {
      auto row = scores.row(i).array();
      for (int64_t j = 0; j < n_key; ++j)
        if ((options.keep != nullptr && !(*options.keep)[static_cast<size_t>(j)]) || (options.causal && j > i))
          scores(i, j) = -std::numeric_limits<float>::infinity();
      const float top = row.maxCoeff();
      if (!std::isfinite(top)) {  // nothing to attend to: a padded position, whose value nobody reads
        row.setZero();
        continue;
      }
      row = (row - top).exp();
      row /= row.sum();
    }
    StridedTarget(to + h * head, n_query, head, Eigen::OuterStride<>(width)).noalias() = scores * vh;
  };
  parallel_for(heads, 2 * n_query * n_key * width, [&](int64_t begin, int64_t end) {
    Matrix scores(n_query, n_key);
    for (int64_t h = begin; h < end; ++h) one_head(h, scores);
  });
  return out;
}

Tensor relative_bias(const Tensor& table, int64_t n_query, int64_t n_key, bool bidirectional, int64_t max_distance) {
  const int64_t heads = table.columns(), all = table.rows(), buckets = bidirectional ? all / 2 : all,
                exact = buckets / 2;
  NewTensor out({heads, n_query, n_key});
  for (int64_t i = 0; i < n_query; ++i)
    for (int64_t j = 0; j < n_key; ++j) {
      const int64_t relative = j - i;
      int64_t bucket = bidirectional && relative > 0 ? buckets : 0;
      const int64_t n = bidirectional ? std::abs(relative) : std::max<int64_t>(-relative, 0);
      if (n < exact)
        bucket += n;
      else
        bucket += std::min<int64_t>(
            buckets - 1,
            exact + static_cast<int64_t>(std::log(static_cast<float>(n) / static_cast<float>(exact)) /
                                         std::log(static_cast<float>(max_distance) / static_cast<float>(exact)) *
                                         static_cast<float>(buckets - exact)));
      for (int64_t h = 0; h < heads; ++h)
        out.data[static_cast<size_t>((h * n_query + i) * n_key + j)] = table.data[bucket * heads + h];
    }
  return out;
}

std::vector<double> rotary_frequencies(int64_t head, double theta, const RopeScaling& scaling) {
  std::vector<double> frequencies;
  for (int64_t i = 0; 2 * i < head; ++i) {
    const double f = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head)),
                 wavelength = 2 * std::numbers::pi / f;
    // Long waves are slowed down, short ones kept, and between the two it changes gradually.
    const double kept =
        scaling.factor == 1
            ? 1
            : std::clamp((scaling.original / wavelength - scaling.low) / (scaling.high - scaling.low), 0.0, 1.0);
    frequencies.push_back(kept * f + (1 - kept) * f / scaling.factor);
  }
  return frequencies;
}

Tensor rotary(const Tensor& x, int64_t heads, const std::vector<double>& frequencies, bool neighbours) {
  const auto half = static_cast<int64_t>(frequencies.size());
  if (heads <= 0 || half == 0 || x.columns() != heads * 2 * half)
    misfit(fmt::format("rotary: {} is not {} heads of {}", to_string(x.shape), heads, 2 * half));
  NewTensor out(x.shape);
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(t) * frequencies[static_cast<size_t>(i)];
      const auto cosine = static_cast<float>(std::cos(angle)), sine = static_cast<float>(std::sin(angle));
      for (int64_t h = 0; h < heads; ++h) {
        const int64_t at = t * x.columns() + h * 2 * half, first = at + (neighbours ? 2 * i : i),
                      second = at + (neighbours ? 2 * i + 1 : i + half);
        out.data[static_cast<size_t>(first)] = x.data[first] * cosine - x.data[second] * sine;
        out.data[static_cast<size_t>(second)] = x.data[second] * cosine + x.data[first] * sine;
      }
    }
  return out;
}

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor* bias, int64_t stride, int64_t padding,
              int64_t groups) {
  require(weight.shape.size() == 3 && groups > 0 && weight.shape[1] * groups == x.columns() &&
              weight.shape[0] % groups == 0,
          "conv1d", x, weight);
  const int64_t out_all = weight.shape[0], in = weight.shape[1], kernel = weight.shape[2], out_group = out_all / groups,
                length = x.rows();
  const int64_t frames = (length + 2 * padding - kernel) / stride + 1;
  if (frames < 1) misfit(fmt::format("conv1d: {} frames are fewer than the kernel of {}", length, kernel));
  NewTensor out({frames, out_all});
  Matrix columns(frames, in * kernel);
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t f = 0; f < frames; ++f)
      for (int64_t c = 0; c < in; ++c)
        for (int64_t k = 0; k < kernel; ++k) {
          const int64_t t = f * stride + k - padding;
          columns(f, c * kernel + k) = t < 0 || t >= length ? 0.0f : x.data[t * x.columns() + g * in + c];
        }
    const View w(weight.data + g * out_group * in * kernel, out_group, in * kernel);
    StridedTarget(out.data.get() + g * out_group, frames, out_group, Eigen::OuterStride<>(out_all)).noalias() =
        columns * w.transpose();
  }
  if (bias != nullptr) view(out).rowwise() += Eigen::Map<const Eigen::RowVectorXf>(bias->data, bias->size());
  return out;
}

Tensor weight_norm(const Tensor& v, const Tensor& g) {
  const size_t rank = v.shape.size();
  require(g.shape.size() == rank, "weight norm", v, g);
  for (size_t a = 0; a < rank; ++a) require(g.shape[a] == 1 || g.shape[a] == v.shape[a], "weight norm", v, g);
  // Which length each element of v has to do with: counted up as an odometer does.
  std::vector<int64_t> part(static_cast<size_t>(v.size())), index(rank), stride(rank, 1);
  for (size_t a = rank; a-- > 1;) stride[a - 1] = stride[a] * g.shape[a];
  for (int64_t& p : part) {
    p = 0;
    for (size_t a = 0; a < rank; ++a) p += g.shape[a] == 1 ? 0 : index[a] * stride[a];
    for (size_t a = rank; a-- > 0 && ++index[a] == v.shape[a];) index[a] = 0;
  }
  std::vector<double> squares(static_cast<size_t>(g.size()));
  for (int64_t i = 0; i < v.size(); ++i)
    squares[static_cast<size_t>(part[static_cast<size_t>(i)])] += static_cast<double>(v.data[i]) * v.data[i];
  NewTensor out(v.shape);
  for (int64_t i = 0; i < v.size(); ++i) {
    const int64_t p = part[static_cast<size_t>(i)];
    out.data[static_cast<size_t>(i)] =
        v.data[i] * (g.data[p] / static_cast<float>(std::sqrt(squares[static_cast<size_t>(p)])));
  }
  return out;
}

Tensor sinusoids(const std::vector<int64_t>& positions, int64_t width, int64_t pad) {
  const int64_t half = width / 2;
  if (half < 2) misfit(fmt::format("sinusoids of width {}: 4 or more were expected", width));
  NewTensor out({static_cast<int64_t>(positions.size()), width});
  const double step = std::log(10000.0) / static_cast<double>(half - 1);
  for (size_t t = 0; t < positions.size(); ++t)
    for (int64_t k = 0; k < half && positions[t] != pad; ++k) {
      const auto frequency = static_cast<float>(std::exp(static_cast<double>(k) * -step));
      const float angle = static_cast<float>(positions[t]) * frequency;
      const size_t row = t * static_cast<size_t>(width) + static_cast<size_t>(k);
      out.data[row] = std::sin(angle);
      out.data[row + static_cast<size_t>(half)] = std::cos(angle);
    }
  return out;
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor* bias, int64_t stride, int64_t padding) {
  require(x.shape.size() == 3 && weight.shape.size() == 4 && weight.shape[1] == x.shape[0], "conv2d", x, weight);
  const int64_t in = x.shape[0], height = x.shape[1], width = x.shape[2], kh = weight.shape[2], kw = weight.shape[3];
  const int64_t out_h = (height + 2 * padding - kh) / stride + 1, out_w = (width + 2 * padding - kw) / stride + 1;
  if (out_h < 1 || out_w < 1)
    misfit(fmt::format("conv2d: an image of {} is smaller than the kernel", to_string(x.shape)));
  Matrix columns(in * kh * kw, out_h * out_w);
  for (int64_t c = 0; c < in; ++c)
    for (int64_t i = 0; i < kh; ++i)
      for (int64_t j = 0; j < kw; ++j)
        for (int64_t y = 0; y < out_h; ++y)
          for (int64_t z = 0; z < out_w; ++z) {
            const int64_t row = y * stride + i - padding, column = z * stride + j - padding;
            const bool inside = row >= 0 && row < height && column >= 0 && column < width;
            columns((c * kh + i) * kw + j, y * out_w + z) = inside ? x.data[(c * height + row) * width + column] : 0.0f;
          }
  NewTensor out({weight.shape[0], out_h, out_w});
  Target result(out.data.get(), weight.shape[0], out_h * out_w);
  result.noalias() = View(weight.data, weight.shape[0], in * kh * kw) * columns;
  if (bias != nullptr) result.colwise() += Eigen::Map<const Eigen::VectorXf>(bias->data, bias->size());
  return out;
}

Tensor max_pool_2(const Tensor& x) {
  if (x.shape.size() != 3) misfit(fmt::format("max pool of {}", to_string(x.shape)));
  const int64_t height = x.shape[1] / 2, width = x.shape[2] / 2;
  NewTensor out({x.shape[0], height, width});
  for (int64_t c = 0; c < x.shape[0]; ++c)
    for (int64_t y = 0; y < height; ++y)
      for (int64_t z = 0; z < width; ++z) {
        const float* at = x.data + (c * x.shape[1] + 2 * y) * x.shape[2] + 2 * z;
        out.data[static_cast<size_t>((c * height + y) * width + z)] =
            std::max({at[0], at[1], at[x.shape[2]], at[x.shape[2] + 1]});
      }
  return out;
}

std::vector<int64_t> argmax_rows(const Tensor& x) {
  std::vector<int64_t> best;
  for (int64_t r = 0; r < x.rows(); ++r)
    best.push_back(std::max_element(x.data + r * x.columns(), x.data + (r + 1) * x.columns()) -
                   (x.data + r * x.columns()));
  return best;
}

}  // namespace remap::forward
