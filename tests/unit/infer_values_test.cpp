// What infer by values knows of a tensor before it looks closely: hashes that hang on the elements alone.
#include "infer/values.h"
#include "support/catch.h"
#include "support/memory_source.h"

#include <cstring>
#include <random>
#include <span>

using namespace remap;
using namespace remap::infer;
using test::MemorySource;
using test::MemoryTensor;

namespace {

template <typename T>
MemoryTensor tensor(DType dtype, Shape shape, const std::vector<T>& values, Shape tile = {}, bool reversed = false) {
  const auto bytes = std::as_bytes(std::span(values));
  MemoryTensor made{"x", dtype, std::move(shape), {bytes.begin(), bytes.end()}, std::move(tile)};
  made.reversed_strides = reversed;
  return made;
}

struct Known {
  Print print;
  uint64_t multiset;
};
Known known(MemoryTensor tensor, DType as) {
  const MemorySource source({std::move(tensor)});
  return {print_of(source, 0, as), multiset_of(source, 0, as)};
}

}  // namespace

TEST_CASE("a tensor's print is that of its elements in order, however a source cuts it") {
  std::mt19937 random(5);
  std::vector<uint32_t> values(6 * 70 * 11);
  for (auto& value : values) value = static_cast<uint32_t>(random());
  const Shape shape = {6, 70, 11};
  const Known whole = known(tensor(DType::f32, shape, values), DType::f32);
  CHECK_FALSE(whole.print.constant);
  for (const Shape& tile : {Shape{1, 70, 11}, Shape{4, 9, 5}, Shape{6, 70, 1}})
    for (const bool reversed : {false, true}) {
      const Known other = known(tensor(DType::f32, shape, values, tile, reversed), DType::f32);
      CHECK(other.print.ordered == whole.print.ordered);
      CHECK(other.multiset == whole.multiset);
      CHECK_FALSE(other.print.constant);
    }
  const Known other_shape = known(tensor(DType::i32, {11 * 70 * 6}, values), DType::i32);
  CHECK(other_shape.print.ordered == whole.print.ordered);

  auto moved = values;
  std::swap(moved[3], moved[4000]);
  const Known swapped = known(tensor(DType::f32, shape, moved), DType::f32);
  CHECK(swapped.print.ordered != whole.print.ordered);
  CHECK(swapped.multiset == whole.multiset);
  moved[0] ^= 1;
  CHECK(known(tensor(DType::f32, shape, moved), DType::f32).multiset != whole.multiset);

  // Parts add up to the whole.
  const std::vector<uint32_t> head(values.begin(), values.begin() + 770), tail(values.begin() + 770, values.end());
  CHECK(known(tensor(DType::f32, {770}, head), DType::f32).multiset +
            known(tensor(DType::f32, {5, 770}, tail), DType::f32).multiset ==
        whole.multiset);
}

TEST_CASE("a cast tensor has the print of what it becomes") {
  const size_t n = 200'000;  // more than is cast at a time
  std::vector<float> wide(n);
  std::vector<uint16_t> narrow(n);
  for (size_t i = 0; i < n; ++i) {
    wide[i] = static_cast<float>(i % 200);
    uint32_t bits;
    std::memcpy(&bits, &wide[i], sizeof bits);
    narrow[i] = static_cast<uint16_t>(bits >> 16);  // small integers are exact in bfloat16
  }
  const Shape shape = {400, 500};
  const Known cast = known(tensor(DType::f32, shape, wide), DType::bf16),
              stored = known(tensor(DType::bf16, shape, narrow), DType::bf16),
              in_tiles = known(tensor(DType::f32, shape, wide, {64, 500}), DType::bf16);
  CHECK(cast.print.ordered == stored.print.ordered);
  CHECK(cast.multiset == stored.multiset);
  CHECK(in_tiles.print.ordered == stored.print.ordered);
}

TEST_CASE("a tensor is constant if all of its elements have the same bits") {
  for (const size_t n : {size_t{1}, size_t{2}, size_t{300'000}}) {
    std::vector<uint16_t> values(n, 0x3c00);
    const auto is_constant = [&] {
      return known(tensor(DType::f16, {static_cast<int64_t>(n)}, values), DType::f16).print.constant;
    };
    CHECK(is_constant());
    for (const size_t at : {size_t{0}, n / 2, n - 1}) {
      values[at] ^= 0x8000;
      CHECK(is_constant() == (n == 1));
      values[at] ^= 0x8000;
    }
  }
  CHECK(known(tensor<float>(DType::f32, {0}, {}), DType::f32).print.constant);
}
