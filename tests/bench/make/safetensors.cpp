#include <cstdio>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "bench/make/make.h"

namespace bench {
namespace {

struct Tensor {
  std::string key;
  std::vector<int64_t> shape;
};

int64_t element_count(const Tensor& tensor) {
  int64_t count = 1;
  for (const int64_t dim : tensor.shape) count *= dim;
  return count;
}

// `element_bytes`: 4, or 2 for F16. A hole: the file has no data, and reads as zeros.
enum class Data { random, hole };
void write(const std::string& path, const std::string& dtype, size_t element_bytes, const std::vector<Tensor>& tensors,
           Data data = Data::random) {
  std::string header = "{";
  size_t end = 0;
  for (const Tensor& tensor : tensors) {
    const size_t begin = end;
    end += static_cast<size_t>(element_count(tensor)) * element_bytes;
    header += fmt::format(R"({}"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                          header.size() > 1 ? "," : "", tensor.key, dtype, fmt::join(tensor.shape, ","), begin, end);
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) fail(path);
  const uint64_t length = header.size();
  const auto put = [&](const void* bytes, size_t size) {
    if (std::fwrite(bytes, 1, size, file) != size) fail(path);
  };
  put(&length, sizeof length);
  put(header.data(), header.size());
  if (data == Data::hole) {
    if (std::fclose(file) != 0 || ::truncate(path.c_str(), static_cast<off_t>(sizeof length + length + end)) != 0)
      fail(path);
    return;
  }
  uint64_t state = 1;
  std::vector<float> values;
  std::vector<uint16_t> halves;
  for (const Tensor& tensor : tensors) {
    values.resize(static_cast<size_t>(element_count(tensor)));
    fill_randomly(values.data(), values.size(), state);
    if (element_bytes == sizeof(float)) {
      put(values.data(), values.size() * sizeof(float));
      continue;
    }
    halves.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i)  // any but infinite and NaN
      halves[i] =
          static_cast<uint16_t>(static_cast<uint32_t>(static_cast<int32_t>(values[i] * 0x1p36f)) >> 16 & 0xbfff);
    put(halves.data(), halves.size() * sizeof(uint16_t));
  }
  if (std::fclose(file) != 0) fail(path);
}

}  // namespace

void make_matrices(const std::string& path, const std::string& dtype, const Numbers& numbers) {
  const Numbers n = filled(numbers, {42, 1024, 4096});
  std::vector<Tensor> tensors;
  for (int64_t i = 0; i < n[0]; ++i) {
    tensors.push_back({fmt::format("layers.{}.in.weight", i), {n[1], n[2]}});
    tensors.push_back({fmt::format("layers.{}.out.weight", i), {n[2], n[1]}});
  }
  write(path, dtype, dtype == "F32" ? 4 : 2, tensors);
}

void make_small(const std::string& path, const Numbers& numbers) {
  const Numbers n = filled(numbers, {100'000, 2070});
  std::vector<Tensor> tensors;
  for (int64_t i = 0; i < n[0]; ++i) tensors.push_back({fmt::format("blocks.{}.weight", i), {n[1]}});
  write(path, "F32", 4, tensors);
}

void make_sparse(const std::string& path, const Numbers& numbers) {
  std::vector<Tensor> tensors;
  constexpr int64_t kElements = int64_t{1} << 22;  // 16 MiB each
  for (int64_t i = 0; i < filled(numbers, {1})[0] * 60; ++i)
    tensors.push_back({fmt::format("blocks.{}.weight", i), {kElements}});
  write(path, "F32", 4, tensors, Data::hole);
}

}  // namespace bench
