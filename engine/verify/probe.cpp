#include "verify/probe.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "ops/cast.h"
#include "read/blocks.h"
#include "remap/text.h"

namespace remap::forward {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014): the same numbers everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  float uniform() { return static_cast<float>(next() >> 40) * 0x1p-24f; }

 private:
  uint64_t state_;
};

class ConfigScope : public lang::Scope {
 public:
  explicit ConfigScope(const Json& config) : config_(config) {}
  std::optional<lang::Value> lookup(const std::string& name) override {
    return name == "config" ? std::optional(lang::Value::of(config_)) : std::nullopt;
  }
  const Json* reference(const std::string& name) override { return name == "config" ? &config_ : nullptr; }

 private:
  const Json& config_;
};

std::optional<Json> field(const InputSpec& spec, const std::string& name, const Json& config) {
  ConfigScope scope(config);
  for (const auto& [key, expression] : spec.fields)
    if (key == name) return lang::evaluate_present(expression, scope);
  return std::nullopt;
}
int64_t number(const InputSpec& spec, const std::string& name, const Json& config, int64_t otherwise) {
  const auto value = field(spec, name, config);
  return value && value->is_number_integer() ? value->get<int64_t>() : otherwise;
}

constexpr int64_t kTokens = 12, kPaddedTokens = 7;
constexpr size_t kMinSamples = 2, kMaxSamples = 4;

void add_tokens(Sample& sample, const InputSpec& spec, const Json& config, size_t index, Random& random) {
  const int64_t vocab = number(spec, "vocab", config, 2), pad = number(spec, "pad", config, 0),
                begin = number(spec, "begin", config, -1), end = number(spec, "end", config, -1);
  const int64_t length = std::min(kTokens, number(spec, "longest", config, kTokens));
  const int64_t real = index % 2 == 1 && !spec.mask.empty() ? std::min(kPaddedTokens, length) : length;
  std::vector<int64_t> ids, mask;
  for (int64_t i = 0; i < length; ++i) {
    int64_t id = pad;
    while (i < real && id == pad)
      id = static_cast<int64_t>(random.next() % static_cast<uint64_t>(std::max<int64_t>(vocab, 2)));
    if (i == 0 && begin >= 0) id = begin;
    if (i == real - 1 && end >= 0) id = end;
    ids.push_back(id);
    mask.push_back(i < real ? 1 : 0);
  }
  sample.values[spec.name] = ids;
  if (!spec.mask.empty()) sample.values[spec.mask] = mask;
}

void add_waveform(Sample& sample, const InputSpec& spec, const Json& config, size_t index, Random& random) {
  const int64_t length = number(spec, "length", config, 2400), real = index % 2 == 1 ? length * 3 / 4 : length;
  NewTensor wave({length, 1});
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < real; ++i) {
    const float value =
        std::sin(0.05f * static_cast<float>(i + 1) * (1.0f + static_cast<float>(index))) + random.uniform() - 0.5f;
    wave.data[static_cast<size_t>(i)] = value;
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  const double mean = sum / static_cast<double>(real),
               deviation = std::sqrt(squares / static_cast<double>(real) - mean * mean + 1e-7);
  std::vector<int64_t> mask;
  for (int64_t i = 0; i < length; ++i) {
    if (i < real)
      wave.data[static_cast<size_t>(i)] = static_cast<float>((wave.data[static_cast<size_t>(i)] - mean) / deviation);
    mask.push_back(i < real ? 1 : 0);
  }
  sample.tensors[spec.name] = wave;
  sample.values[spec.mask] = mask;
}

void add_image(Sample& sample, const InputSpec& spec, const Json& config, Random& random) {
  const int64_t channels = number(spec, "channels", config, 3), size = number(spec, "size", config, 32);
  NewTensor image({channels, size, size});
  for (int64_t i = 0; i < channels * size * size; ++i) image.data[static_cast<size_t>(i)] = random.uniform();
  sample.tensors[spec.name] = image;
}

void add_matrix(Sample& sample, const InputSpec& spec, const Json& config, Random& random) {
  const int64_t rows = number(spec, "rows", config, 8), columns = number(spec, "columns", config, 8);
  NewTensor matrix({rows, columns});
  for (int64_t i = 0; i < rows * columns; ++i) matrix.data[static_cast<size_t>(i)] = random.uniform() * 2 - 1;
  sample.tensors[spec.name] = matrix;
}

void add_zeros(Sample& sample, const InputSpec& spec) {
  sample.values[spec.name] = std::vector<int64_t>(sample.values.at(spec.like).size(), 0);
}

void add_choice(Sample& sample, const InputSpec& spec, const Json& config, size_t index) {
  const auto list = field(spec, "of", config);
  if (!list || !list->is_array() || list->empty())
    throw Error("verify-input", {}, fmt::format("there is nothing to choose '{}' from", spec.name));
  sample.values[spec.name] = (*list)[index % list->size()];
}

size_t count_samples(const ModelFile& target, const Json& config) {
  size_t count = kMinSamples;
  for (const auto& spec : target.inputs)
    if (spec.kind == "choice")
      if (const auto list = field(spec, "of", config)) count = std::max(count, list->size());
  return std::min(count, kMaxSamples);
}

}  // namespace

std::vector<Sample> make_probe(const ModelFile& target, const Json& config) {
  std::vector<Sample> samples(count_samples(target, config));
  for (size_t i = 0; i < samples.size(); ++i) {
    Random random(1 + i);
    for (const auto& spec : target.inputs) {
      if (spec.kind == "tokens")
        add_tokens(samples[i], spec, config, i, random);
      else if (spec.kind == "waveform")
        add_waveform(samples[i], spec, config, i, random);
      else if (spec.kind == "image")
        add_image(samples[i], spec, config, random);
      else if (spec.kind == "matrix")
        add_matrix(samples[i], spec, config, random);
      else if (spec.kind == "zeros")
        add_zeros(samples[i], spec);
      else if (spec.kind == "choice")
        add_choice(samples[i], spec, config, i);
      else
        throw Error("model-syntax", {}, fmt::format("'{}' is not a kind of input", spec.kind));
    }
  }
  return samples;
}

namespace {

// A tensor of the file with the inputs: [batch, …], as doubles.
struct Given {
  Shape shape;
  std::vector<double> values;
  size_t batch() const { return static_cast<size_t>(shape[0]); }
  size_t each() const { return batch() == 0 ? 0 : values.size() / batch(); }
};

class ProbeFile {
 public:
  explicit ProbeFile(const std::string& path) : place_{path, {}, {}}, file_(open_source(path)) {}

  [[noreturn]] void fail(const std::string& message, const std::string& hint = "") const {
    throw Error("verify-input", place_, message, hint);
  }

  // `axes` is as many as it has, with that of the batch. Counts, ids and masks are `whole` numbers.
  std::optional<Given> read(const std::string& key, size_t axes, bool whole) const {
    const size_t index = file_->manifest().find(key);
    if (index == Manifest::npos) return std::nullopt;
    const TensorInfo& info = file_->manifest()[index];
    if (info.shape.size() != axes)
      fail(fmt::format("'{}' has the shape {}; {} {} expected, of which the first is the batch", key,
                       to_string(info.shape), axes, axes == 1 ? "axis is" : "axes are"));
    if (whole && is_floating(info.dtype))
      fail(fmt::format("'{}' holds {}; whole numbers are expected", key, name(info.dtype)));
    const int64_t count = element_count(info.shape, key);
    const auto bytes = read_bytes(*file_, index);
    Given given{info.shape, std::vector<double>(static_cast<size_t>(count))};
    ops::to_doubles(bytes.data(), info.dtype, count, given.values.data());
    return given;
  }

 private:
  BytePlace place_;
  std::unique_ptr<Source> file_;
};

// "decoder_attention_mask" of "decoder_input_ids".
std::string mask_of(const std::string& input) {
  constexpr std::string_view kIds = "input_ids";
  return (input.ends_with(kIds) ? input.substr(0, input.size() - kIds.size()) : "") + "attention_mask";
}

size_t axes_of(const std::string& kind) {
  return kind == "choice" ? 1 : kind == "matrix" ? 3 : kind == "image" ? 4 : 2;
}

}  // namespace

std::vector<Sample> read_probe(const ModelFile& target, const Json& config, const std::string& path) {
  const ProbeFile file(path);
  std::vector<Sample> samples;
  for (const auto& spec : target.inputs) {
    const bool is_ids = spec.kind == "tokens", is_whole = is_ids || spec.kind == "zeros" || spec.kind == "choice";
    const auto given = file.read(spec.name, axes_of(spec.kind), is_whole);
    if (!given) {
      if (spec.kind != "zeros")
        file.fail(fmt::format("the input '{}' is not there", spec.name),
                  "the file holds a tensor [batch, …] for each input of the model");
      for (Sample& sample : samples) add_zeros(sample, spec);
      continue;
    }
    if (samples.empty()) samples.resize(given->batch());
    if (samples.size() != given->batch())
      file.fail(fmt::format("'{}' has {}, another input {}", spec.name, count_text(given->batch(), "sample"),
                            samples.size()));
    if (given->each() == 0 && samples.size() > 0) file.fail(fmt::format("'{}' is empty", spec.name));
    const auto choices = spec.kind == "choice" ? field(spec, "of", config) : std::nullopt;
    const int64_t n_ids = choices  ? static_cast<int64_t>(choices->size())
                          : is_ids ? number(spec, "vocab", config, INT64_MAX)
                                   : INT64_MAX;
    for (const double value : given->values)
      if (!std::isfinite(value))
        file.fail(fmt::format("'{}' holds {}, which says nothing of a layout", spec.name, value));
      else if (is_whole && (value < 0 || value >= static_cast<double>(n_ids)))
        file.fail(n_ids == INT64_MAX
                      ? fmt::format("'{}' holds {}; it counts from 0", spec.name, value)
                      : fmt::format("'{}' holds {}; the model knows 0 to {}", spec.name, value, n_ids - 1));
    const std::string mask_name = mask_of(spec.name);
    const auto mask = spec.mask.empty() ? std::nullopt : file.read(mask_name, 2, true);
    if (mask && std::any_of(mask->values.begin(), mask->values.end(), [](double m) { return m != 0 && m != 1; }))
      file.fail(fmt::format("'{}' holds numbers other than 0 and 1", mask_name));
    const size_t each = given->each();
    if (mask && (mask->batch() != given->batch() || mask->each() != each))
      file.fail(fmt::format("'{}' has the shape {}; with '{}' {} is expected", mask_name, to_string(mask->shape),
                            spec.name, to_string(Shape{given->shape[0], static_cast<int64_t>(each)})));
    for (size_t b = 0; b < samples.size(); ++b) {
      const auto begin = given->values.begin() + static_cast<std::ptrdiff_t>(b * each),
                 end = begin + static_cast<std::ptrdiff_t>(each);
      if (is_ids || spec.kind == "zeros") {
        samples[b].values[spec.name] = std::vector<int64_t>(begin, end);
      } else if (spec.kind == "choice") {
        add_choice(samples[b], spec, config, static_cast<size_t>(*begin));
      } else {
        NewTensor tensor(spec.kind == "waveform" ? Shape{static_cast<int64_t>(each), 1}
                                                 : Shape(given->shape.begin() + 1, given->shape.end()));
        std::copy(begin, end, tensor.data.get());
        samples[b].tensors[spec.name] = tensor;
      }
      if (spec.mask.empty()) continue;
      std::vector<int64_t> keep(each, 1);
      for (size_t i = 0; mask && i < each; ++i) keep[i] = static_cast<int64_t>(mask->values[b * each + i]);
      samples[b].values[spec.mask] = keep;
    }
  }
  if (samples.empty()) file.fail("the file holds no samples");
  return samples;
}

}  // namespace remap::forward
