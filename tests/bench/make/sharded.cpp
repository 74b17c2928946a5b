#include <cstdio>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "bench/make/make.h"
#include "support/dcp_files.h"

namespace bench {
namespace {

using namespace remap::test;

constexpr int64_t kRows = 1024;

void put(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  if (!file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()))) fail(path.string());
}

std::string random_bytes(int64_t elements, uint64_t& state) {
  std::string data(static_cast<size_t>(elements) * sizeof(float), '\0');
  fill_randomly(reinterpret_cast<float*>(data.data()), static_cast<size_t>(elements), state);
  return data;
}

std::string archive(const std::string& pickle, const std::string& data) {
  return build_zip({{"archive/data.pkl", pickle},
                    {"archive/byteorder", "little"},
                    {"archive/data/0", data},
                    {"archive/version", "3\n"}});
}

}  // namespace

void make_dcp(const std::string& path, const Numbers& numbers) {
  const Numbers n = filled(numbers, {4, 128, 4096});
  const int64_t rows = kRows / n[0];
  std::filesystem::create_directories(path);
  std::vector<DcpTensorSpec> tensors;
  std::vector<DcpItemSpec> items;
  uint64_t state = 1;
  for (int64_t t = 0; t < n[1]; ++t)
    tensors.push_back({fmt::format("layers.{}.weight", t), {static_cast<int>(kRows), static_cast<int>(n[2])}, {}});
  for (int64_t rank = 0; rank < n[0]; ++rank) {
    const std::string name = fmt::format("__{}_0.distcp", rank);
    std::ofstream file(std::filesystem::path(path) / name, std::ios::binary);
    int64_t at = 0;
    for (DcpTensorSpec& tensor : tensors) {
      const std::vector<int> offsets = {static_cast<int>(rank * rows), 0},
                             sizes = {static_cast<int>(rows), static_cast<int>(n[2])};
      Pickle pickle;
      pickle.tensor({.type = "FloatStorage",
                     .key = "0",
                     .elements = sizes[0] * sizes[1],
                     .offset = 0,
                     .shape = sizes,
                     .strides = {sizes[1], 1}});
      const std::string item = archive(pickle.stop(), random_bytes(rows * n[2], state));
      if (!file.write(item.data(), static_cast<std::streamsize>(item.size()))) fail(path + "/" + name);
      tensor.chunks.push_back({offsets, sizes});
      items.push_back({tensor.key, offsets, name, at, static_cast<int64_t>(item.size())});
      at += static_cast<int64_t>(item.size());
    }
  }
  put(std::filesystem::path(path) / ".metadata", DcpMetadataPickle().bytes(tensors, items));
}

void make_zero3(const std::string& path, const Numbers& numbers) {
  const Numbers n = filled(numbers, {4, 128, 4096});
  const std::filesystem::path step = std::filesystem::path(path) / "global_step1";
  std::filesystem::create_directories(step);
  put(std::filesystem::path(path) / "latest", "global_step1");
  uint64_t state = 1;
  for (int64_t rank = 0; rank < n[0]; ++rank) {
    const int64_t each = n[1] * kRows * n[2] / n[0];
    Pickle model, optimizer;
    model << "}(";
    model.text("module") << "}";
    model.text("buffer_names") << "]";
    model.text("shared_params") << "}";
    model.text("global_steps").integer(1);
    model.text("param_shapes") << "]}(";
    for (int64_t t = 0; t < n[1]; ++t)
      model.text(fmt::format("layers.{}.weight", t))
              .global("torch", "Size")
              .tuple({static_cast<int>(kRows), static_cast<int>(n[2])})
          << "\x85R";
    model << "uau";
    const std::string name = fmt::format("zero_pp_rank_{}_mp_rank_00", rank);
    put(step / (name + "_model_states.pt"), archive(model.stop(), ""));
    optimizer << "}(";
    optimizer.text("optimizer_state_dict") << "}(";
    optimizer.text("zero_stage").integer(3).text("partition_count").integer(static_cast<int>(n[0]));
    optimizer.text("fp32_flat_groups") << "]";
    optimizer.tensor({.type = "FloatStorage",
                      .key = "0",
                      .elements = static_cast<int>(each),
                      .offset = 0,
                      .shape = {static_cast<int>(each)},
                      .strides = {1}});
    optimizer << "auu";
    put(step / (name + "_optim_states.pt"), archive(optimizer.stop(), random_bytes(each, state)));
  }
}

}  // namespace bench
