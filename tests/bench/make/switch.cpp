#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <libdeflate.h>
#include <msgpack.hpp>

#include "bench/make/make.h"

namespace bench {
namespace {

using Shape = std::vector<int64_t>;

struct Array {
  std::string key;  // with '/'
  Shape shape;
  Shape chunks;
};

std::vector<Array> arrays_of(int64_t experts, int64_t layers, int64_t d_model, int64_t d_ff) {
  constexpr int64_t kVocab = 32128, kHeads = 12, kBuckets = 32, kExpertsInChunk = 4;
  std::vector<Array> arrays;
  // As T5X cuts: no chunk of more than 64 MiB.
  const auto add = [&](const std::string& key, const Shape& shape) {
    Shape chunk = shape;
    while (chunk[0] % 2 == 0 && chunk[0] * (shape.size() > 1 ? shape[1] : 1) > (16 << 20)) chunk[0] /= 2;
    arrays.push_back({key, shape, chunk});
  };
  const auto add_attention = [&](const std::string& prefix) {
    for (const char* name : {"query", "key", "value", "out"}) add(prefix + "/" + name + "/kernel", {d_model, d_model});
  };
  add("token_embedder/embedding", {kVocab, d_model});
  for (const std::string side : {"encoder", "decoder"}) {
    add(side + "/relpos_bias/rel_embedding", {kHeads, kBuckets});
    add(side + "/" + side + "_norm/scale", {d_model});
    for (int64_t i = 0; i < layers; ++i) {
      const std::string layer = fmt::format("{}/layers_{}/", side, i);
      const std::string attention = side == "encoder" ? "attention" : "self_attention";
      add(layer + "pre_" + attention + "_layer_norm/scale", {d_model});
      add_attention(layer + attention);
      if (side == "decoder") {
        add(layer + "pre_cross_attention_layer_norm/scale", {d_model});
        add_attention(layer + "encoder_decoder_attention");
      }
      add(layer + "pre_mlp_layer_norm/scale", {d_model});
      if (i % 2 == 0) {
        add(layer + "mlp/wi/kernel", {d_model, d_ff});
        add(layer + "mlp/wo/kernel", {d_ff, d_model});
        continue;
      }
      add(layer + "mlp/router/router_weights/w/kernel", {d_model, experts});
      const int64_t chunk = std::min(experts, kExpertsInChunk);
      arrays.push_back({layer + "mlp/expert/wi/kernel", {experts, d_model, d_ff}, {chunk, d_model, d_ff}});
      arrays.push_back({layer + "mlp/expert/wo/kernel", {experts, d_ff, d_model}, {chunk, d_ff, d_model}});
    }
  }
  return arrays;
}

std::string folder_of(const Array& array) {
  std::string name = "target/" + array.key;
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

void write_file(const std::filesystem::path& path, const void* data, size_t size) {
  std::ofstream out(path, std::ios::binary);
  if (!out.write(static_cast<const char*>(data), static_cast<std::streamsize>(size)).flush()) fail(path.string());
}

// Only the first axis is cut.
void write_chunk(const std::filesystem::path& folder, const Array& array, int64_t chunk, bool gzip) {
  std::string name = std::to_string(chunk);
  size_t count = static_cast<size_t>(array.chunks[0]);
  for (size_t d = 1; d < array.shape.size(); ++d) {
    name += ".0";
    count *= static_cast<size_t>(array.chunks[d]);
  }
  std::vector<float> values(count);
  uint64_t state = std::hash<std::string>()(array.key) + static_cast<uint64_t>(chunk);
  fill_randomly(values.data(), count, state);
  if (!gzip) return write_file(folder / name, values.data(), count * sizeof(float));
  const std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)> compressor(
      libdeflate_alloc_compressor(1), libdeflate_free_compressor);
  std::vector<char> packed(libdeflate_gzip_compress_bound(compressor.get(), count * sizeof(float)));
  packed.resize(
      libdeflate_gzip_compress(compressor.get(), values.data(), count * sizeof(float), packed.data(), packed.size()));
  write_file(folder / name, packed.data(), packed.size());
}

void write_array(const std::filesystem::path& root, const Array& array, bool gzip) {
  const auto folder = root / folder_of(array);
  std::filesystem::create_directories(folder);
  const std::string zarray = fmt::format(
      R"({{"chunks":[{}],"compressor":{},"dimension_separator":".","dtype":"<f4","fill_value":null,"filters":null,)"
      R"("order":"C","shape":[{}],"zarr_format":2}})",
      fmt::join(array.chunks, ","), gzip ? R"({"id":"gzip","level":1})" : "null", fmt::join(array.shape, ","));
  write_file(folder / ".zarray", zarray.data(), zarray.size());
  for (int64_t chunk = 0; chunk < array.shape[0] / array.chunks[0]; ++chunk) write_chunk(folder, array, chunk, gzip);
}

using Packer = msgpack::packer<msgpack::sbuffer>;

void pack_array(Packer& out, const Array& array, bool gzip) {
  out.pack_map(4);
  out.pack("driver"), out.pack("zarr");
  out.pack("dtype"), out.pack("float32");
  out.pack("kvstore"), out.pack_map(2);
  out.pack("driver"), out.pack("file"), out.pack("path"), out.pack(folder_of(array) + "/");
  out.pack("metadata"), out.pack_map(3);
  out.pack("chunks"), out.pack(array.chunks);
  out.pack("compressor");
  if (gzip)
    out.pack(std::map<std::string, std::string>{{"id", "gzip"}});
  else
    out.pack_nil();
  out.pack("shape"), out.pack(array.shape);
}

struct Tree {
  const Array* array = nullptr;
  std::map<std::string, Tree> children;
};

void pack(Packer& out, const Tree& tree, bool gzip) {
  if (tree.array != nullptr) return pack_array(out, *tree.array, gzip);
  out.pack_map(static_cast<uint32_t>(tree.children.size()));
  for (const auto& [name, child] : tree.children) out.pack(name), pack(out, child, gzip);
}

void write_index(const std::filesystem::path& root, const std::vector<Array>& arrays, bool gzip) {
  Tree tree;
  for (const Array& array : arrays) {
    Tree* at = &tree;
    for (const auto& part : std::filesystem::path("optimizer/target/" + array.key)) at = &at->children[part.string()];
    at->array = &array;
  }
  msgpack::sbuffer buffer;
  Packer out(buffer);
  out.pack_map(2);
  out.pack("version"), out.pack(3);
  out.pack("optimizer"), pack(out, tree.children.at("optimizer"), gzip);
  write_file(root / "checkpoint", buffer.data(), buffer.size());
}

}  // namespace

void make_switch(const std::string& path, bool gzip, const Numbers& numbers) {
  const Numbers n = filled(numbers, {64, 4, 768, 3072});
  const auto arrays = arrays_of(n[0], n[1], n[2], n[3]);
  std::filesystem::create_directories(path);
  std::atomic<size_t> next = 0;
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i)
    threads.emplace_back([&] {
      for (size_t a; (a = next++) < arrays.size();) write_array(path, arrays[a], gzip);
    });
  threads.clear();
  write_index(path, arrays, gzip);
}

}  // namespace bench
