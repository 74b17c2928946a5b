// Tensors that lie in many files: how ranges and meshes become boxes, torch.distributed.checkpoint, and files of ranks.
// The files are built here by name, each damage too; real ones are in tests/data/sources.
#include "remap/source.h"
#include "support/catch.h"
#include "support/dcp_files.h"
#include "support/source_values.h"
#include "support/temp_folder.h"
#include "tensor/flat_range.h"
#include "tensor/tiling.h"

#include <functional>
#include <numeric>

#include <fmt/format.h>

using namespace remap;
using remap::test::contains;
using remap::test::DcpItemSpec;
using remap::test::DcpMetadataPickle;
using remap::test::DcpTensorSpec;
using remap::test::DTensorFile;
using remap::test::error_of;
using remap::test::PlacementSpec;
using remap::test::TempFolder;
using remap::test::tensor_item;
using remap::test::tensor_values;
using namespace std::string_literals;

namespace {

std::vector<float> counted(int n, int first = 0) {
  std::vector<float> values(static_cast<size_t>(n));
  std::iota(values.begin(), values.end(), static_cast<float>(first));
  return values;
}

// A tensor [4,3] of the numbers 0 to 11, its rows in two files, and something that is not a tensor.
struct TwoRanks {
  std::vector<DcpTensorSpec> tensors = {{"w", {4, 3}, {{{0, 0}, {3, 3}}, {{3, 0}, {1, 3}}}},
                                        {.key = "step", .size = {}, .chunks = {}, .is_tensor = false}};
  std::string first = "before" + tensor_item({3, 3}), second = tensor_item({1, 3}, 9) + step();
  std::vector<DcpItemSpec> items = {
      {"w", std::vector{0, 0}, "__0_0.distcp", 6, static_cast<int64_t>(tensor_item({3, 3}).size())},
      {"w", std::vector{3, 0}, "__1_0.distcp", 0, static_cast<int64_t>(tensor_item({1, 3}).size())},
      {"step", std::nullopt, "__1_0.distcp", static_cast<int64_t>(tensor_item({1, 3}).size()),
       static_cast<int64_t>(step().size())}};

  static std::string step() {
    test::Pickle pickle;
    pickle.integer(7);
    return test::build_torch_zip(pickle.stop());
  }
  void write(const TempFolder& folder) const {
    folder.write(".metadata", DcpMetadataPickle().bytes(tensors, items));
    folder.write("__0_0.distcp", first);
    folder.write("__1_0.distcp", second);
  }
};

}  // namespace

// --- boxes ---

TEST_CASE("a range of elements is boxes that cover it once, in order") {
  const Shape shapes[] = {{}, {7}, {1, 1}, {3, 4}, {2, 3, 4}, {4, 1, 3}, {2, 2, 2, 2}};
  for (const Shape& shape : shapes) {
    const int64_t n = element_count(shape);
    const auto inner = [&](const Shape& at) {
      int64_t flat = 0;
      for (size_t d = 0; d < shape.size(); ++d) flat = flat * shape[d] + at[d];
      return flat;
    };
    for (int64_t begin = 0; begin <= n; ++begin)
      for (int64_t end = begin; end <= n; ++end) {
        const auto boxes = boxes_of_range(shape, begin, end);
        CHECK(boxes.size() <= std::max<size_t>(1, 2 * shape.size()));
        int64_t next = begin;
        for (const RangeBox& part : boxes) {
          INFO(to_string(shape) << " " << begin << " " << end);
          CHECK(part.first == next);
          CHECK(inner(part.box.origin) == next);
          next += element_count(part.box.extent);
        }
        CHECK(next == end);
      }
  }
}

TEST_CASE("boxes are cut to a size and still tile what they were") {
  for (const int64_t most : {1, 2, 5, 7, 100})
    for (const Shape& shape : {Shape{}, Shape{9}, Shape{3, 5}, Shape{2, 3, 4}}) {
      const auto boxes = cut_box({Shape(shape.size(), 0), shape}, most);
      CHECK(tiling_fault(boxes, shape).empty());
      for (const Box& box : boxes) CHECK(element_count(box.extent) <= most);
    }
}

// --- torch.distributed.checkpoint ---

TEST_CASE("chunks in several files are one tensor, each read where it lies") {
  const TempFolder folder;
  TwoRanks().write(folder);
  const auto source = open_source(folder.path());
  REQUIRE(source->manifest().size() == 1);
  CHECK(source->manifest()[0].shape == Shape{4, 3});
  CHECK(source->tile_boxes(0).size() == 2);
  CHECK(source->in_place(0));
  CHECK(tensor_values<float>(*source, "w") == counted(12));
  CHECK(source->metadata()["step"] == 7);
  REQUIRE(!source->remarks().empty());
  CHECK(source->remarks()[0] == "torch.distributed.checkpoint 1.0.0: 2 files of 2 ranks");
}

TEST_CASE("what lies beside a torch.distributed.checkpoint is read with it, or said to be left aside") {
  const TempFolder folder;
  TwoRanks().write(folder);
  test::Pickle pickle;
  pickle << "}(";
  pickle.text("iteration").integer(100).text("rng").tensor({}) << "u";
  folder.write("common.pt", test::build_torch_zip(pickle.stop()));
  folder.write("rng_state_0.pth", test::build_torch_zip(pickle.stop()));
  const auto source = open_source(folder.path());
  CHECK(source->metadata()["iteration"] == 100);
  CHECK(source->manifest().find("rng") != Manifest::npos);
  REQUIRE(source->notices().size() == 1);
  CHECK(source->notices()[0].message ==
        "of several files of tensors, taken: a torch.distributed.checkpoint; left aside: 'rng_state_0.pth'");
}

TEST_CASE("every way in which a torch.distributed.checkpoint can be wrong is said") {
  using Change = std::function<void(TwoRanks&)>;
  struct Case {
    const char* name;
    Change change;
    const char* error;  // begins so
  };
  const Case cases[] = {
      {"gap", [](TwoRanks& f) { f.tensors[0].chunks.pop_back(), f.items.erase(f.items.begin() + 1); },
       "source-tiles: the chunks of 'w' (1 of them) do not make up its [4,3]: they leave a part uncovered"},
      {"overlap",
       [](TwoRanks& f) {
         f.tensors[0].chunks[1] = {{2, 0}, {1, 3}}, f.items[1].offset = {2, 0};
       },
       "source-tiles: the chunks of 'w' (2 of them) do not make up its [4,3]: they "},
      {"outside",
       [](TwoRanks& f) {
         f.tensors[0].chunks[1].sizes = {2, 3};
       },
       "source-tiles: one of the chunks of 'w' is [2,3] at [3,0]: it reaches outside of the tensor"},
      {"rank of a chunk",
       [](TwoRanks& f) {
         f.tensors[0].chunks[1] = {{3}, {1}};
       },
       "dcp-metadata: a chunk of 'w' is [1] at [3]"},
      {"no item", [](TwoRanks& f) { f.items.erase(f.items.begin()); },
       "dcp-metadata: the chunk of 'w' at [0,0] has no item in storage_data"},
      {"item without a chunk",
       [](TwoRanks& f) {
         f.items[1].offset = {1, 0};
       },
       "dcp-metadata: storage_data has an item of 'w' at [1,0], where it has no chunk"},
      {"item without an entry", [](TwoRanks& f) { f.items[1].key = "ghost"; },
       "dcp-metadata: storage_data has an item of 'ghost', which state_dict_metadata does not list"},
      {"object where a tensor is", [](TwoRanks& f) { f.items[0].offset.reset(); },
       "dcp-metadata: an item of 'w' is not a chunk"},
      {"item of other bytes",
       [](TwoRanks& f) {
         f.items[0] = {"w", std::vector{0, 0}, "__1_0.distcp", 0, f.items[1].length};
       },
       "dcp-item: the item of 'w' holds a tensor that is [1,3]; the chunk is [3,3]"},
      {"dtype", [](TwoRanks& f) { f.tensors[0].dtype = "float64"; },
       "dcp-item: the item of 'w' holds float32; its entry says float64"},
      {"past the end", [](TwoRanks& f) { f.items[0].length += 1000; },
       "dcp-item: the item of 'w' should have the bytes from 6 on"},
      {"offset 2^62", [](TwoRanks& f) { f.items[0].at = int64_t{1} << 62; }, "dcp-item: the item of 'w' should have"},
      {"negative", [](TwoRanks& f) { f.items[0].at = -1; }, "dcp-metadata: the offset of an item of 'w' is -1"},
      {"cut short", [](TwoRanks& f) { f.items[0].length -= 30; }, "zip-"},
      {"another transform", [](TwoRanks& f) { f.items[0].transforms = {"stream.lz4/1"}; },
       "dcp-item: the item of 'w' ("},
      {"not zstd", [](TwoRanks& f) { f.items[0].transforms = {"stream.zstd/1"}; }, "nothing was thrown"},
      {"two transforms",
       [](TwoRanks& f) {
         f.items[0].transforms = {"stream.zstd/1", "stream.zstd/1"};
       },
       "dcp-item: the item of 'w' ("},
      {"a path up", [](TwoRanks& f) { f.items[0].file = "../x.distcp"; },
       "dcp-metadata: storage_data places 'w' in '../x.distcp', which is not the name of a file of this folder"},
      {"an absolute path", [](TwoRanks& f) { f.items[0].file = "/x.distcp"; }, "dcp-metadata: storage_data places 'w'"},
      {"a line break", [](TwoRanks& f) { f.items[0].file = "a\nb"; }, "dcp-metadata: storage_data places 'w' in 'a_b'"},
      {"no name", [](TwoRanks& f) { f.items[0].file = ""; }, "dcp-metadata: storage_data places 'w' in ''"},
      {"a file that is not there", [](TwoRanks& f) { f.items[0].file = "__7_0.distcp"; },
       "source-parts: '__7_0.distcp' is not there, in which '.metadata' places 'w'"},
      {"too large to count",
       [](TwoRanks& f) {
         f.tensors[0].size = {2147483647, 2147483647, 2147483647};
       },
       "dcp-metadata: a chunk of 'w'"},
      {"code in an item",
       [](TwoRanks& f) {
         test::Pickle pickle;
         pickle.global("os", "system") << "(";
         pickle.text("true") << "tR";
         const std::string archive = test::build_torch_zip(pickle.stop());
         f.items[0].at = static_cast<int64_t>(f.first.size());
         f.items[0].length = static_cast<int64_t>(archive.size());
         f.first += archive;
       },
       "dcp-item: the item of 'w' does not hold one tensor and nothing else"},
      {"a packed storage",
       [](TwoRanks& f) {
         test::Pickle pickle;
         pickle.tensor({});
         const std::string archive = test::build_zip(test::torch_entries(pickle.stop(), true));
         f.tensors[0] = {"w", {2, 3}, {{{0, 0}, {2, 3}}}};
         f.items = {{"w", std::vector{0, 0}, "__0_0.distcp", static_cast<int64_t>(f.first.size()),
                     static_cast<int64_t>(archive.size())},
                    f.items[2]};
         f.first += archive;
       },
       "torch-bad-tensor: 'w' is compressed inside of its archive, as torch never does"},
  };
  for (const Case& one : cases) {
    INFO(one.name);
    const TempFolder folder;
    TwoRanks files;
    one.change(files);
    files.write(folder);
    const std::string error = error_of([&] { (void)open_source(folder.path()); });
    INFO(error);
    CHECK(error.starts_with(one.error));
  }
}

TEST_CASE("a compressed item that is damaged is refused when it is read") {
  const TempFolder folder;
  TwoRanks files;
  files.items[0].transforms = {"stream.zstd/1"};
  files.write(folder);
  const auto source = open_source(folder.path());
  CHECK(!source->in_place(0));
  CHECK(error_of([&] {
          (void)tensor_values<float>(*source, "w");
        }).starts_with("dcp-item: the item of 'w' is not what zstd writes"));
}

TEST_CASE("a tensor of another layout or type is listed and not read") {
  for (const auto& [dtype, layout] :
       std::vector<std::pair<std::string, std::string>>{{"float32", "torch.sparse_coo"}, {"qint8", "torch.strided"}}) {
    const TempFolder folder;
    TwoRanks files;
    files.tensors[0].dtype = dtype;
    files.tensors[0].layout = layout;
    files.write(folder);
    const auto source = open_source(folder.path());
    REQUIRE(source->manifest().size() == 1);
    CHECK(source->manifest()[0].unread != nullptr);
  }
}

TEST_CASE("each rank may have metadata of its own") {
  const TempFolder folder;
  TwoRanks files;
  files.write(folder);
  std::filesystem::remove(folder.path(".metadata"));
  DcpTensorSpec first = files.tensors[0], second = first;
  first.chunks.pop_back();
  folder.write("__0.metadata", DcpMetadataPickle().bytes({first}, {files.items[0]}));
  CHECK(error_of([&] { (void)open_source(folder.path()); }).starts_with("source-tiles: the chunks of 'w' (1 of them)"));
  folder.write("__1.metadata", DcpMetadataPickle().bytes({second}, {files.items[0], files.items[1]}));
  CHECK(tensor_values<float>(*open_source(folder.path()), "w") == counted(12));
  second.size = {4, 4};
  folder.write("__1.metadata", DcpMetadataPickle().bytes({second}, {}));
  CHECK(contains(error_of([&] { (void)open_source(folder.path()); }), "in the metadata of another rank"));
  std::filesystem::remove(folder.path("__0.metadata"));
  CHECK(error_of([&] { (void)open_source(folder.path()); }) ==
        "source-parts: '__0.metadata' is not there, though '__1.metadata' is");
}

TEST_CASE("an unfinished save is said to be one") {
  const TempFolder folder;
  TwoRanks().write(folder);
  std::filesystem::rename(folder.path(".metadata"), folder.path(".metadata.tmp"));
  CHECK(contains(error_of([&] { (void)open_source(folder.path()); }), "not saved to its end"));
  std::filesystem::remove(folder.path(".metadata.tmp"));
  CHECK(contains(error_of([&] { (void)open_source(folder.path()); }), "but not its '.metadata'"));
}

// --- ranks ---

namespace {

using Index = std::vector<std::vector<int>>;  // the coordinates that a rank has, for each dimension

std::vector<std::vector<int>> chunks(const std::vector<int>& all, int n) {
  const int size = (static_cast<int>(all.size()) + n - 1) / n;
  std::vector<std::vector<int>> out(static_cast<size_t>(n));
  for (int i = 0; i < static_cast<int>(all.size()); ++i)
    out[static_cast<size_t>(i / size)].push_back(all[static_cast<size_t>(i)]);
  return out;
}

// Which coordinates torch gives the rank: written apart from the reader, on lists of coordinates.
Index held(const std::vector<int>& size, const std::vector<int>& mesh, const std::vector<PlacementSpec>& placements,
           int rank) {
  Index out;
  for (const int n : size) {
    out.emplace_back(static_cast<size_t>(n));
    std::iota(out.back().begin(), out.back().end(), 0);
  }
  int stride = 1;
  for (const int n : mesh) stride *= n;
  for (size_t a = 0; a < mesh.size(); ++a) {
    stride /= mesh[a];
    const int at = rank / stride % mesh[a];
    if (placements[a].kind == "Replicate") continue;
    auto& dim = out[static_cast<size_t>(placements[a].dim)];
    std::vector<int> mine;
    for (const auto& part : chunks(dim, std::max(1, placements[a].split))) {
      const auto cut = chunks(part, mesh[a])[static_cast<size_t>(at)];
      mine.insert(mine.end(), cut.begin(), cut.end());
    }
    dim = mine;
  }
  return out;
}

DTensorFile rank_file(const std::vector<int>& size, const std::vector<int>& mesh,
                      const std::vector<PlacementSpec>& placements, int rank) {
  const Index mine = held(size, mesh, placements, rank);
  DTensorFile file{.key = "w", .size = size, .local = {}, .values = {}, .mesh = mesh, .placements = placements};
  for (const auto& dim : mine) file.local.push_back(static_cast<int>(dim.size()));
  REQUIRE(size.size() == 2);
  for (const int i : mine[0])
    for (const int j : mine[1]) file.values.push_back(static_cast<float>(i * size[1] + j));
  return file;
}

std::string rank_name(int rank, int world) { return fmt::format("model_world_size_{}_rank_{}.pt", world, rank); }

int world_of(const std::vector<int>& mesh) { return std::accumulate(mesh.begin(), mesh.end(), 1, std::multiplies<>()); }

}  // namespace

TEST_CASE("a DTensor is put together from its ranks, however it is placed") {
  const PlacementSpec rows{"Shard", 0, 0}, columns{"Shard", 1, 0}, all{"Replicate", 0, 0};
  struct Case {
    std::vector<int> size, mesh;
    std::vector<PlacementSpec> placements;
  };
  const Case cases[] = {
      {{6, 4}, {2}, {rows}},
      {{7, 4}, {3}, {rows}},
      {{2, 4}, {4}, {rows}},
      {{5, 6}, {4}, {columns}},
      {{3, 3}, {2}, {all}},
      {{0, 4}, {2}, {rows}},
      {{6, 4}, {2, 2}, {all, rows}},
      {{6, 4}, {2, 2}, {rows, columns}},
      {{7, 5}, {2, 3}, {rows, columns}},
      {{13, 2}, {2, 2}, {rows, rows}},
      {{12, 2}, {2, 3}, {{"_StridedShard", 0, 3}, rows}},
      {{13, 2}, {2, 2}, {{"_StridedShard", 0, 2}, rows}},
      {{12, 3}, {12}, {rows}},
  };
  for (const Case& one : cases)
    for (const bool old_mesh : {false, true})
      for (const bool says_rank : {false, true}) {
        const TempFolder folder;
        const int world = world_of(one.mesh);
        for (int rank = 0; rank < world; ++rank) {
          DTensorFile file = rank_file(one.size, one.mesh, one.placements, rank);
          file.old_mesh = old_mesh;
          if (says_rank) file.rank = rank;
          folder.write(rank_name(rank, world), file.bytes());
        }
        INFO(one.size[0] << "," << one.size[1] << " world " << world << " old " << old_mesh);
        const auto source = open_source(folder.path());
        CHECK(tensor_values<float>(*source, "w") == counted(one.size[0] * one.size[1]));
      }
}

TEST_CASE("axes cut a dimension in the order that the spec says") {
  // Axis 1 cuts the eight rows in two, then axis 0 each half.
  const TempFolder folder;
  const int first_row[] = {0, 4, 2, 6};
  for (int rank = 0; rank < 4; ++rank) {
    DTensorFile file{.key = "w",
                     .size = {8},
                     .local = {2},
                     .values = counted(2, first_row[rank]),
                     .mesh = {2, 2},
                     .placements = {{"Shard", 0, 0}, {"Shard", 0, 0}}};
    file.order = {1, 0};
    folder.write(rank_name(rank, 4), file.bytes());
  }
  CHECK(tensor_values<float>(*open_source(folder.path()), "w") == counted(8));
}

TEST_CASE("what does not fit between the files of ranks is said") {
  const std::vector<PlacementSpec> rows = {{"Shard", 0, 0}};
  struct Case {
    const char* name;
    std::function<void(std::vector<DTensorFile>&)> change;
    const char* error;
  };
  const Case cases[] = {
      {"a row fewer",
       [](std::vector<DTensorFile>& f) { f[0].local[0] -= 1, f[0].values.resize(f[0].values.size() - 4); },
       "rank-files: the part of 'w' is F32 [1,4]; by its placements and mesh, rank 0 has F32 [2,4] of [5,4]"},
      {"another size",
       [](std::vector<DTensorFile>& f) {
         f[1].size = {6, 4};
       },
       "rank-files: 'w' is F32 [6,4] here, F32 [5,4] in 'model_world_size_3_rank_0.pt'"},
      {"another key", [](std::vector<DTensorFile>& f) { f[2].key = "v"; }, "rank-files: the file does not hold 'v'"},
      {"the same rank twice",
       [](std::vector<DTensorFile>& f) {
         for (size_t i = 0; i < 3; ++i) f[i].rank = static_cast<int>(i);
         f[1] = f[0];
       },
       "rank-files: 'model_world_size_3_rank_0.pt' and 'model_world_size_3_rank_1.pt' are both of rank 0"},
      {"a larger mesh",
       [](std::vector<DTensorFile>& f) {
         for (auto& file : f) file.mesh = {4};
       },
       "source-parts: the file of rank 3, 'model_world_size_3_rank_3.pt', is not there"},
  };
  for (const Case& one : cases) {
    INFO(one.name);
    std::vector<DTensorFile> files;
    for (int rank = 0; rank < 3; ++rank) files.push_back(rank_file({5, 4}, {3}, rows, rank));
    one.change(files);
    const TempFolder folder;
    for (int rank = 0; rank < 3; ++rank) folder.write(rank_name(rank, 3), files[static_cast<size_t>(rank)].bytes());
    const std::string error = error_of([&] { (void)open_source(folder.path()); });
    INFO(error);
    CHECK(error.starts_with(one.error));
  }
}

TEST_CASE("partial sums are listed and not read") {
  const TempFolder folder;
  for (int rank = 0; rank < 2; ++rank) {
    DTensorFile file = rank_file({4, 4}, {2}, {{"Replicate", 0, 0}}, rank);
    file.placements = {{"Partial", 0, 0}};
    folder.write(rank_name(rank, 2), file.bytes());
  }
  const auto source = open_source(folder.path());
  REQUIRE(source->manifest()[0].unread != nullptr);
  CHECK(contains(source->manifest()[0].unread->why, "partial sums"));
}

TEST_CASE("what every rank holds whole is read once, and has to be the same") {
  const TempFolder folder;
  test::Pickle pickle;
  pickle << "}";
  pickle.text("buffer").tensor({}) << "s";
  const auto archive = [&](const std::string& data) {
    DTensorFile file = rank_file({4, 4}, {2}, {{"Shard", 0, 0}}, data.empty() ? 0 : 1);
    (void)file;
    return test::build_zip({{"archive/data.pkl", pickle.stop()},
                            {"archive/byteorder", "little"},
                            {"archive/data/0", data},
                            {"archive/version", "3\n"}});
  };
  // The optimizer's files beside them are not the model's.
  for (int rank = 0; rank < 2; ++rank) {
    folder.write(rank_name(rank, 2), rank_file({4, 4}, {2}, {{"Shard", 0, 0}}, rank).bytes());
    folder.write(fmt::format("optim_world_size_2_rank_{}.pt", rank),
                 rank_file({4, 4}, {2}, {{"Shard", 0, 0}}, rank).bytes());
    folder.write(fmt::format("extra_state_world_size_2_rank_{}.pt", rank), archive(test::six_floats()));
  }
  const auto source = open_source(folder.path());
  CHECK(source->manifest().size() == 1);
  REQUIRE(!source->notices().empty());
  CHECK(contains(source->notices()[0].message, "optim_world_size_2_rank_0.pt"));
}
