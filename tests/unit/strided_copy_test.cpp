// The copy kernel against an elementwise reference, for every element size, and the algebra of its regions.
#include <algorithm>
#include <cstring>
#include <random>
#include <tuple>

#include "ops/strided_copy.h"
#include "support/catch.h"

using namespace remap::ops;

namespace {

// Writes element by element, by definition.
void copy_naively(std::byte* target, const std::byte* source, const CopyRegion& region, int element_bytes) {
  const int64_t count = element_count(region);
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, to = region.target_offset, from = region.source_offset;
    for (size_t a = region.axes.size(); a-- > 0;) {
      const CopyAxis& axis = region.axes[a];
      to += rest % axis.extent * axis.target_stride;
      from += rest % axis.extent * axis.source_stride;
      rest /= axis.extent;
    }
    std::memcpy(target + to * element_bytes, source + from * element_bytes, static_cast<size_t>(element_bytes));
  }
}

// A dense target, read from a source in a random order of axes, some of them backwards, with gaps.
CopyRegion random_region(std::mt19937& random, int64_t& target_size, int64_t& source_size) {
  const auto pick = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  CopyRegion region;
  const auto rank = static_cast<size_t>(pick(0, 4));
  const int64_t longest = rank <= 2 ? 150 : 12;
  std::vector<size_t> order;
  for (size_t a = 0; a < rank; ++a) {
    region.axes.push_back({pick(0, 20) == 0 ? 1 : pick(1, longest), 0, 0});
    order.push_back(a);
  }
  target_size = 1;
  for (size_t a = rank; a-- > 0;) region.axes[a].target_stride = target_size, target_size *= region.axes[a].extent;
  std::shuffle(order.begin(), order.end(), random);
  source_size = pick(0, 3) == 0 ? 2 : 1;
  for (const size_t a : order)
    region.axes[a].source_stride = source_size, source_size *= region.axes[a].extent + (pick(0, 4) == 0 ? 1 : 0);
  for (CopyAxis& axis : region.axes) {
    if (pick(0, 5) > 0) continue;
    auto [offset, stride] = pick(0, 1) == 0 ? std::tie(region.source_offset, axis.source_stride)
                                            : std::tie(region.target_offset, axis.target_stride);
    offset += (axis.extent - 1) * stride;
    stride = -stride;
  }
  std::shuffle(region.axes.begin(), region.axes.end(), random);
  return region;
}

}  // namespace

TEST_CASE("random regions are copied as by definition, whole and split, at any alignment") {
  std::mt19937 random(20240607);
  for (int round = 0; round < 400; ++round) {
    int64_t target_size = 0, source_size = 0;
    const CopyRegion region = random_region(random, target_size, source_size);
    for (const int element_bytes : {1, 2, 4, 8, 16}) {
      INFO("round " << round << ", elements of " << element_bytes << " bytes");
      // One byte off: nothing may rely on alignment.
      std::vector<std::byte> source(static_cast<size_t>(source_size * element_bytes + 1));
      for (std::byte& b : source) b = static_cast<std::byte>(random());
      std::vector<std::byte> expected(static_cast<size_t>(target_size * element_bytes + 1), std::byte{0xcd}),
          whole = expected, in_parts = expected;
      copy_naively(expected.data() + 1, source.data() + 1, region, element_bytes);
      strided_copy(whole.data() + 1, source.data() + 1, normalised(region), element_bytes);
      REQUIRE(whole == expected);
      std::vector<CopyRegion> parts;
      const int64_t step = 1 + static_cast<int64_t>(random() % 500);
      for (int64_t begin = 0; begin < target_size; begin += step)
        clip_target(normalised(region), begin, std::min(begin + step, target_size), parts);
      for (const CopyRegion& part : parts) strided_copy(in_parts.data() + 1, source.data() + 1, part, element_bytes);
      REQUIRE(in_parts == expected);
    }
  }
}

TEST_CASE("large transposes, with rows that are not whole blocks") {
  for (const auto& [rows, columns] : {std::pair{1, 5000}, {257, 513}, {1030, 300}, {64, 64}, {7, 1024}})
    for (const int element_bytes : {1, 2, 4, 8, 16}) {
      INFO(rows << " x " << columns << " x " << element_bytes);
      const CopyRegion region{0, 0, {{rows, columns, 1}, {columns, 1, rows}}};
      std::vector<std::byte> source(static_cast<size_t>(rows * columns * element_bytes));
      for (size_t i = 0; i < source.size(); ++i) source[i] = static_cast<std::byte>(i * 2654435761u >> 13);
      std::vector<std::byte> expected(source.size()), actual(source.size());
      copy_naively(expected.data(), source.data(), region, element_bytes);
      strided_copy(actual.data(), source.data(), normalised(region), element_bytes);
      CHECK(actual == expected);
    }
}

TEST_CASE("regions are brought to their simplest form") {
  struct Row {
    const char* name;
    CopyRegion from, to;
  };
  const Row rows[] = {
      {"a scalar", {3, 4, {}}, {3, 4, {}}},
      {"axes of extent 1 vanish", {0, 0, {{1, 7, 9}, {4, 1, 1}, {1, 0, 0}}}, {0, 0, {{4, 1, 1}}}},
      {"a whole matrix is one run", {0, 0, {{3, 4, 4}, {4, 1, 1}}}, {0, 0, {{12, 1, 1}}}},
      {"also if its axes come in another order", {0, 0, {{4, 1, 1}, {3, 4, 4}}}, {0, 0, {{12, 1, 1}}}},
      {"a transpose stays two axes", {0, 0, {{4, 1, 3}, {3, 4, 1}}}, {0, 0, {{3, 4, 1}, {4, 1, 3}}}},
      {"both sides backwards is forwards", {2, 2, {{3, -1, -1}}}, {0, 0, {{3, 1, 1}}}},
      {"a reversal goes forwards in the target", {2, 0, {{3, -1, 1}}}, {0, 2, {{3, 1, -1}}}},
      {"nothing", {5, 6, {{4, 1, 1}, {0, 4, 4}}}, {0, 0, {{0, 1, 1}}}},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(normalised(row.from) == row.to);
  }
  CHECK(is_contiguous({1, 2, {}}));
  CHECK(is_contiguous({1, 2, {{5, 1, 1}}}));
  CHECK_FALSE(is_contiguous({0, 0, {{5, 1, 0}}}));
}
