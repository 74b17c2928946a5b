// The executor against an elementwise reference: random plans, ragged tiles, one and several threads, mapped files and
// memory; and the comparison of tensors.
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <random>
#include <thread>

#include <unistd.h>

#include "exec/clip.h"
#include "exec/slice_tensor.h"
#include "remap/compare.h"
#include "remap/diagnostic.h"
#include "remap/execute.h"
#include "support/catch.h"
#include "support/memory_sink.h"
#include "support/memory_source.h"
#include "tensor/sub_byte.h"

using namespace remap;
using remap::test::bytes_of;
using remap::test::FileSink;
using remap::test::MemorySink;
using remap::test::MemorySource;
using remap::test::MemoryTensor;

namespace {

using Plans = std::vector<PlannedTensor>;
using Bytes = std::vector<std::vector<std::byte>>;  // of each tensor

// Every piece element by element, from the whole source tensors.
std::vector<std::vector<std::byte>> run_naively(const Plans& tensors, const std::vector<const MemorySource*>& sources) {
  std::vector<std::vector<std::byte>> all;
  for (const PlannedTensor& target : tensors) {
    const auto size = static_cast<size_t>(size_bytes(target.dtype));
    auto& bytes = all.emplace_back(static_cast<size_t>(element_count(target.shape)) * size, std::byte{0xcd});
    const Shape target_strides = MemorySource::row_major(target.shape);
    for (const Piece& piece : target.pieces) {
      const MemoryTensor& source = sources[piece.source]->tensor(piece.tensor);
      const Shape source_strides = MemorySource::row_major(source.shape);
      int64_t count = 1;
      for (const Axis& axis : piece.axes) count *= axis.extent;
      for (int64_t i = 0; i < count; ++i) {
        int64_t rest = i, to = 0, from = 0;
        for (size_t d = 0; d < piece.target_origin.size(); ++d) to += piece.target_origin[d] * target_strides[d];
        for (size_t d = 0; d < piece.source_origin.size(); ++d) from += piece.source_origin[d] * source_strides[d];
        for (size_t a = piece.axes.size(); a-- > 0;) {
          const Axis& axis = piece.axes[a];
          to += rest % axis.extent * axis.target_step * target_strides[axis.target_dim];
          from += rest % axis.extent * axis.source_step * source_strides[axis.source_dim];
          rest /= axis.extent;
        }
        std::memcpy(bytes.data() + static_cast<size_t>(to) * size,
                    source.bytes.data() + static_cast<size_t>(from) * size, size);
      }
    }
  }
  return all;
}

std::vector<std::vector<std::byte>> run(const Plans& tensors, const std::vector<const Source*>& sources, int threads) {
  MemorySink sink(tensors);
  execute(tensors, sources, sink, {threads, {}, nullptr});
  return sink.all();
}

// The same through a file, in blocks of this size. Every byte is said to be finished once, when it is.
std::vector<std::vector<std::byte>> run_in_blocks(const Plans& tensors, const std::vector<const Source*>& sources,
                                                  int threads, uint64_t block_bytes, uint64_t open_bytes) {
  const uint64_t head = 24;
  FileSink sink(tensors, head);
  execute(tensors, sources, sink, {threads, {}, nullptr, block_bytes, open_bytes});
  uint64_t end = head;
  for (const auto& range : sink.finished_ranges()) {
    CHECK(range.first == end);
    end = range.second;
  }
  uint64_t size = head;
  for (const PlannedTensor& tensor : tensors) size += static_cast<uint64_t>(data_bytes(tensor));
  CHECK(end == size);
  CHECK_FALSE(sink.wrong_when_finished);
  return sink.all();
}

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  int64_t pick(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(engine_); }
  std::vector<std::byte> bytes(int64_t count) {
    std::vector<std::byte> out(static_cast<size_t>(count));
    for (std::byte& b : out) b = static_cast<std::byte>(engine_());
    return out;
  }
  std::mt19937& engine() { return engine_; }

 private:
  std::mt19937 engine_;
};

MemoryTensor random_tensor(Random& random, const std::string& key, DType dtype, Shape shape) {
  MemoryTensor tensor{key, dtype, shape, random.bytes(element_count(shape) * size_bytes(dtype))};
  if (random.pick(0, 2) > 0) {
    for (const int64_t extent : shape) tensor.tile.push_back(random.pick(1, extent));
    tensor.reversed_strides = random.pick(0, 1) == 1;
    // Not thousands of tiles of one element.
    for (size_t d = 0; d < shape.size(); ++d) tensor.tile[d] = std::max<int64_t>(tensor.tile[d], (shape[d] + 3) / 4);
  }
  return tensor;
}

// What each kind of rule comes down to. Each takes a source tensor of a fitting shape and adds targets made of it.
struct Operation {
  const char* name;
  std::function<Shape(Random&)> source_shape;
  std::function<void(Random&, const TensorInfo&, uint32_t tensor, Plans&)> add_targets;
};

PlannedTensor target(const TensorInfo& source, size_t n_before, Shape shape, std::vector<Piece> pieces) {
  return {source.key + "/" + std::to_string(n_before), source.dtype, std::move(shape), std::move(pieces), {}, 0};
}

uint8_t u8(size_t value) { return static_cast<uint8_t>(value); }

const std::vector<Operation>& operations() {
  static const std::vector<Operation> all = {
      {"permute any axes",
       [](Random& random) {
         Shape shape;
         for (int64_t d = random.pick(0, 4); d > 0; --d) shape.push_back(random.pick(1, 13));
         return shape;
       },
       [](Random& random, const TensorInfo& source, uint32_t tensor, Plans& plans) {
         std::vector<size_t> order;
         for (size_t d = 0; d < source.shape.size(); ++d) order.push_back(d);
         std::shuffle(order.begin(), order.end(), random.engine());
         Shape shape;
         std::vector<Axis> axes;
         for (size_t d = 0; d < order.size(); ++d) {
           shape.push_back(source.shape[order[d]]);
           axes.push_back({shape.back(), 1, 1, u8(d), u8(order[d])});
         }
         plans.push_back(target(source, plans.size(), shape, {{0, tensor, axes, {}, {}}}));
       }},
      {"split the first axis into transposed tensors",
       [](Random& random) {
         return Shape{random.pick(1, 6), random.pick(1, 40), random.pick(1, 40)};
       },
       [](Random&, const TensorInfo& source, uint32_t tensor, Plans& plans) {
         for (int64_t e = 0; e < source.shape[0]; ++e)
           plans.push_back(
               target(source, plans.size(), {source.shape[2], source.shape[1]},
                      {{0, tensor, {{source.shape[1], 1, 1, 1, 1}, {source.shape[2], 1, 1, 0, 2}}, {}, {e, 0, 0}}}));
       }},
      {"reshape [a*b, c] to [c, b, a]",
       [](Random& random) {
         return Shape{12 * random.pick(1, 3), random.pick(1, 9)};
       },
       [](Random& random, const TensorInfo& source, uint32_t tensor, Plans& plans) {
         const int64_t b = std::vector<int64_t>{1, 2, 3, 4, 6, 12}[static_cast<size_t>(random.pick(0, 5))],
                       a = source.shape[0] / b;
         plans.push_back(
             target(source, plans.size(), {source.shape[1], b, a},
                    {{0, tensor, {{a, 1, b, 2, 0}, {b, 1, 1, 1, 0}, {source.shape[1], 1, 1, 0, 1}}, {}, {}}}));
       }},
      {"reshape [a*b*c] to [b, c*a] with axes that share a dimension on both sides",
       [](Random& random) { return Shape{24 * random.pick(1, 4)}; },
       [](Random&, const TensorInfo& source, uint32_t tensor, Plans& plans) {
         const int64_t a = 4, b = 3, c = source.shape[0] / 12;
         plans.push_back(target(source, plans.size(), {b, c * a},
                                {{0, tensor, {{c, a, 1, 1, 0}, {a, 1, b * c, 1, 0}, {b, 1, c, 0, 0}}, {}, {}}}));
       }},
      {"interleave two halves, one of them backwards",
       [](Random& random) {
         return Shape{2 * random.pick(1, 20), random.pick(1, 5)};
       },
       [](Random&, const TensorInfo& source, uint32_t tensor, Plans& plans) {
         const int64_t half = source.shape[0] / 2, width = source.shape[1];
         plans.push_back(
             target(source, plans.size(), source.shape,
                    {{0, tensor, {{half, 2, 1, 0, 0}, {width, 1, 1, 1, 1}}, {}, {}},
                     {0, tensor, {{width, 1, 1, 1, 1}, {half, 2, -1, 0, 0}}, {1, 0}, {source.shape[0] - 1, 0}}}));
       }},
      {"every third row, written from the end",
       [](Random& random) {
         return Shape{random.pick(1, 50), random.pick(1, 8)};
       },
       [](Random&, const TensorInfo& source, uint32_t tensor, Plans& plans) {
         const int64_t rows = (source.shape[0] + 2) / 3, width = source.shape[1];
         plans.push_back(target(source, plans.size(), {rows, width},
                                {{0, tensor, {{rows, -1, 3, 0, 0}, {width, 1, 1, 1, 1}}, {rows - 1, 0}, {0, 0}}}));
       }},
  };
  return all;
}

constexpr DType kEverySize[] = {DType::u8, DType::bf16, DType::f32, DType::i64, DType::c128};

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// A plan that copies whole tensors of one source.
Plans renamed(const MemorySource& source) {
  Plans plans;
  for (uint32_t t = 0; t < source.manifest().size(); ++t) {
    const TensorInfo& info = source.manifest()[t];
    std::vector<Axis> axes;
    for (size_t d = 0; d < info.shape.size(); ++d) axes.push_back({info.shape[d], 1, 1, u8(d), u8(d)});
    plans.push_back({"new." + info.key, info.dtype, info.shape, {{0, t, axes, {}, {}}}, {}, 0});
    if (element_count(info.shape) == 0) plans.back().pieces.clear();
  }
  return plans;
}

}  // namespace

TEST_CASE("random plans give what their pieces say, whatever the tiles and the number of threads") {
  Random random(7);
  for (int round = 0; round < 25; ++round)
    for (const Operation& operation : operations())
      for (const DType dtype : kEverySize) {
        INFO(operation.name << ", round " << round << ", " << name(dtype));
        std::vector<MemoryTensor> tensors;
        const int64_t n_tensors = random.pick(1, 3);
        for (int64_t t = 0; t < n_tensors; ++t)
          tensors.push_back(random_tensor(random, "t" + std::to_string(t), dtype, operation.source_shape(random)));
        const MemorySource source(tensors);
        Plans plans;
        for (uint32_t t = 0; t < source.manifest().size(); ++t)
          operation.add_targets(random, source.manifest()[t], t, plans);
        const auto expected = run_naively(plans, {&source});
        REQUIRE(run(plans, {&source}, 1) == expected);
        REQUIRE(run(plans, {&source}, 3) == expected);
        const auto block_bytes = static_cast<uint64_t>(random.pick(1, 300));
        const auto open_bytes = static_cast<uint64_t>(random.pick(0, 2) * random.pick(1, 300));
        INFO("in blocks of " << block_bytes << ", " << open_bytes << " of them open");
        REQUIRE(run_in_blocks(plans, {&source}, 1, block_bytes, open_bytes) == expected);
        REQUIRE(run_in_blocks(plans, {&source}, 3, block_bytes, open_bytes) == expected);
      }
}

TEST_CASE("blocks that a sink holds already are left alone, and tiles of which nothing else is made are not loaded") {
  Random random(13);
  for (int round = 0; round < 60; ++round)
    for (const Operation& operation : operations()) {
      const MemorySource source({random_tensor(random, "a", DType::f32, operation.source_shape(random)),
                                 random_tensor(random, "b", DType::f32, operation.source_shape(random))});
      Plans plans;
      for (const uint32_t t : {0u, 1u}) operation.add_targets(random, source.manifest()[t], t, plans);
      const auto block_bytes = static_cast<uint64_t>(random.pick(8, 300));
      const int threads = static_cast<int>(random.pick(1, 3));
      INFO(operation.name << ", round " << round << ", in blocks of " << block_bytes << ", " << threads << " threads");
      FileSink whole(plans);
      execute(plans, {&source}, whole, {threads, {}, nullptr, block_bytes});
      FileSink resumed(plans);
      resumed.set_bytes(whole);
      size_t n_left = 0;
      for (const auto& range : whole.finished_ranges())
        random.pick(0, 2) > 0 ? void(resumed.held.insert(range.first)) : void(++n_left);
      if (random.pick(0, 9) == 0) {
        for (const auto& range : whole.finished_ranges()) resumed.held.insert(range.first);
        n_left = 0;
      }
      source.n_loads = 0;
      uint64_t done = 0;
      execute(plans, {&source}, resumed, {threads, [&](uint64_t now, uint64_t) { done = now; }, nullptr, block_bytes});
      CHECK(resumed.finished_ranges().size() == n_left);
      for (const auto& range : resumed.finished_ranges()) CHECK(resumed.held.count(range.first) == 0);
      CHECK((resumed.all() == whole.all()));
      if (n_left == 0) CHECK(source.n_loads == 0);
    }
}

TEST_CASE("many small tensors are written together") {
  std::vector<MemoryTensor> tensors;
  Random random(17);
  for (int t = 0; t < 2000; ++t) tensors.push_back({"t" + std::to_string(t), DType::f32, {25}, random.bytes(100)});
  const MemorySource source(tensors);
  const Plans plans = renamed(source);
  FileSink sink(plans);
  execute(plans, {&source}, sink, {2, {}, nullptr, 64'000});
  CHECK(sink.n_writes == 4);  // 200,000 bytes
  CHECK((sink.all() == run_naively(plans, {&source})));
}

TEST_CASE("the tensor that most of a block belongs to is put together in memory that is aligned for it") {
  Random random(29);
  for (const Shape& tile : {Shape{}, Shape{64, 1}}) {
    const MemorySource source(
        {{"a", DType::u8, {4}, random.bytes(4)}, {"b", DType::f32, {64, 64}, random.bytes(64 * 64 * 4), tile}});
    const Plans plans = renamed(source);
    FileSink sink(plans, 8);
    execute(plans, {&source}, sink, {2, {}, nullptr, 4096});
    REQUIRE(sink.written_from.size() == 5);  // the last: what the head and "a" shift
    for (const auto& [offset, address] : sink.written_from) CHECK((address + (offset == 8 ? 4 : 0)) % 64 == 0);
    CHECK((sink.all() == run_naively(plans, {&source})));
  }
}

TEST_CASE("tiles that fill a block together have it written once, if there is room for it") {
  Random random(19);
  MemoryTensor tensor{"t", DType::f32, {64, 64}, random.bytes(64 * 64 * 4), {64, 8}};
  const MemorySource source({tensor});
  const Plans plans = renamed(source);
  struct Row {
    uint64_t open_bytes;
    int n_writes, n_reads;
  };
  for (const Row& row : {Row{16384, 4, 0}, Row{8192, 2 + 2 * 8, 2 * 8}, Row{0, 4 * 8, 4 * 8}}) {
    FileSink sink(plans);
    execute(plans, {&source}, sink, {1, {}, nullptr, 4096, row.open_bytes});
    INFO("with room for " << row.open_bytes << " bytes");
    CHECK(sink.n_writes == row.n_writes);
    CHECK(sink.n_reads == row.n_reads);
    CHECK((sink.all() == run_naively(plans, {&source})));
  }
}

TEST_CASE("a write that fails ends the work with its error, and nothing is said to be finished that is not") {
  Random random(23);
  for (const bool tiled : {false, true}) {
    const MemorySource source(
        {{"t", DType::f32, {64, 64}, random.bytes(64 * 64 * 4), tiled ? Shape{16, 16} : Shape{}}});
    const Plans plans = renamed(source);
    for (const int threads : {1, 4}) {
      FileSink sink(plans);
      sink.fails_at = 9000;
      CHECK(message_of([&] {
              execute(plans, {&source}, sink, {threads, {}, nullptr, 1000});
            }) == "error[io-write]: byte 9000 cannot be written");
      for (const auto& range : sink.finished_ranges()) CHECK((range.second <= 9000 || range.first > 9000));
    }
  }
}

TEST_CASE("a part of a planned tensor holds what the whole one holds there") {
  Random random(11);
  for (int round = 0; round < 40; ++round)
    for (const Operation& operation : operations()) {
      INFO(operation.name << ", round " << round);
      const MemorySource source({random_tensor(random, "t", DType::f32, operation.source_shape(random))});
      Plans plans;
      operation.add_targets(random, source.manifest()[0], 0, plans);
      const auto whole = run_naively(plans, {&source});
      for (size_t t = 0; t < plans.size(); ++t) {
        if (plans[t].shape.empty() || element_count(plans[t].shape) == 0) continue;
        const int64_t rows = plans[t].shape[0], middle = random.pick(0, rows);
        std::vector<std::byte> joined;
        for (const auto& [begin, end] : {std::pair(int64_t{0}, middle), std::pair(middle, rows)}) {
          Box box{Shape(plans[t].shape.size(), 0), plans[t].shape};
          box.origin[0] = begin, box.extent[0] = end - begin;
          const auto bytes = run({exec::part_of(plans[t], box, {&source})}, {&source}, 1);
          joined.insert(joined.end(), bytes[0].begin(), bytes[0].end());
        }
        REQUIRE(joined == whole[t]);
      }
    }
}

TEST_CASE("every tile is loaded once, whatever is made of it, and not at all if nothing is") {
  Random random(1);
  const int64_t n_experts = 8;
  const MemorySource source(
      {{"wi", DType::f32, {n_experts, 6, 10}, random.bytes(n_experts * 60 * 4), {n_experts, 3, 4}}});
  Plans plans;
  for (int64_t e = 0; e < n_experts; ++e)
    plans.push_back({"expert_" + std::to_string(e),
                     DType::f32,
                     {10, 6},
                     {{0, 0, {{6, 1, 1, 1, 1}, {10, 1, 1, 0, 2}}, {}, {e, 0, 0}}},
                     {},
                     0});
  CHECK(run(plans, {&source}, 2) == run_naively(plans, {&source}));
  CHECK(source.n_loads == 6);  // 1 x 2 x 3 tiles
  source.n_loads = 0;
  // The last two columns alone: one of three columns of tiles.
  const Plans corner = {
      {"corner", DType::f32, {6, 2}, {{0, 0, {{6, 1, 1, 0, 1}, {2, 1, 1, 1, 2}}, {}, {0, 0, 8}}}, {}, 0}};
  CHECK(run(corner, {&source}, 1) == run_naively(corner, {&source}));
  CHECK(source.n_loads == 2);
}

TEST_CASE("a large mapped tensor is shared between threads and comes out the same") {
  Random random(3);
  const int64_t rows = 3000, columns = 2500;  // 30 MB: several blocks
  const MemorySource source({{"w", DType::f32, {rows, columns}, random.bytes(rows * columns * 4)}});
  Plans plans = renamed(source);
  plans.push_back({"transposed",
                   DType::f32,
                   {columns, rows},
                   {{0, 0, {{rows, 1, 1, 1, 0}, {columns, 1, 1, 0, 1}}, {}, {}}},
                   {},
                   0});
  const auto one = run(plans, {&source}, 1);
  CHECK((one == run_naively(plans, {&source})));
  CHECK((run(plans, {&source}, 4) == one));
}

TEST_CASE("clipping a piece keeps what can stay together together") {
  const Piece piece{0, 0, {{4, 1, 6, 0, 0}, {6, 1, 1, 1, 0}}, {}, {}};  // [24] seen as [4,6]
  using exec::IndexBox;
  CHECK(exec::clip(piece, {{0}, {24}}) == std::vector<IndexBox>{{{0, 4}, {0, 6}}});
  CHECK(exec::clip(piece, {{4}, {16}}) == std::vector<IndexBox>{{{0, 1}, {4, 2}}, {{1, 2}, {0, 6}}, {{3, 1}, {0, 2}}});
  CHECK(exec::clip(piece, {{7}, {3}}) == std::vector<IndexBox>{{{1, 1}, {1, 3}}});
  CHECK(exec::clip(piece, {{24}, {5}}).empty());
  const Piece backwards{0, 0, {{5, 1, -2, 0, 0}}, {}, {9}};  // 9, 7, 5, 3, 1
  CHECK(exec::clip(backwards, {{4}, {4}}) == std::vector<IndexBox>{{{1, 2}}});
  const Piece scalar{0, 0, {}, {}, {}};
  CHECK(exec::clip(scalar, {{}, {}}) == std::vector<IndexBox>{{}});
}

TEST_CASE("casts, fills, empty tensors and scalars are written too") {
  const MemorySource source({{"h", DType::f16, {2, 2}, bytes_of<uint16_t>({0x3c00, 0x8000, 0x7d01, 0x0001})},
                             {"nothing", DType::f32, {0, 3}, {}},
                             {"scalar", DType::i64, {}, bytes_of<int64_t>({-7})}});
  Plans plans = renamed(source);
  plans[0].dtype = DType::f32;
  plans.push_back({"ones", DType::bf16, {3}, {}, 1.0, 0});
  plans.push_back({"zeros", DType::f32, {2, 1}, {}, 0.0, 0});
  plans.push_back({"no.zeros", DType::f32, {2, 0}, {}, 0.0, 0});
  const auto written = run(plans, {&source}, 2);
  CHECK(written[0] == bytes_of<uint32_t>({0x3f800000, 0x80000000, 0x7fa02000, 0x33800000}));
  CHECK(written[1].empty());
  CHECK(written[2] == bytes_of<int64_t>({-7}));
  CHECK(written[3] == bytes_of<uint16_t>({0x3f80, 0x3f80, 0x3f80}));
  CHECK(written[4] == bytes_of<float>({0, 0}));
}

TEST_CASE("the error is that of the first tensor in the order of the plan, on any number of threads") {
  Random random(5);
  std::vector<MemoryTensor> tensors;
  for (int t = 0; t < 40; ++t)
    tensors.push_back({"t" + std::to_string(100 + t), DType::f32, {64}, random.bytes(256), {16}});
  MemorySource source(tensors);
  for (const size_t t : {7u, 8u, 9u, 20u, 39u}) source.fail_at.insert({t, 2});
  source.fail_at.insert({7, 3});
  for (const int threads : {1, 2, 8})
    for (int round = 0; round < 20; ++round) {
      const Plans plans = renamed(source);
      MemorySink sink(plans);
      CHECK(message_of([&] {
              execute(plans, {&source}, sink, {threads, {}, nullptr});
            }) == "memory: error[io-read]: tile 2 of 't107' is damaged");
    }
}

TEST_CASE("what cannot be run is refused before anything is written") {
  MemorySource source({{"a", DType::f32, {4}, bytes_of<float>({1, 2, 3, 4})}});
  struct Row {
    const char* message;
    PlannedTensor plan;
  };
  const Row rows[] = {
      {"error[plan-inconsistent]: the plan for 'x' [5] cannot be run: a piece reaches outside of its source 'a' [4]",
       {"x", DType::f32, {5}, {{0, 0, {{5, 1, 1, 0, 0}}, {}, {}}}, {}, 0}},
      {"error[plan-inconsistent]: the plan for 'x' [3] cannot be run: a piece reaches outside of it",
       {"x", DType::f32, {3}, {{0, 0, {{4, 1, 1, 0, 0}}, {}, {}}}, {}, 0}},
      {"error[plan-inconsistent]: the plan for 'x' [4] cannot be run: its pieces have 3 elements",
       {"x", DType::f32, {4}, {{0, 0, {{3, 1, 1, 0, 0}}, {}, {}}}, {}, 0}},
      {"error[plan-inconsistent]: the plan for 'x' [4] cannot be run: a piece reaches outside of it",
       {"x", DType::f32, {4}, {{0, 0, {{4, -1, 1, 0, 0}}, {}, {}}}, {}, 0}},
      {"error[plan-inconsistent]: the plan for 'x' [4] cannot be run: a piece names source 1 of 1",
       {"x", DType::f32, {4}, {{1, 0, {{4, 1, 1, 0, 0}}, {}, {}}}, {}, 0}},
      {"error[cast-unsupported]: 'x' is int32 and is made of 'a', which is float32: there is no such cast",
       {"x", DType::i32, {4}, {{0, 0, {{4, 1, 1, 0, 0}}, {}, {}}}, {}, 0}},
      {"error[fill-unrepresentable]: 'x' is filled with 0.5, which int64 cannot hold",
       {"x", DType::i64, {4}, {}, 0.5, 0}},
  };
  for (const Row& row : rows) {
    const Plans plans = {row.plan};
    MemorySink sink(plans);
    CHECK(message_of([&] { execute(plans, {&source}, sink); }) == row.message);
    CHECK(std::all_of(sink.bytes(0).begin(), sink.bytes(0).end(), [](std::byte b) { return b == std::byte{0xcd}; }));
  }
  source.set_has_data(false);
  const Plans plans = renamed(source);
  MemorySink sink(plans);
  CHECK(message_of([&] { execute(plans, {&source}, sink); }) ==
        "memory: error[source-without-data]: 'new.a' is made of 'a', of which this file knows only the shape");
}

TEST_CASE("work can be cancelled, and tells how far it is") {
  Random random(9);
  std::vector<MemoryTensor> tensors;
  for (int t = 0; t < 20; ++t) tensors.push_back({"t" + std::to_string(100 + t), DType::u8, {100}, random.bytes(100)});
  const MemorySource source(tensors);
  const Plans plans = renamed(source);
  MemorySink sink(plans);
  uint64_t last_done = 0, last_total = 0;
  execute(plans, {&source}, sink,
          {2, [&](uint64_t done, uint64_t total) { last_done = done, last_total = total; }, nullptr});
  CHECK(last_done == 2000);
  CHECK(last_total == 2000);
  const std::atomic<bool> cancel = true;
  MemorySink other(plans);
  CHECK(message_of([&] {
          execute(plans, {&source}, other, {2, {}, &cancel});
        }) == "error[cancelled]: stopped before all tensors were written");
}

TEST_CASE("tensors are equal if every bit is, whatever their tiles") {
  Random random(11);
  for (int round = 0; round < 100; ++round) {
    const DType dtype = kEverySize[static_cast<size_t>(random.pick(0, 4))];
    Shape shape;
    for (int64_t d = random.pick(0, 3); d > 0; --d) shape.push_back(random.pick(1, 30));
    MemoryTensor a = random_tensor(random, "t", dtype, shape), b = random_tensor(random, "t", dtype, shape);
    b.bytes = a.bytes;
    CHECK(tensors_equal(MemorySource({a}), 0, MemorySource({b}), 0));
    CHECK(compare_tensors(MemorySource({a}), 0, MemorySource({b}), 0).bits_equal);
    b.bytes[static_cast<size_t>(random.pick(0, static_cast<int64_t>(b.bytes.size()) - 1))] ^= std::byte{0x10};
    CHECK_FALSE(tensors_equal(MemorySource({a}), 0, MemorySource({b}), 0));
    CHECK_FALSE(compare_tensors(MemorySource({a}), 0, MemorySource({b}), 0).bits_equal);
  }
  const MemorySource tied({{"a", DType::f32, {1}, bytes_of<float>({1}), {}, false, "s"},
                           {"b", DType::f32, {1}, bytes_of<float>({1}), {}, false, "s"}});
  CHECK(tensors_equal(tied, 0, tied, 1));
  CHECK(tied.n_loads == 0);
}

TEST_CASE("differences are measured on values") {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const auto compare = [](const MemoryTensor& a, const MemoryTensor& b) {
    return compare_tensors(MemorySource({a}), 0, MemorySource({b}), 0);
  };
  const auto floats = [](const std::vector<float>& values) {
    return MemoryTensor{"t", DType::f32, {static_cast<int64_t>(values.size())}, bytes_of(values)};
  };
  CHECK(compare(floats({1, 2, 3, nan}), floats({1, 2.5, 1, nan})) == TensorDifference{false, 4, 2, 0, 2, 0.625});
  CHECK(compare(floats({nan, 1, 2}), floats({0, 1, 4})) == TensorDifference{false, 3, 2, 1, 2, 1});
  CHECK(compare(floats({0.0f}), floats({-0.0f})) == TensorDifference{false, 1, 0, 0, 0, 0});
  CHECK(compare(floats({infinity, 1}), floats({infinity, 1.5})) == TensorDifference{false, 2, 1, 0, 0.5, 0.25});
  CHECK(compare(floats({infinity}), floats({1})).max_absolute_diff == infinity);
  CHECK(compare(floats({1, -2}), {"t", DType::bf16, {2}, bytes_of<uint16_t>({0x3f80, 0xc000})}) ==
        TensorDifference{false, 2, 0, 0, 0, 0});
  const int64_t big = int64_t{1} << 60;
  CHECK(compare({"t", DType::i64, {2}, bytes_of<int64_t>({big, 5})},
                {"t", DType::i64, {2}, bytes_of<int64_t>({big + 1, 5})})
            .count_different == 1);
  CHECK(compare({"t", DType::c64, {1}, bytes_of<float>({1, 2})}, {"t", DType::c64, {1}, bytes_of<float>({1, 3})}) ==
        TensorDifference{false, 2, 1, 0, 1, 0.5});
  CHECK(message_of([&] {
          compare(floats({1}), floats({1, 2}));
        }) == "error[compare-shape]: 't' has the shape [1] and 't' [2]");
  CHECK(message_of([&] {
          compare(floats({1}), {"t", DType::c64, {1}, bytes_of<float>({1, 2})});
        }) == "error[compare-dtype]: 't' is float32 and 't' is complex64: complex and real numbers are not compared");
}

TEST_CASE("pieces of tensors whose elements share bytes move whole bytes, or are refused") {
  struct Row {
    const char* what;
    DType dtype;
    Shape target, source;
    Piece piece;
    std::optional<Piece> bytes;
  };
  const auto f4 = DType::f4, f6 = DType::f6_e2m3;
  const std::vector<Row> rows = {
      {"whole",
       f6,
       {2, 8},
       {2, 8},
       {0, 0, {{2, 1, 1, 0, 0}, {8, 1, 1, 1, 1}}, {}, {}},
       Piece{0, 0, {{2, 1, 1, 0, 0}, {6, 1, 1, 1, 1}}, {}, {}}},
      {"the second half of each row",
       f6,
       {2, 4},
       {2, 8},
       {0, 0, {{2, 1, 1, 0, 0}, {4, 1, 1, 1, 1}}, {}, {0, 4}},
       Piece{0, 0, {{2, 1, 1, 0, 0}, {3, 1, 1, 1, 1}}, {}, {0, 3}}},
      {"cut inside a byte", f6, {2, 2}, {2, 8}, {0, 0, {{2, 1, 1, 0, 0}, {2, 1, 1, 1, 1}}, {}, {}}, std::nullopt},
      {"begun inside a byte", f4, {2, 2}, {2, 8}, {0, 0, {{2, 1, 1, 0, 0}, {2, 1, 1, 1, 1}}, {}, {0, 1}}, std::nullopt},
      {"rows that share a byte",
       f4,
       {4, 3},
       {4, 3},
       {0, 0, {{4, 1, 1, 0, 0}, {3, 1, 1, 1, 1}}, {}, {}},
       Piece{0, 0, {{6, 1, 1, 0, 0}}, {}, {}}},
      {"half a byte too much", f4, {3}, {3}, {0, 0, {{3, 1, 1, 0, 0}}, {}, {}}, std::nullopt},
      {"transposed", f4, {4, 2}, {2, 4}, {0, 0, {{4, 1, 1, 0, 1}, {2, 1, 1, 1, 0}}, {}, {}}, std::nullopt},
      {"rows exchanged",
       f4,
       {2, 3, 4},
       {3, 2, 4},
       {0, 0, {{2, 1, 1, 0, 1}, {3, 1, 1, 1, 0}, {4, 1, 1, 2, 2}}, {}, {}},
       Piece{0, 0, {{2, 1, 1, 0, 1}, {3, 1, 1, 1, 0}, {2, 1, 1, 2, 2}}, {}, {}}},
      {"flattened",
       f4,
       {8},
       {2, 4},
       {0, 0, {{2, 4, 1, 0, 0}, {4, 1, 1, 0, 1}}, {}, {}},
       Piece{0, 0, {{2, 2, 1, 0, 0}, {2, 1, 1, 0, 1}}, {}, {}}},
      {"nothing",
       f4,
       {0, 3},
       {0, 3},
       {0, 0, {{0, 1, 1, 0, 0}, {3, 1, 1, 1, 1}}, {}, {}},
       Piece{0, 0, {{0, 1, 1, 0, 0}, {3, 1, 1, 1, 1}}, {}, {}}},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(piece_in_bytes(row.piece, row.dtype, row.target, row.source) == row.bytes);
  }
}

TEST_CASE("numbers that are not from a source are written beside what is, in blocks of any size") {
  std::vector<std::byte> rows(6 * sizeof(float));
  const float values[] = {1, 2, 3, 4, 5, 6};
  std::memcpy(rows.data(), values, rows.size());
  const MemorySource source({{"rows", DType::f32, {2, 3}, rows}});
  struct Row {
    std::string what;
    PlannedTensor target;
    std::vector<float> expected;
  };
  const Axis down{2, 1, 1, 0, 0}, across{3, 1, 1, 1, 1};
  const auto constant = [](double value, std::vector<int64_t> origin, std::vector<Axis> axes) {
    return FilledPart{{0, 0, std::move(axes), std::move(origin), {}}, value, 0};
  };
  const std::vector<Row> table = {
      {"a row behind",
       {"t", DType::f32, {3, 3}, {{0, 0, {down, across}, {}, {}}}, {}, 0, {constant(-1, {2, 0}, {{3, 1, 0, 1, 0}})}},
       {1, 2, 3, 4, 5, 6, -1, -1, -1}},
      {"a column before",
       {"t",
        DType::f32,
        {2, 4},
        {{0, 0, {down, across}, {0, 1}, {}}},
        {},
        0,
        {constant(0.5, {0, 0}, {{2, 1, 0, 0, 0}})}},
       {0.5, 1, 2, 3, 0.5, 4, 5, 6}},
      {"counted along the last axis",
       {"t", DType::f32, {2, 3}, {}, {}, 0, {{{0, 0, {{2, 1, 0, 0, 0}, {3, 1, 1, 1, 0}}, {}, {}}, 2, 1}}},
       {2, 3, 4, 2, 3, 4}},
      {"counted down along the first axis, by two",
       {"t", DType::f32, {3, 2}, {}, {}, 0, {{{0, 0, {{3, 1, 1, 0, 0}, {2, 1, 0, 1, 0}}, {}, {}}, 4, -2}}},
       {4, 4, 2, 2, 0, 0}},
      {"one number", {"t", DType::f32, {1}, {}, {}, 0, {{{}, 7, 1}}}, {7}},
  };
  for (const Row& row : table) {
    INFO(row.what);
    std::vector<std::byte> expected(row.expected.size() * sizeof(float));
    std::memcpy(expected.data(), row.expected.data(), expected.size());
    const Plans plans = {row.target};
    CHECK(run(plans, {&source}, 1) == Bytes{expected});
    CHECK(run(plans, {&source}, 3) == Bytes{expected});
    for (const uint64_t block_bytes : {4, 8, 16, 1024})
      CHECK(run_in_blocks(plans, {&source}, 2, block_bytes, 64) == Bytes{expected});
    // A row of it alone, as verify looks at it.
    const auto row_bytes = static_cast<std::ptrdiff_t>(expected.size()) / row.target.shape[0];
    Box box{Shape(row.target.shape.size(), 0), row.target.shape.list()};
    for (box.extent[0] = 1; box.origin[0] < row.target.shape[0]; ++box.origin[0]) {
      const auto begin = expected.begin() + static_cast<std::ptrdiff_t>(box.origin[0]) * row_bytes;
      CHECK(run({exec::part_of(row.target, box, {&source})}, {&source}, 1) ==
            Bytes{std::vector<std::byte>(begin, begin + row_bytes)});
    }
  }
}

TEST_CASE("a plan with numbers that cannot be written is refused") {
  const MemorySource source(std::vector<MemoryTensor>{});
  struct Row {
    PlannedTensor target;
    std::string message;
  };
  const std::vector<Row> rows = {
      {{"t", DType::u8, {300}, {}, {}, 0, {{{0, 0, {{300, 1, 1, 0, 0}}, {}, {}}, 0, 1}}},
       "'t' is filled with 299, which uint8 cannot hold"},
      {{"t", DType::u8, {3}, {}, {}, 0, {{{0, 0, {{3, 1, 1, 0, 0}}, {}, {}}, -1, 1}}},
       "'t' is filled with -1, which uint8 cannot hold"},
      {{"t", DType::f32, {3}, {}, {}, 0, {{{0, 0, {{4, 1, 1, 0, 0}}, {}, {}}, 0, 1}}},
       "the plan for 't' [3] cannot be run: numbers reach outside of it"},
      {{"t", DType::f32, {3}, {}, {}, 0, {{{0, 0, {{2, 1, 1, 0, 0}}, {}, {}}, 0, 1}}},
       "the plan for 't' [3] cannot be run: its pieces have 2 elements"},
  };
  for (const Row& row : rows) {
    const std::string message = message_of([&] { run({row.target}, {&source}, 1); });
    INFO(message);
    CHECK(message.find(row.message) != std::string::npos);
  }
}
