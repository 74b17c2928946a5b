#include "verify/layers.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "read/blocks.h"

namespace remap::forward {

ModelFile load_model(const std::shared_ptr<const lang::SourceText>& text) {
  Diagnostics diagnostics;
  auto model = parse_model_file(text, diagnostics);
  if (!model) throw Error(diagnostics.items().front());
  return std::move(*model);
}

std::vector<std::string>& roots_of_first(ModelFile& model) {
  for (auto& spec : model.space.sources)
    if (spec.name.empty()) return spec.roots;
  return model.space.sources.front().roots;
}

std::vector<NamedSource> named_in(const ModelFile& model, const std::vector<NamedSource>& given) {
  std::vector<NamedSource> ordered;
  for (const auto& spec : model.space.sources) {
    const auto it = std::find_if(given.begin(), given.end(), [&](const NamedSource& s) { return s.name == spec.name; });
    if (it == given.end())
      throw Error("verify-input", {}, fmt::format("the forward pass needs a source '{}'", spec.name));
    ordered.push_back(*it);
  }
  return ordered;
}

namespace {

void compare(const Record& a, const Record& b, LayerDifference& layer, double& sum, int64_t& count) {
  if (a.value.size() != b.value.size())
    throw Error("verify-shape", {},
                fmt::format("'{}' is {} in one layout and {} in the other", a.name, to_string(a.value.shape),
                            to_string(b.value.shape)));
  const int64_t columns = a.value.columns();
  for (int64_t r = 0; r < a.value.rows(); ++r) {
    const auto row = static_cast<size_t>(r);
    if ((!a.keep.empty() && !a.keep[row]) || (!b.keep.empty() && !b.keep[row])) continue;
    for (int64_t c = 0; c < columns; ++c) {
      const double x = a.value.data[r * columns + c], y = b.value.data[r * columns + c];
      const double difference = std::isnan(x) != std::isnan(y) ? INFINITY
                                : x == y || std::isnan(x)      ? 0
                                                               : std::abs(x - y);
      layer.max_absolute_diff = std::max(layer.max_absolute_diff, difference);
      sum += difference;
      ++count;
    }
  }
}

// The same for two tensors that hold the same values in any order, so that a transpose does not hide where they came
// from.
struct Fingerprint {
  uint64_t sum = 0, count = 0;
  auto operator<=>(const Fingerprint&) const = default;
};

Fingerprint fingerprint(const std::vector<NamedSource>& sources, const Load& load, const Rounding& rounding) {
  Fingerprint print;
  for (const StoredPart& part : load.parts) {
    const Tensor values = read_values(*sources[part.source].source, part.tensor, part.box, rounding);
    print.count += static_cast<uint64_t>(values.size());
    for (int64_t i = 0; i < values.size(); ++i) {
      uint64_t bits = std::bit_cast<uint32_t>(values.data[i]);
      bits = (bits ^ (bits >> 33)) * 0xff51afd7ed558ccdu;
      bits = (bits ^ (bits >> 33)) * 0xc4ceb9fe1a85ec53u;
      print.sum += bits ^ (bits >> 33);
    }
  }
  return print;
}

int64_t loaded_elements(const Load& load) {
  int64_t count = 0;
  for (const StoredPart& part : load.parts) count += remap::element_count(part.box.extent);
  return count;
}

std::string name_of(const Side& side, const Load& load) {
  std::vector<std::string> names;
  for (const StoredPart& part : load.parts) {
    const TensorInfo& info = side.sources[part.source].source->manifest()[part.tensor];
    std::string name = "'" + info.key + "'", skipped;
    for (size_t a = 0; a < info.shape.size(); ++a, skipped += ":, ")
      if (part.box.extent[a] != info.shape[a])
        name += fmt::format("[{}{}:{}]", skipped, part.box.origin[a], part.box.origin[a] + part.box.extent[a]);
    names.push_back(name);
  }
  return fmt::format("{}", fmt::join(names, " + "));
}

std::vector<Load> loads_before(const ForwardResult& result, size_t record) {
  std::vector<Load> loads;
  for (const Load& load : result.loads)
    if (load.n_records == record) loads.push_back(load);
  return loads;
}

constexpr const char* kSettings = "a setting of config.json (heads, eps, activation, pre- or post-norm) is wrong";

bool is_zero(const std::vector<NamedSource>& sources, const Load& load) {
  return std::all_of(load.parts.begin(), load.parts.end(), [&](const StoredPart& part) {
    const auto data = read_bytes(*sources[part.source].source, part.tensor, part.box);
    return std::all_of(data.begin(), data.end(), [](std::byte b) { return b == std::byte{0}; });
  });
}

// Both layouts name the parts of a layer in the same order, so the tensors behind them can be matched by their values.
std::string cause_of(const Side& source, const ForwardResult& a, const Side& target, const ForwardResult& b,
                     size_t record) {
  const auto wanted = loads_before(a, record);
  auto found = loads_before(b, record);
  // A tensor that a layout adds and that changes nothing, such as the embedding of the only token type.
  if (found.size() > wanted.size())
    std::erase_if(found, [&](const Load& load) { return is_zero(target.sources, load); });
  if (found.size() != wanted.size()) return fmt::format("the two do not read the same tensors for this: {}", kSettings);
  // Each tensor of the source is read once, however many of the target's are looked for among them.
  std::vector<std::optional<Fingerprint>> prints(a.loads.size());
  const auto print_of = [&](size_t l) {
    if (!prints[l]) prints[l] = fingerprint(source.sources, a.loads[l], source.options.rounding);
    return *prints[l];
  };
  std::vector<std::string> wrong;
  for (size_t p = 0; p < found.size(); ++p) {
    const auto print = fingerprint(target.sources, found[p], {});
    if (print == fingerprint(source.sources, wanted[p], source.options.rounding)) continue;
    std::string holds;
    for (size_t l = 0; l < a.loads.size() && holds.empty(); ++l)
      if (loaded_elements(a.loads[l]) == static_cast<int64_t>(print.count) && print_of(l) == print)
        holds = name_of(source, a.loads[l]);
    wrong.push_back(fmt::format("{} holds {}, where {} belongs", name_of(target, found[p]),
                                holds.empty() ? "values that the source does not use" : holds,
                                name_of(source, wanted[p])));
    if (wrong.size() == 4) break;
  }
  if (!wrong.empty()) return fmt::format("{}", fmt::join(wrong, "; "));
  return fmt::format(
      "every tensor of this part holds the right values, perhaps in another order: a missing or extra "
      "transpose, or {}",
      kSettings);
}

}  // namespace

LayerComparison compare_layers(const Side& source, const Side& target, const std::vector<Sample>& samples,
                               double atol) {
  LayerComparison comparison;
  std::map<std::string, size_t> index;
  std::vector<double> sums;
  std::vector<int64_t> counts;
  for (const Sample& sample : samples) {
    const ForwardResult a = run_forward(source.model, source.sources, source.config, sample, source.options);
    const ForwardResult b = run_forward(target.model, target.sources, target.config, sample, target.options);
    const Manifest& manifest = target.sources.front().source->manifest();
    for (const Load& load : b.loads)
      for (const StoredPart& part : load.parts) comparison.read.insert(manifest[part.tensor].key);
    for (size_t i = 0; i < b.records.size(); ++i) {
      const Record& record = b.records[i];
      const auto same =
          std::find_if(a.records.begin(), a.records.end(), [&](const Record& r) { return r.name == record.name; });
      if (same == a.records.end())
        throw Error("model-syntax", {}, fmt::format("the source's forward pass records no '{}'", record.name));
      if (index.emplace(record.name, comparison.layers.size()).second) {
        comparison.layers.push_back({record.name, record.value.shape, 0, 0, true});
        sums.push_back(0);
        counts.push_back(0);
      }
      const size_t l = index[record.name];
      LayerDifference& layer = comparison.layers[l];
      compare(*same, record, layer, sums[l], counts[l]);
      layer.agrees = layer.max_absolute_diff <= atol;
      if (!layer.agrees && (!comparison.first_divergence || l < *comparison.first_divergence)) {
        comparison.first_divergence = l;
        comparison.cause = cause_of(source, a, target, b, i);
      }
    }
  }
  for (size_t l = 0; l < comparison.layers.size(); ++l) {
    LayerDifference& layer = comparison.layers[l];
    layer.mean_absolute_diff = counts[l] == 0 ? 0 : sums[l] / static_cast<double>(counts[l]);
    comparison.max_absolute_diff = std::max(comparison.max_absolute_diff, layer.max_absolute_diff);
  }
  return comparison;
}

}  // namespace remap::forward
