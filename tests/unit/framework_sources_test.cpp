// Checkpoints of several formats, written by the original libraries: every tensor, bit for bit.
#include "base/sha256.h"
#include "formats/ocdbt.h"
#include "support/catch.h"
#include "support/source_values.h"
#include "support/temp_folder.h"

#include <algorithm>

#include <fmt/format.h>

using namespace remap;
using namespace remap::test;

namespace {

namespace fs = std::filesystem;

const fs::path kData = REMAP_TEST_DATA;

// Lines of "key, dtype, shape, SHA-256 of the bytes ('-': not read)", sorted.
std::vector<std::string> lines_of(const fs::path& file) {
  std::vector<std::string> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  std::sort(lines.begin(), lines.end());
  return lines;
}

std::string hash_of(const std::byte* bytes, size_t size) {
  return sha256(std::string_view(reinterpret_cast<const char*>(bytes), size));
}

std::vector<std::string> lines_of(const Source& source) {
  std::vector<std::string> lines;
  for (const auto& tensor : source.manifest().tensors()) {
    std::string sum = "-";
    if (tensor.unread == nullptr) {
      const auto bytes = tensor_bytes(source, tensor.key);
      sum = hash_of(bytes.data(), bytes.size());
    }
    lines.push_back(fmt::format("{}\t{}\t{}\t{}", tensor.key, dtype_text(tensor), shape_text(tensor), sum));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace

TEST_CASE("every tensor is what the library read that wrote the checkpoint") {
  struct Row {
    const char *path, *format, *tensors;
  };
  const Row rows[] = {
      {"tensorflow/dtypes", "tensorflow", "tensorflow/dtypes.model.ckpt.tsv"},
      {"tensorflow/saver/model.ckpt-2", "tensorflow", "tensorflow/saver.model.ckpt-2.tsv"},
      {"tensorflow/saver", "tensorflow", "tensorflow/saver.model.ckpt-3.tsv"},
      {"tensorflow/shards/model.ckpt-100.index", "tensorflow", "tensorflow/shards.model.ckpt-100.tsv"},
      {"tensorflow/shards2", "tensorflow", "tensorflow/shards2.two.ckpt.tsv"},
      {"tensorflow/tf2-object-graph/ckpt-1.index", "tensorflow", "tensorflow/tf2-object-graph.ckpt-1.tsv"},
      {"tensorflow/tf2-object-graph", "tensorflow", "tensorflow/tf2-object-graph.ckpt-2.tsv"},
      {"tensorflow/v1-format", "tensorflow", "tensorflow/v1-format.old.ckpt.tsv"},
      {"arrays/gemma/checkpoint", "orbax", "arrays/gemma.tsv"},
      {"arrays/maxtext", "orbax", "arrays/maxtext.tsv"},
      {"arrays/maxtext/7/items/manifest.ocdbt", "orbax", "arrays/maxtext.tsv"},
      {"arrays/orbax0.12-leaves", "orbax", "arrays/orbax0.12-leaves.tsv"},
      {"arrays/orbax0.12-mixed-zarr3", "orbax", "arrays/orbax0.12-mixed-zarr3.tsv"},
      {"arrays/orbax0.5-leaves/checkpoint", "orbax", "arrays/orbax0.5-leaves.tsv"},
      {"arrays/orbax0.5-mixed", "orbax", "arrays/orbax0.5-mixed.tsv"},
      {"arrays/pi0", "orbax", "arrays/pi0.tsv"},
      {"arrays/pi0/30000", "orbax", "arrays/pi0.tsv"},
      {"arrays/processes/checkpoint", "t5x", "arrays/processes.tsv"},
      {"arrays/zarr", "zarr", "arrays/zarr.tsv"},
  };
  for (const Row& row : rows) {
    INFO(row.path);
    const auto source = open_source((kData / row.path).string());
    CHECK(source->format() == row.format);
    CHECK(lines_of(*source) == lines_of(kData / row.tensors));
  }
}

TEST_CASE("every value of a database is what the library read that wrote it") {
  for (const char* name : {"kv-emptied", "kv-merged", "kv-numbered", "kv-tiny-nodes"}) {
    INFO(name);
    const formats::OcdbtDatabase database((kData / "arrays" / name).string(), {});
    std::vector<std::string> lines;
    for (size_t i = 0; i < database.size(); ++i) {
      const std::string key(database.key(i));
      const auto value = database.find(key);
      REQUIRE(value);
      std::string hex;
      for (const char c : key) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
      lines.push_back(
          fmt::format("{}\t{}\t{}", hex, value->bytes.size(), hash_of(value->bytes.data(), value->bytes.size())));
    }
    std::sort(lines.begin(), lines.end());
    CHECK(lines == lines_of(kData / "arrays" / (std::string(name) + ".keys.tsv")));
    CHECK_FALSE(database.contains("not a key"));
  }
}

TEST_CASE("one train state has the same tensors as zarr folders and in a database") {
  OpenOptions target;
  target.subtree = "target";
  const auto folders = open_source((kData / "switch/source/checkpoint_1200").string(), target);
  const auto expected = lines_of(*folders);
  CHECK(expected.size() == 66);
  for (const char* path : {"", "/state", "/state/checkpoint", "/state/manifest.ocdbt"}) {
    INFO(path);
    const auto database = open_source((kData / "switch/source-ocdbt/checkpoint_1200").string() + path, target);
    CHECK(database->format() == "t5x");
    CHECK(lines_of(*database) == expected);
  }
}
