#include "remap/values.h"

#include <cmath>
#include <map>

#include <fmt/format.h>

#include "ops/cast.h"
#include "read/blocks.h"

namespace remap {
namespace {

constexpr int64_t kMaxValues = 65536;

void require_real(const TensorInfo& info) {
  if (info.dtype == DType::c64 || info.dtype == DType::c128)
    throw Error("expression-value", {}, fmt::format("'{}' holds complex numbers", info.key));
}

// Adds up what tensors hold, until it is told to stop.
class Adder {
 public:
  explicit Adder(const std::atomic<bool>* cancel) : cancel_(cancel) {}

  double sum(const std::byte* data, DType dtype, int64_t count) {
    double total = 0;
    for (int64_t begin = 0; begin < count; begin += kBlockElements) {
      if (cancel_ != nullptr && *cancel_) throw Error("cancelled", {}, "stopped before all values were added up");
      const int64_t n = std::min(kBlockElements, count - begin);
      scratch_.resize(static_cast<size_t>(n));
      ops::to_doubles(data + begin * bits(dtype) / 8, dtype, n, scratch_.data());
      for (const double value : scratch_) total += value;
    }
    return total;
  }

 private:
  const std::atomic<bool>* cancel_;
  std::vector<double> scratch_;
};

// How often the plan uses each source tensor, in elements.
using Uses = std::map<std::pair<uint32_t, uint32_t>, int64_t>;

Uses uses_of(const Plan& plan) {
  Uses uses;
  for (const auto& tensor : plan.tensors)
    for (const Piece& piece : tensor.pieces) {
      int64_t count = 1;
      for (const Axis& axis : piece.axes) count *= axis.extent;
      uses[{piece.source, piece.tensor}] += count;
    }
  return uses;
}

// What constants add to a tensor that is joined with them.
double sum_of_padding(const PlannedTensor& tensor) {
  double sum = 0;
  for (const FilledPart& part : tensor.filled) {
    int64_t count = 1;
    for (const Axis& axis : part.region.axes) count *= axis.extent;
    sum += part.value * static_cast<double>(count);
  }
  return sum;
}

}  // namespace

Json tensor_values(const Source& source, size_t index) {
  const TensorInfo& info = source.manifest()[index];
  require_read(info, source.path());
  require_real(info);
  const int64_t count = element_count(info.shape, info.key);
  if (count > kMaxValues)
    throw Error("limit-exceeded", BytePlace{source.path(), {}, {}},
                fmt::format("'{}' has {} elements; expressions see at most {}", info.key, count, kMaxValues));
  const auto bytes = read_bytes(source, index);
  std::vector<double> values(static_cast<size_t>(count));
  ops::to_doubles(bytes.data(), info.dtype, count, values.data());
  Json list = Json::array();
  for (const double value : values) {
    if (is_floating(info.dtype))
      list.push_back(value);
    else
      list.push_back(static_cast<int64_t>(value));
  }
  return list;
}

namespace {

// `sum_of(i)` adds up target tensor i.
template <typename SumOf>
ParameterSums parameter_sums_with(const Plan& plan, const std::vector<const Source*>& sources, Adder& add,
                                  const SumOf& sum_of) {
  ParameterSums sums;
  sums.sources.resize(sources.size());
  bool whole = true;
  for (const auto& [where, elements] : uses_of(plan)) {
    const Source& source = *sources[where.first];
    const TensorInfo& info = source.manifest()[where.second];
    require_real(info);
    const int64_t count = element_count(info.shape, info.key);
    whole &= count == 0 || elements % count == 0;
    double own = 0;
    for_each_block(source, where.second, [&](const std::byte* data, int64_t n) {
      own += add.sum(data, info.dtype, elements_in(info.dtype, n));
    });
    sums.sources[where.first] += count == 0 ? 0 : own * static_cast<double>(elements / count);
  }
  for (size_t i = 0; i < plan.tensors.size(); ++i)
    if (!is_made(plan.tensors[i]) && element_count(plan.tensors[i].shape) > 0)
      sums.target += sum_of(i) - sum_of_padding(plan.tensors[i]);
  for (const double s : sums.sources) sums.source += s;
  const bool both_nan = std::isnan(sums.source) && std::isnan(sums.target);
  sums.agree = whole && (both_nan || sums.source == sums.target ||
                         std::abs(sums.source - sums.target) <= 1e-3 + 1e-5 * std::abs(sums.source));
  return sums;
}

}  // namespace

ParameterSums parameter_sums(const Plan& plan, const std::vector<const Source*>& sources, Sink& sink,
                             const std::atomic<bool>* cancel) {
  Adder add(cancel);
  std::vector<std::byte> block;
  return parameter_sums_with(plan, sources, add, [&](size_t i) {
    const PlannedTensor& tensor = plan.tensors[i];
    const auto [file, offset] = sink.place(i);
    const auto [dtype, shape] = stored_form(tensor.dtype, tensor.shape);
    const int64_t units = element_count(shape), step = block_units(tensor.dtype), bytes = size_bytes(dtype);
    double total = 0;
    for (int64_t begin = 0; begin < units; begin += step) {
      const int64_t n = std::min(step, units - begin);
      block.resize(static_cast<size_t>(n * bytes));
      sink.read(file, offset + static_cast<uint64_t>(begin * bytes), block);
      total += add.sum(block.data(), tensor.dtype, elements_in(tensor.dtype, n));
    }
    return total;
  });
}

ParameterSums parameter_sums(const Plan& plan, const std::vector<const Source*>& sources, const Source& target) {
  Adder add(nullptr);
  return parameter_sums_with(plan, sources, add, [&](size_t i) {
    const size_t index = target.manifest().find(plan.tensors[i].key);
    double total = 0;
    if (index == Manifest::npos) return total;
    const DType dtype = target.manifest()[index].dtype;
    require_real(target.manifest()[index]);
    for_each_block(target, index,
                   [&](const std::byte* data, int64_t n) { total += add.sum(data, dtype, elements_in(dtype, n)); });
    return total;
  });
}

}  // namespace remap
