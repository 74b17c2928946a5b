// DeepSpeed's and Megatron's folders: what their files have to be to each other. Whole ones are in tests/data/sources;
// here they are damaged, or built by name.
#include "remap/source.h"
#include "support/catch.h"
#include "support/dcp_files.h"
#include "support/source_values.h"
#include "support/temp_folder.h"

#include <functional>

#include <fmt/format.h>

using namespace remap;
using remap::test::contains;
using remap::test::error_of;
using remap::test::TempFolder;
using remap::test::tensor_values;
namespace fs = std::filesystem;

namespace {

const fs::path kSources = fs::path(REMAP_TEST_DATA) / "sources";

// A copy of an item's source that a test changes.
struct Copy {
  TempFolder folder;
  explicit Copy(const std::string& item) {
    fs::copy(kSources / item / "source", folder.path(), fs::copy_options::recursive);
  }
  fs::path in(const std::string& name) const { return fs::path(folder.path()) / name; }
  std::string error() const {
    return error_of([&] { (void)open_source(folder.path()); });
  }
};

struct Damage {
  const char* name;
  const char* item;
  std::function<void(const Copy&)> change;
  const char* error;  // begins so
};

void check(const std::vector<Damage>& cases) {
  for (const Damage& one : cases) {
    INFO(one.name);
    const Copy copy(one.item);
    REQUIRE(copy.error() == "nothing was thrown");
    one.change(copy);
    const std::string error = copy.error();
    INFO(error);
    CHECK(error.starts_with(one.error));
  }
}

const std::string kStep = "global_step2/", kRank0 = "zero_pp_rank_0_mp_rank_00", kRank1 = "zero_pp_rank_1_mp_rank_00";

}  // namespace

TEST_CASE("every way in which DeepSpeed's files do not fit together is said") {
  check({
      {"no rank 1", "deepspeed-zero1-bf16",
       [](const Copy& c) { fs::remove(c.in(kStep + "bf16_" + kRank1 + "_optim_states.pt")); },
       "source-parts: 'bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt' is not there"},
      {"no rank 0", "deepspeed-zero3-bf16",
       [](const Copy& c) { fs::remove(c.in(kStep + "bf16_" + kRank0 + "_optim_states.pt")); },
       "source-parts: 'bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt' is not there"},
      {"no model file", "deepspeed-zero1-bf16",
       [](const Copy& c) { fs::remove(c.in(kStep + "mp_rank_00_model_states.pt")); },
       "deepspeed: there is no '*_model_states.pt'"},
      {"no optimizer file of stage 3", "deepspeed-zero3-bf16",
       [](const Copy& c) {
         for (const auto& name : {kRank0, kRank1}) fs::remove(c.in(kStep + "bf16_" + name + "_optim_states.pt"));
       },
       "deepspeed: there is no '*_optim_states.pt'"},
      {"a third rank", "deepspeed-zero3-bf16",
       [](const Copy& c) {
         fs::copy(c.in(kStep + "bf16_" + kRank1 + "_optim_states.pt"),
                  c.in(kStep + "bf16_zero_pp_rank_2_mp_rank_00_optim_states.pt"));
       },
       "deepspeed: it is one of 2 ranks, by its 'partition_count'; there are files of 3"},
      {"a model file of one rank only", "deepspeed-zero3-bf16",
       [](const Copy& c) { fs::remove(c.in(kStep + kRank1 + "_model_states.pt")); },
       "deepspeed: there are model files of 1 ranks, and optimizer files of 2"},
      {"a model-parallel rank", "deepspeed-zero1-bf16",
       [](const Copy& c) {
         fs::copy(c.in(kStep + "mp_rank_00_model_states.pt"), c.in(kStep + "mp_rank_01_model_states.pt"));
       },
       "deepspeed: 'mp_rank_01_model_states.pt' is of a second model-parallel rank"},
      {"experts", "deepspeed-zero1-bf16",
       [](const Copy& c) {
         fs::copy(c.in(kStep + "mp_rank_00_model_states.pt"),
                  c.in(kStep + "layer_0_expert_0_mp_rank_00_model_states.pt"));
       },
       "deepspeed: 'layer_0_expert_0_mp_rank_00_model_states.pt' holds experts"},
      {"a pipeline", "deepspeed-zero1-bf16",
       [](const Copy& c) {
         fs::copy(c.in(kStep + "mp_rank_00_model_states.pt"), c.in(kStep + "layer_00-model_00-model_states.pt"));
       },
       "deepspeed: 'layer_00-model_00-model_states.pt' is a layer of a pipeline"},
      {"the optimizer of another stage", "deepspeed-zero1-bf16",
       [](const Copy& c) {
         fs::copy(kSources / "deepspeed-zero3-bf16/source" / (kStep + "bf16_" + kRank1 + "_optim_states.pt"),
                  c.in(kStep + "bf16_" + kRank1 + "_optim_states.pt"), fs::copy_options::overwrite_existing);
       },
       "deepspeed: it does not hold 'optimizer_state_dict.single_partition_of_fp32_groups.0'"},
      {"a file of another kind", "deepspeed-zero1-bf16",
       [](const Copy& c) {
         fs::copy(c.in(kStep + "mp_rank_00_model_states.pt"), c.in(kStep + "bf16_" + kRank0 + "_optim_states.pt"),
                  fs::copy_options::overwrite_existing);
       },
       "deepspeed: its 'zero_stage' should be 1, 2 or 3; it is not there"},
      {"latest is empty", "deepspeed-zero0-f32", [](const Copy& c) { c.folder.write("latest", "\n"); },
       "deepspeed: it names '', which is not a folder beside it"},
      {"latest is not text", "deepspeed-zero0-f32", [](const Copy& c) { c.folder.write("latest", "global_step\xff"); },
       "deepspeed: it names 'global_step_', which is not there"},
      {"two steps and no latest", "deepspeed-zero0-f32",
       [](const Copy& c) {
         fs::copy(c.in("global_step2"), c.in("global_step10"), fs::copy_options::recursive);
         fs::remove(c.in("latest"));
       },
       "deepspeed: it holds several checkpoints, 'global_step2' and 'global_step10', and no file 'latest'"},
  });
}

TEST_CASE("buffers of half the width are read as float32, parameters from the flat partitions") {
  const TempFolder folder;
  test::Pickle model;
  model << "}(";
  model.text("module") << "}(";
  model.text("b").tensor(
      {.type = "BFloat16Storage", .key = "0", .elements = 512, .offset = 2, .shape = {2, 3}, .strides = {6, 2}});
  model.text("n").tensor(
      {.type = "LongStorage", .key = "0", .elements = 128, .offset = 0, .shape = {2}, .strides = {1}})
      << "u";
  model.text("buffer_names") << "](";
  model.text("b").text("n") << "e";
  model.text("param_shapes") << "]}(";
  model.text("v").tuple({3}).text("w").tuple({2, 3}) << "uau";
  folder.write("mp_rank_00_model_states.pt", test::torch_zip_of_numbers(model.stop()));
  for (int rank = 0; rank < 2; ++rank) {
    test::Pickle optimizer;
    optimizer << "}";
    optimizer.text("optimizer_state_dict") << "}(";
    optimizer.text("zero_stage").integer(2).text("partition_count") << "]";
    optimizer.integer(2) << "a";
    optimizer.text("single_partition_of_fp32_groups") << "]";
    optimizer.tensor(
        {.type = "FloatStorage", .key = "0", .elements = 256, .offset = 20 * rank, .shape = {6}, .strides = {1}})
        << "aus";
    folder.write(fmt::format("zero_pp_rank_{}_mp_rank_00_optim_states.pt", rank),
                 test::torch_zip_of_numbers(optimizer.stop()));
  }
  const auto source = open_source(folder.path());
  // Storages hold the numbers 0, 1 … as 32 bits: as 16 bits, every second is one of them.
  CHECK(source->manifest()[source->manifest().find("b")].dtype == DType::f32);
  CHECK(tensor_values<uint32_t>(*source, "b") ==
        std::vector<uint32_t>{1u << 16, 2u << 16, 3u << 16, 4u << 16, 5u << 16, 6u << 16});
  CHECK(source->manifest()[source->manifest().find("n")].dtype == DType::i64);
  CHECK(tensor_values<uint32_t>(*source, "v") == std::vector<uint32_t>{0, 1, 2});
  CHECK(tensor_values<uint32_t>(*source, "w") == std::vector<uint32_t>{3, 4, 5, 20, 21, 22});
}

TEST_CASE("shards of Hugging Face's form that are not there are missed") {
  check({
      {"the last part, which nothing tells of", "dcp-hf-sharded-mapped",
       [](const Copy& c) { fs::remove(c.in("shard-00002-model-00001-of-00002.safetensors")); }, "nothing was thrown"},
      {"the first rank", "dcp-hf-sharded-mapped",
       [](const Copy& c) {
         for (const int file : {1, 2})
           fs::remove(c.in(fmt::format("shard-00001-model-0000{}-of-00002.safetensors", file)));
       },
       "source-parts: 'shard-00001-"},
      {"a file of all ranks", "dcp-hf-sharded-mapped",
       [](const Copy& c) {
         for (const int rank : {1, 2})
           fs::remove(c.in(fmt::format("shard-0000{}-model-00002-of-00002.safetensors", rank)));
       },
       "source-parts: 'shard-00001-"},
      {"the first part", "dcp-hf-sharded-mapped",
       [](const Copy& c) { fs::remove(c.in("shard-00001-model-00002-of-00002.safetensors")); },
       "source-tiles: the parts of 'col.weight'"},
  });
}

TEST_CASE("a single step needs no file that names it, and can be given itself") {
  const Copy copy("deepspeed-zero0-f32");
  fs::remove(copy.in("latest"));
  CHECK(copy.error() == "nothing was thrown");
  CHECK(open_source(copy.in("global_step2").string())->manifest().size() == 16);
}

TEST_CASE("every way in which Megatron's folders do not fit together is said") {
  const std::string step = "iter_0000100/", file = "/model_optim_rng.pt";
  check({
      {"no such iteration", "megatron-tp2-pp1",
       [](const Copy& c) { c.folder.write("latest_checkpointed_iteration.txt", "7\n"); },
       "megatron: it names 'iter_0000007', which is not there"},
      {"a path", "megatron-tp2-pp1", [](const Copy& c) { c.folder.write("latest_checkpointed_iteration.txt", "../x"); },
       "megatron: it says '../x', which is neither an iteration nor 'release'"},
      {"no rank 1", "megatron-tp2-pp1", [&](const Copy& c) { fs::remove_all(c.in(step + "mp_rank_01")); },
       "source-parts: 'mp_rank_01' is not there: the tensor-parallel size is 2, the pipeline's 1"},
      {"no file of rank 1", "megatron-tp2-pp1", [&](const Copy& c) { fs::remove(c.in(step + "mp_rank_01" + file)); },
       "source-parts: 'mp_rank_01/model_optim_rng.pt' is not there"},
      {"a third rank", "megatron-tp2-pp1",
       [&](const Copy& c) {
         fs::copy(c.in(step + "mp_rank_01"), c.in(step + "mp_rank_02"), fs::copy_options::recursive);
       },
       "megatron: 'mp_rank_02' is one too many: by 'args'"},
      {"experts", "megatron-tp2-pp1",
       [&](const Copy& c) {
         fs::copy(c.in(step + "mp_rank_01"), c.in(step + "mp_rank_01_000_001"), fs::copy_options::recursive);
       },
       "megatron: 'mp_rank_01_000_001' is of an expert-parallel rank"},
  });
}

namespace {

// A rank's file: tensors of int32 that count from a number on.
struct MegatronTensor {
  std::string key;
  std::vector<int> shape;
  int first = 0;
};
std::string megatron_file(int n_tensor, int n_stages,
                          const std::vector<std::pair<std::string, std::vector<MegatronTensor>>>& models) {
  test::Pickle p;
  p << "}(";
  p.text("args").global("argparse", "Namespace") << ")\x81}(";
  p.text("tensor_model_parallel_size").integer(n_tensor).text("pipeline_model_parallel_size").integer(n_stages);
  p.text("swiglu") << "\x88ub";
  for (const auto& [name, tensors] : models) {
    p.text(name) << "}(";
    for (const MegatronTensor& tensor : tensors) {
      std::vector<int> strides(tensor.shape.size(), 1);
      for (size_t d = strides.size(); d-- > 1;) strides[d - 1] = strides[d] * tensor.shape[d];
      p.text(tensor.key)
          .tensor({.type = "IntStorage",
                   .key = "0",
                   .elements = 256,
                   .offset = tensor.first,
                   .shape = tensor.shape,
                   .strides = strides});
    }
    p << "u";
  }
  p << "u";
  return test::torch_zip_of_numbers(p.stop());
}

}  // namespace

TEST_CASE("Megatron's tensors are joined over ranks, halves and stages") {
  const TempFolder folder;
  for (int t = 0; t < 2; ++t)
    for (int s = 0; s < 2; ++s) {
      std::vector<MegatronTensor> tensors = {
          {"decoder.layers.0.mlp.linear_fc1.weight", {4, 1}, 20 * t + 100 * s},
          {"decoder.layers.0.mlp.linear_fc1.layer_norm_weight", {2}, 9},
          {"decoder.layers.0.mlp.linear_fc2.weight", {2, 2}, 40 + 20 * t},
          {"decoder.layers.0.self_attention.linear_proj.bias", {2}, 5},
      };
      if (s == 0) tensors.push_back({"embedding.word_embeddings.weight", {2, 1}, 7 + 2 * t});
      if (s == 1) tensors.push_back({"output_layer.weight", {2, 1}, 7 + 2 * t});
      folder.write(fmt::format("iter_0000100/mp_rank_0{}_00{}/model_optim_rng.pt", t, s),
                   megatron_file(2, 2, {{"model", tensors}}));
    }
  folder.write("latest_checkpointed_iteration.txt", "100");
  const auto source = open_source(folder.path());
  CHECK(tensor_values<int32_t>(*source, "decoder.layers.0.mlp.linear_fc1.weight") ==
        std::vector<int32_t>{0, 1, 20, 21, 2, 3, 22, 23});
  CHECK(tensor_values<int32_t>(*source, "decoder.layers.1.mlp.linear_fc1.weight") ==
        std::vector<int32_t>{100, 101, 120, 121, 102, 103, 122, 123});
  CHECK(tensor_values<int32_t>(*source, "decoder.layers.0.mlp.linear_fc2.weight") ==
        std::vector<int32_t>{40, 41, 60, 61, 42, 43, 62, 63});
  CHECK(tensor_values<int32_t>(*source, "decoder.layers.1.mlp.linear_fc1.layer_norm_weight") ==
        std::vector<int32_t>{9, 10});
  CHECK(tensor_values<int32_t>(*source, "embedding.word_embeddings.weight") == std::vector<int32_t>{7, 8, 9, 10});
  CHECK(source->manifest().find("output_layer.weight") != Manifest::npos);
}

TEST_CASE("layers of a virtual pipeline count by chunks, then stages") {
  const TempFolder folder;
  for (int s = 0; s < 2; ++s)
    folder.write(fmt::format("mp_rank_00_00{}/model_optim_rng.pt", s),
                 megatron_file(1, 2,
                               {{"model0", {{"decoder.layers.0.w", {1}, s}, {"decoder.layers.1.w", {1}, 10 + s}}},
                                {"model1", {{"decoder.layers.0.w", {1}, 20 + s}}}}));
  const auto source = open_source(folder.path());
  const int expected[] = {0, 10, 1, 11, 20, 21};
  REQUIRE(source->manifest().size() == 6);
  for (int layer = 0; layer < 6; ++layer)
    CHECK(tensor_values<int32_t>(*source, fmt::format("decoder.layers.{}.w", layer)) ==
          std::vector<int32_t>{expected[layer]});
}

TEST_CASE("what Megatron's ranks hold whole has to be the same") {
  const TempFolder folder;
  for (int t = 0; t < 2; ++t)
    folder.write(fmt::format("mp_rank_0{}/model_optim_rng.pt", t),
                 megatron_file(2, 1, {{"model", {{"decoder.final_layernorm.weight", {2}, t}}}}));
  const auto source = open_source(folder.path());
  CHECK(error_of([&] {
          (void)tensor_values<int32_t>(*source, "decoder.final_layernorm.weight");
        }).starts_with("source-replicas: 'decoder.final_layernorm.weight' is whole in every file, but differs"));
}
