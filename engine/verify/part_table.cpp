#include "verify/part_table.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include "verify/parts.h"
#include "verify/runner.h"

namespace remap::forward {
namespace {

using lang::Call;
using lang::plain;
using lang::Value;

[[noreturn]] void refuse(const std::string& message) { throw Error("expression-value", {}, message); }

// ---------------------------------------------------------------- arguments

// A part can be named wherever an expression of the file stands, and be run by its steps alone.
Runner& runner(const Call& c) {
  if (auto* runner = dynamic_cast<Runner*>(&c.scope)) return *runner;
  throw Error("expression-no-checkpoint", {},
              fmt::format("'{}' cannot be asked here: only steps see the checkpoint's tensors", c.function.name));
}

const Tensor& tensor(const Call& c, size_t i) {
  const Tensor* found = i < c.size() ? tensor_in(c.arguments[i]) : nullptr;
  if (found == nullptr) c.needs("a tensor", i);
  return *found;
}

bool is_tensor(const Call& c, size_t i) { return tensor_in(c.arguments[i]) != nullptr; }
float number(const Call& c, size_t i) { return static_cast<float>(c.number(i)); }

std::vector<bool> mask(const Call& c, size_t i, int64_t n, const char* of) {
  auto keep = booleans(c.list(i));
  if (static_cast<int64_t>(keep.size()) != n)
    throw Error("verify-shape", {}, fmt::format("a mask of {} for {} {}", keep.size(), n, of));
  return keep;
}

// module.weight, and module.bias if there is one.
struct Module {
  Module(const Call& c, size_t i)
      : weight(runner(c).load(c.string(i) + ".weight")), bias(runner(c).load_if(c.string(i) + ".bias")) {}
  const Tensor* bias_or_null() const { return bias ? &*bias : nullptr; }
  Tensor weight;
  std::optional<Tensor> bias;
};

// A function whose value is a tensor, as a row has it.
template <Tensor (*function)(const Call&)>
Value made(const Call& c) {
  return value_of(function(c));
}

// ---------------------------------------------------------------- tensors of the checkpoint

Tensor weight(const Call& c) { return runner(c).load(c.string(0)); }

Tensor part(const Call& c) {
  const int64_t begin = c.integer(1), end = c.size() == 3 ? c.integer(2) : begin + 1;
  Tensor t = runner(c).load(c.string(0), Range{begin, end});
  if (c.size() == 2) t.shape.erase(t.shape.begin());
  return t;
}

Tensor entry(const Call& c) {
  const int64_t axis = c.integer(1), i = c.integer(2);
  if (axis < 0) c.needs("an axis", 1);
  Tensor t = runner(c).load(c.string(0), Range{i, i + 1, static_cast<size_t>(axis)});
  t.shape.erase(t.shape.begin() + axis);
  return t;
}

Tensor matrix(const Call& c) {
  const Tensor& x = tensor(c, 0);
  const int64_t rows = c.integer(1);
  if (rows < 1 || x.size() % rows != 0) c.needs("a number of rows that divides the tensor's elements", 1);
  return reshape(x, {rows, x.size() / rows});
}

Tensor joined(const Call& c) {
  const int64_t axis = c.integer(1);
  if (axis != 0 && axis != 1) c.needs("an axis, 0 or 1,", 1);
  return runner(c).load_joined(c.string(0), axis);
}

// ---------------------------------------------------------------- layers

Tensor embedding(const Call& c) {
  return embedding(is_tensor(c, 0) ? tensor(c, 0) : runner(c).load(c.string(0)), c.list(1).get<std::vector<int64_t>>());
}

Tensor linear(const Call& c) {
  const Module module(c, 1);
  const Tensor y = linear(tensor(c, 0), module.weight, module.bias_or_null());
  return c.size() == 3 ? activation(y, c.string(2)) : y;
}

Tensor project(const Call& c) { return linear(tensor(c, 0), tensor(c, 1), c.size() == 3 ? &tensor(c, 2) : nullptr); }

Tensor layer_norm(const Call& c) {
  if (c.size() == 2) return layer_norm(tensor(c, 0), nullptr, nullptr, number(c, 1));
  const Tensor w = runner(c).load(c.string(1) + ".weight"), b = runner(c).load(c.string(1) + ".bias");
  return layer_norm(tensor(c, 0), &w, &b, number(c, 2));
}

Tensor rms_norm(const Call& c) {
  return rms_norm(tensor(c, 0), is_tensor(c, 1) ? tensor(c, 1) : runner(c).load(c.string(1)), number(c, 2));
}
Tensor activation(const Call& c) { return activation(tensor(c, 0), c.string(1)); }

Tensor attention(const Call& c) {
  AttentionOptions options;
  options.heads = c.integer(3);
  options.scale = c.json(4) == Json("sqrt")
                      ? 1.0f / std::sqrt(static_cast<float>(tensor(c, 0).columns()) / static_cast<float>(options.heads))
                      : number(c, 4);
  std::vector<bool> keep;
  for (size_t i = 5; i < c.size(); ++i) {
    if (is_tensor(c, i))
      options.bias = &tensor(c, i);
    else if (c.json(i) == Json("causal"))
      options.causal = true;
    else if (c.json(i).is_array())
      keep = mask(c, i, tensor(c, 1).rows(), "keys"), options.keep = &keep;
  }
  return attention(tensor(c, 0), tensor(c, 1), tensor(c, 2), options);
}

Tensor relative_bias(const Call& c) {
  return relative_bias(tensor(c, 0), c.integer(1), c.integer(2), c.size() == 4, c.integer(3));
}

Tensor rotary(const Call& c) {
  const std::string& pairs = c.string(3);
  if (pairs != "neighbours" && pairs != "halves")
    refuse(fmt::format("'rotary' turns 'neighbours' or 'halves', not '{}'", pairs));
  return rotary(tensor(c, 0), c.integer(1), c.list(2).get<std::vector<double>>(), pairs == "neighbours");
}

Tensor conv1d(const Call& c) {
  const int64_t groups = c.size() == 5 ? c.integer(4) : 1;
  if (is_tensor(c, 1)) return conv1d(tensor(c, 0), tensor(c, 1), nullptr, c.integer(2), c.integer(3), groups);
  const Module module(c, 1);
  return conv1d(tensor(c, 0), module.weight, module.bias_or_null(), c.integer(2), c.integer(3), groups);
}

Tensor weight_norm(const Call& c) { return weight_norm(runner(c).load(c.string(0)), runner(c).load(c.string(1))); }

Tensor sinusoids(const Call& c) {
  return forward::sinusoids(c.list(0).get<std::vector<int64_t>>(), c.integer(1), c.integer(2));
}

Tensor conv2d(const Call& c) {
  const Module module(c, 1);
  return conv2d(tensor(c, 0), module.weight, module.bias_or_null(), c.integer(2), c.integer(3));
}

Tensor max_pool(const Call& c) { return max_pool_2(tensor(c, 0)); }

// The experts of each row and their weights: the softmax's probability of the likeliest; or, of the k likeliest, the
// softmax over these.
using Routes = std::vector<std::vector<std::pair<int64_t, float>>>;

Routes routes(const Tensor& logits, int64_t k) {
  const int64_t n = logits.columns();
  const Tensor probabilities = softmax(logits);
  Routes chosen(static_cast<size_t>(logits.rows()));
  for (int64_t r = 0; r < logits.rows(); ++r) {
    const float* row = probabilities.data + r * n;
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return row[a] > row[b]; });
    order.resize(static_cast<size_t>(std::clamp<int64_t>(k, 1, n)));
    float sum = 0;
    for (const int64_t expert : order) sum += row[expert];
    for (const int64_t expert : order)
      chosen[static_cast<size_t>(r)].emplace_back(expert, k == 0 ? row[expert] : row[expert] / sum);
  }
  return chosen;
}

// With a capacity that drops nothing. One expert's weights are read at a time, and only of those that were chosen.
Tensor experts(const Call& c) {
  const Tensor& x = tensor(c, 0);
  const Routes chosen = routes(tensor(c, 1), c.size() == 3 ? c.integer(2) : 0);
  if (static_cast<int64_t>(chosen.size()) != x.rows())
    throw Error("verify-shape", {}, fmt::format("routes of {} rows for {}", chosen.size(), x.rows()));
  NewTensor out(x.shape);
  const int64_t width = x.columns();
  std::set<int64_t> used;
  for (const auto& row : chosen)
    for (const auto& [expert, weight] : row) used.insert(expert);
  for (const int64_t expert : used) {
    std::vector<int64_t> mine;
    std::vector<float> weights;
    for (size_t r = 0; r < chosen.size(); ++r)
      for (const auto& [one, weight] : chosen[r])
        if (one == expert) mine.push_back(static_cast<int64_t>(r)), weights.push_back(weight);
    const Value value =
        runner(c).with({{"x", value_of(embedding(x, mine))}, {"e", Value::of(Json(expert))}}, c.evaluate_last);
    const Tensor* y = tensor_in(value);
    if (y == nullptr || y->columns() != width)
      throw Error("verify-shape", {}, "an expert's value has another width than its input");
    for (size_t i = 0; i < mine.size(); ++i)
      for (int64_t k = 0; k < width; ++k)
        out.data[static_cast<size_t>(mine[i] * width + k)] += weights[i] * y->data[static_cast<int64_t>(i) * width + k];
  }
  return out;
}

// ---------------------------------------------------------------- elements and rows

Tensor exponential(const Call& c) { return exponential(tensor(c, 0)); }
Tensor normalised(const Call& c) { return normalised(tensor(c, 0)); }
Tensor transposed(const Call& c) { return transpose(tensor(c, 0)); }
Tensor rows(const Call& c) { return rows(tensor(c, 0), c.integer(1), c.integer(2)); }

Tensor concat(const Call& c) {
  std::vector<Tensor> parts;
  for (size_t i = 0; i < c.size(); ++i) parts.push_back(tensor(c, i));
  return concat_rows(parts);
}

Tensor masked(const Call& c) {
  const Tensor& x = tensor(c, 0);
  const auto keep = mask(c, 1, x.rows(), "rows");
  NewTensor out(x.shape);
  for (int64_t r = 0; r < x.rows(); ++r)
    if (keep[static_cast<size_t>(r)])
      std::copy_n(x.data + r * x.columns(), x.columns(), out.data.get() + r * x.columns());
  return out;
}

Tensor patches(const Call& c) {
  const Tensor& x = tensor(c, 0);
  if (x.shape.empty() || x.shape[0] == 0) c.needs("an image", 0);
  return transpose(reshape(x, {x.shape[0], x.size() / x.shape[0]}));
}

Json length(const Call& c) { return is_tensor(c, 0) ? tensor(c, 0).rows() : static_cast<int64_t>(c.json(0).size()); }

// ---------------------------------------------------------------- numbers and lists

Json inverse_sqrt(const Call& c) { return 1.0 / std::sqrt(c.number(0)); }

Json repeated(const Call& c) {
  const int64_t n = c.integer(1);
  if (n < 0 || n > lang::kMaxListLength) c.needs("the length of a list", 1);
  return std::vector<Json>(static_cast<size_t>(n), c.json(0));
}

Json argmax(const Call& c) {
  if (is_tensor(c, 0)) return argmax_rows(tensor(c, 0));
  const Json& list = c.list(0);
  if (list.empty()) c.needs("a list with entries", 0);
  return std::max_element(list.begin(), list.end()) - list.begin();
}

Json positions(const Call& c) {
  Json list = Json::array();
  const int64_t pad = c.integer(1);
  int64_t next = c.integer(2);
  for (const Json& id : c.list(0)) list.push_back(id == pad ? pad : next++);
  return list;
}

Json frame_mask(const Call& c) {
  int64_t total = static_cast<int64_t>(c.list(0).size()), kept = 0;
  for (const bool keep : booleans(c.list(0))) kept += keep;
  for (const Json& conv : c.list(1)) {
    const int64_t kernel = conv.at(1).get<int64_t>(), stride = conv.at(2).get<int64_t>();
    if (stride <= 0) c.needs("convolutions with strides from 1", 1);
    total = (total - kernel) / stride + 1;
    kept = std::max<int64_t>((kept - kernel) / stride + 1, 0);
  }
  Json mask = Json::array();
  for (int64_t i = 0; i < total; ++i) mask.push_back(i < kept ? 1 : 0);
  return mask;
}

Json frequencies(const Call& c) {
  if (c.size() != 2 && c.size() != 6)
    refuse("'rotary_frequencies' needs a head's width and theta, and of a scaling all four numbers");
  return rotary_frequencies(
      static_cast<int64_t>(c.number(0)), c.number(1),
      c.size() == 2 ? RopeScaling{} : RopeScaling{c.number(2), c.number(3), c.number(4), c.number(5)});
}

}  // namespace

const std::vector<lang::FunctionRow>& part_table() {
  static const std::vector<lang::FunctionRow> table = {
      {"activation", 2, 2, "activation(x, name)", "gelu (erf), gelu_new, quick_gelu, relu, tanh, silu",
       made<activation>},
      {"argmax", 1, 1, "argmax(x)",
       "of each row, the column of its largest element; of a list, the place of its largest entry", plain<argmax>},
      {"attention", 5, 7, "attention(q, k, v, heads, scale[, mask[, bias]])",
       "multi-head attention, k and v may have fewer heads; scale of the scores, or 'sqrt' for 1/sqrt(width of a "
       "head); mask: 1 for keys that count, or 'causal'",
       made<attention>},
      {"concat", 2, -1, "concat(a, b, …)", "rows after rows", made<concat>},
      {"conv1d", 4, 5, "conv1d(x, module, stride, padding[, groups])",
       "over the rows of x; or with a weight as a value", made<conv1d>},
      {"conv2d", 4, 4, "conv2d(x, module, stride, padding)", "over an image [channels, height, width]", made<conv2d>},
      {"embedding", 2, 2, "embedding(key or table, ids)", "rows of a table", made<embedding>},
      {"entry", 3, 3, "entry(key, axis, i)", "entry i of an axis, which vanishes", made<entry>},
      {"experts", 3, 4, "experts(x, logits[, k], value)",
       "each row x goes to the expert e of its largest logit; its value, over the rows 'x' of that expert, times the "
       "softmax's probability. With k: to those of the k largest, whose probabilities add up to 1",
       made<experts>, lang::FunctionRow::Takes::last_unevaluated},
      {"exponential", 1, 1, "exponential(x)", "e to the power of each element", made<exponential>},
      {"frame_mask", 2, 2, "frame_mask(mask, convolutions)",
       "the mask after convolutions [[_, kernel, stride], …] without padding, of right-padded input",
       plain<frame_mask>},
      {"inverse_sqrt", 1, 1, "inverse_sqrt(n)", "1 / sqrt(n)", plain<inverse_sqrt>},
      {"joined", 2, 2, "joined(pattern, axis)",
       "the tensors whose keys differ in one hole of the pattern, in order of its numbers, joined along axis 0 or 1",
       made<joined>},
      {"layer_norm", 2, 3, "layer_norm(x[, module], eps)", "over the last axis", made<layer_norm>},
      {"length", 1, 1, "length(x)", "number of rows", plain<length>},
      {"linear", 2, 3, "linear(x, module[, activation])", "module.weight [out, in] and module.bias, if there is one",
       made<linear>},
      {"masked", 2, 2, "masked(x, mask)", "rows whose mask is 0 become 0", made<masked>},
      {"matrix", 2, 2, "matrix(x, rows)", "the same elements as so many rows", made<matrix>},
      {"max_pool", 1, 1, "max_pool(x)", "2 x 2 of an image", made<max_pool>},
      {"normalised", 1, 1, "normalised(x)", "rows of length 1", made<normalised>},
      {"part", 2, 3, "part(key, i) or part(key, begin, end)", "entry i of the first axis, or a range of it",
       made<part>},
      {"patches", 1, 1, "patches(x)", "[channels, height, width] as height*width rows", made<patches>},
      {"positions", 3, 3, "positions(ids, pad, offset)",
       "running numbers of the tokens that are not padding, from offset; pad for padding", plain<positions>},
      {"project", 2, 3, "project(x, weight[, bias])", "x W^T + b for values", made<project>},
      {"relative_bias", 4, 5, "relative_bias(table, n_query, n_key, max_distance[, 'causal'])",
       "T5's relative position bias", made<relative_bias>},
      {"repeated", 2, 2, "repeated(value, n)", "a list of n equal entries", plain<repeated>},
      {"rms_norm", 3, 3, "rms_norm(x, key or weight, eps)", "root mean square norm", made<rms_norm>},
      {"rotary", 4, 4, "rotary(x, heads, frequencies, pairs)",
       "rotary position embedding; pairs: 'neighbours' (2i, 2i+1) or 'halves' (i, i + half) of each head",
       made<rotary>},
      {"rotary_frequencies", 2, 6, "rotary_frequencies(head, theta[, factor, low, high, original])",
       "theta^(-2i/head); with a factor, those of long wavelengths are divided by it", plain<frequencies>},
      {"rows", 3, 3, "rows(x, begin, end)", "some rows of x", made<rows>},
      {"sinusoids", 3, 3, "sinusoids(positions, width, pad)",
       "sines and then cosines of width/2 frequencies; zeros for the position pad", made<sinusoids>},
      {"transposed", 1, 1, "transposed(x)", "of a matrix", made<transposed>},
      {"weight", 1, 1, "weight(key)", "a tensor of the checkpoint, as float32", made<weight>},
      {"weight_norm", 2, 2, "weight_norm(v key, g key)",
       "v, scaled so that its parts have the lengths g, whose shape is v's, but 1 for the axes of a part",
       made<weight_norm>},
  };
  return table;
}

const std::vector<lang::FunctionRow>& forward_functions() {
  static const std::vector<lang::FunctionRow> rows = [] {
    std::vector<lang::FunctionRow> all = lang::function_table();
    all.insert(all.end(), part_table().begin(), part_table().end());
    return all;
  }();
  return rows;
}

}  // namespace remap::forward
