// What is computed beside what its definition gives, element by element: every tiling of the operands, one and several
// threads, values that overflow or are not there; and torch's results, unit by unit in the last place.
#include <cmath>
#include <cstring>
#include <limits>

#include "ops/cast.h"
#include "remap/computed.h"
#include "remap/execute.h"
#include "support/catch.h"
#include "support/memory_sink.h"
#include "support/memory_source.h"

using namespace remap;
using namespace remap::test;

namespace {

using Kind = ComputedTensor::Kind;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Numbers of many sizes and both signs; the same every time.
std::vector<float> numbers(int64_t count, uint32_t seed) {
  std::vector<float> made;
  uint32_t state = seed * 2654435761u + 1;
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    made.push_back((static_cast<float>(state >> 8) / 8388608.f - 1.f) * (state % 7 == 0 ? 40.f : 0.3f));
  }
  return made;
}

std::vector<std::byte> as_bytes(const std::vector<float>& values, DType dtype = DType::f32) {
  std::vector<std::byte> bytes(values.size() * static_cast<size_t>(size_bytes(dtype)));
  if (values.empty()) return bytes;
  ops::strided_cast(bytes.data(), dtype, reinterpret_cast<const std::byte*>(values.data()), DType::f32,
                    ops::normalised({0, 0, {{static_cast<int64_t>(values.size()), 1, 1}}}));
  return bytes;
}

std::vector<float> as_floats(const std::vector<std::byte>& bytes, DType dtype = DType::f32) {
  std::vector<float> values(bytes.size() / static_cast<size_t>(size_bytes(dtype)));
  if (values.empty()) return values;
  ops::strided_cast(reinterpret_cast<std::byte*>(values.data()), DType::f32, bytes.data(), dtype,
                    ops::normalised({0, 0, {{static_cast<int64_t>(values.size()), 1, 1}}}));
  return values;
}

// The definition, from whole tensors.
std::vector<float> folded(const std::vector<float>& g, const Shape& of_g, const std::vector<float>& v,
                          const Shape& shape) {
  const Shape strides = MemorySource::row_major(shape), strides_of_g = MemorySource::row_major(of_g);
  const auto at = [&](size_t i) {
    size_t place = 0;
    if (of_g.size() != shape.size()) return place;
    for (size_t d = 0; d < shape.size(); ++d)
      if (of_g[d] != 1) place += static_cast<size_t>(static_cast<int64_t>(i) / strides[d] % shape[d] * strides_of_g[d]);
    return place;
  };
  std::vector<double> sums(g.size(), 0);
  for (size_t i = 0; i < v.size(); ++i) sums[at(i)] += double{v[i]} * double{v[i]};
  std::vector<float> made;
  for (size_t i = 0; i < v.size(); ++i) {
    const float scale = g[at(i)] / static_cast<float>(std::sqrt(sums[at(i)]));
    made.push_back(v[i] * scale);
  }
  return made;
}

// All of a source's tensor, by the executor.
std::vector<std::byte> executed(const Source& source, uint32_t tensor, int threads, uint64_t block_bytes = 1 << 20) {
  const TensorInfo& info = source.manifest()[tensor];
  std::vector<Axis> axes;
  for (size_t d = 0; d < info.shape.size(); ++d)
    axes.push_back({info.shape[d], 1, 1, static_cast<uint8_t>(d), static_cast<uint8_t>(d)});
  const std::vector<PlannedTensor> plan = {{"made", info.dtype, info.shape, {{0, tensor, axes, {}, {}}}, {}, 0}};
  MemorySink sink(plan);
  ExecOptions options;
  options.threads = threads;
  options.block_bytes = block_bytes;
  execute(plan, {&source}, sink, options);
  return sink.bytes(0);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("weight_norm is v * (g / |v|), whatever the axes and the tiles") {
  struct Row {
    std::string name;
    Shape g, v, tile;
  };
  const std::vector<Row> rows = {
      {"a row each", {6, 1, 1}, {6, 5, 4}, {}},
      {"the last axis", {1, 1, 4}, {6, 5, 4}, {}},
      {"an axis in the middle", {1, 5, 1}, {6, 5, 4}, {4, 2, 3}},
      {"two axes", {6, 1, 4}, {6, 5, 4}, {5, 3, 3}},
      {"one number for all", {1, 1, 1}, {6, 5, 4}, {2, 5, 4}},
      {"a scalar", {}, {6, 5, 4}, {}},
      {"one element", {1}, {1}, {}},
      {"a vector", {1}, {100}, {7}},
      {"an entry for each element", {3, 4}, {3, 4}, {}},
      {"axes of one element", {3, 1, 1}, {3, 1, 1}, {}},
      {"rows larger than a tile", {3, 1}, {3, 300'001}, {}},
      {"slices larger than a tile", {1, 1, 2}, {700, 500, 2}, {}},
      {"many rows", {70'000, 1}, {70'000, 5}, {4'096, 2}},
      {"long rows of many parts", {1, 2, 1}, {3, 2, 200'000}, {1, 1, 65'536}},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    const auto g = numbers(element_count(row.g), 3), v = numbers(element_count(row.v), 4);
    const MemorySource source(
        {{"g", DType::f32, row.g, as_bytes(g)}, {"v", DType::f32, row.v, as_bytes(v), row.tile, true}});
    REQUIRE(computing_fault(source.manifest(), {Kind::weight_norm, {0, 1}}) == "");
    const WithComputed with = with_computed(source, {{Kind::weight_norm, {0, 1}}});
    CHECK(with.source->manifest()[with.computed[0]].key == "weight_norm(g, v)");
    const auto once = as_floats(executed(*with.source, with.computed[0], 1));
    CHECK(same_bits(once, folded(g, row.g, v, row.v)));
    CHECK(same_bits(once, as_floats(executed(*with.source, with.computed[0], 4, 1 << 16))));
    CHECK(executed(*with.source, with.own[1], 2) == as_bytes(v));  // its own tensors are as they were
  }
}

TEST_CASE("a mean is the sum in the order of the operands, divided") {
  const auto a = numbers(300'000, 1), b = numbers(300'000, 2), c = numbers(300'000, 3);
  const MemorySource source({{"a", DType::f32, {300'000}, as_bytes(a)},
                             {"b", DType::f32, {300'000}, as_bytes(b), {7'000}},
                             {"c", DType::f32, {300'000}, as_bytes(c)}});
  const WithComputed with = with_computed(source, {{Kind::mean, {2, 0, 1}}});
  std::vector<float> expected;
  for (size_t i = 0; i < a.size(); ++i) expected.push_back((c[i] + a[i] + b[i]) / 3.f);
  CHECK(with.source->manifest()[with.computed[0]].key == "mean(c, a, b)");
  CHECK(same_bits(as_floats(executed(*with.source, with.computed[0], 3)), expected));
}

TEST_CASE("half precision is computed in float32 and rounded once") {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const auto g = as_floats(as_bytes(numbers(3, 5), dtype), dtype),
               v = as_floats(as_bytes(numbers(30, 6), dtype), dtype);
    const MemorySource source({{"g", dtype, {3, 1}, as_bytes(g, dtype)}, {"v", dtype, {3, 10}, as_bytes(v, dtype)}});
    const WithComputed with = with_computed(source, {{Kind::weight_norm, {0, 1}}, {Kind::mean, {1, 1}}});
    CHECK(executed(*with.source, with.computed[0], 1) == as_bytes(folded(g, {3, 1}, v, {3, 10}), dtype));
    CHECK(executed(*with.source, with.computed[1], 1) == as_bytes(v, dtype));
  }
}

TEST_CASE("norms of zero, infinities and tensors without elements are what float32 makes of them") {
  const std::vector<float> g = {1, -2, 0}, v = {0, 0, kInfinity, 3, 0, 5};
  const MemorySource source({{"g", DType::f32, {3, 1}, as_bytes(g)},
                             {"none", DType::f32, {3, 0}, {}},
                             {"v", DType::f32, {3, 2}, as_bytes(v)}});
  const WithComputed with = with_computed(source, {{Kind::weight_norm, {0, 2}}, {Kind::weight_norm, {0, 1}}});
  const auto made = as_floats(executed(*with.source, with.computed[0], 1));
  CHECK((std::isnan(made[0]) && std::isnan(made[1])));  // 0 * (1 / 0)
  CHECK((std::isnan(made[2]) && made[3] == 0));         // inf * 0
  CHECK((made[4] == 0 && made[5] == 0));
  CHECK(executed(*with.source, with.computed[1], 1).empty());
}

TEST_CASE("operands that do not fit are refused") {
  const MemorySource source({{"a", DType::f32, {4, 3}, std::vector<std::byte>(48)},
                             {"b", DType::f32, {4, 2}, std::vector<std::byte>(32)},
                             {"c", DType::f32, {4}, std::vector<std::byte>(16)},
                             {"d", DType::f64, {4, 3}, std::vector<std::byte>(96)},
                             {"e", DType::bf16, {4, 1}, std::vector<std::byte>(8)}});
  const auto fault = [&](Kind kind, const std::vector<size_t>& operands) {
    return computing_fault(source.manifest(), {kind, operands});
  };
  CHECK(fault(Kind::weight_norm, {1, 0}).starts_with("'b' is F32 [4,2], and 'a' is F32 [4,3]: a g has"));
  CHECK(fault(Kind::weight_norm, {2, 0}).starts_with("'c' is F32 [4], and 'a' is F32 [4,3]: a g has"));
  CHECK(fault(Kind::weight_norm, {4, 0}).starts_with("'e' is BF16 [4,1], and 'a' is F32 [4,3]: a g has"));
  CHECK(fault(Kind::mean, {0, 1}) ==
        "'a' is F32 [4,3], and 'b' is F32 [4,2]: a mean is taken of tensors that are alike");
  CHECK(fault(Kind::mean, {3, 3}) == "'d' is float64: only float32, float16 and bfloat16 are computed with");
  CHECK(fault(Kind::mean, {0, 0}) == "");
}

TEST_CASE("a fault of an operand is the fault of what is computed of it") {
  MemorySource source({{"g", DType::f32, {4, 1}, as_bytes(numbers(4, 1))},
                       {"v", DType::f32, {4, 3}, as_bytes(numbers(12, 2)), {2, 3}}});
  source.fail_at = {{1, 1}};
  const WithComputed with = with_computed(source, {{Kind::weight_norm, {0, 1}}});
  for (const int threads : {1, 4}) {
    try {
      executed(*with.source, with.computed[0], threads);
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.diagnostic().message == "tile 1 of 'v' is damaged");
    }
  }
}

// The values that torch.nn.utils.remove_weight_norm gave (tests/data/computed/make.py).
TEST_CASE("torch's folded weights differ by no more than 3 units in the last place") {
  const std::string folder = std::string(REMAP_SOURCE_DIR) + "/tests/data/computed/";
  const auto source = open_source(folder + "source.safetensors"),
             expected = open_source(folder + "expected.safetensors");
  const auto place = [](float value) {
    int32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    return bits < 0 ? std::numeric_limits<int32_t>::min() - int64_t{bits} : int64_t{bits};
  };
  std::vector<ComputedTensor> tensors;
  std::vector<std::string> keys;
  for (const TensorInfo& info : expected->manifest().tensors()) {
    const size_t g = source->manifest().find(info.key + "_g");
    if (g == Manifest::npos) continue;
    tensors.push_back({Kind::weight_norm, {g, source->manifest().find(info.key + "_v")}});
    keys.push_back(info.key);
  }
  REQUIRE(tensors.size() == 7);
  const WithComputed with = with_computed(*source, tensors);
  int64_t largest = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto ours = as_floats(executed(*with.source, with.computed[i], 2));
    const auto theirs = as_floats(executed(*expected, static_cast<uint32_t>(expected->manifest().find(keys[i])), 1));
    REQUIRE(ours.size() == theirs.size());
    for (size_t k = 0; k < ours.size(); ++k) largest = std::max(largest, std::abs(place(ours[k]) - place(theirs[k])));
  }
  CHECK(largest <= 3);
}
