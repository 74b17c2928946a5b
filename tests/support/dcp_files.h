// Builds the files of a torch.distributed.checkpoint, and torch files of ranks, as their writers do.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/torch_files.h"

namespace remap::test {

// An archive of torch.save that holds one tensor: the numbers first, first + 1 …
inline std::string tensor_item(const std::vector<int>& shape, int first = 0, const std::string& type = "FloatStorage") {
  int count = 1;
  std::vector<int> strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 0;) {
    strides[d] = count;
    count *= shape[d];
  }
  std::string data;
  for (int i = 0; i < count; ++i) data += little(static_cast<float>(first + i));
  Pickle pickle;
  pickle.tensor({.type = type, .key = "0", .elements = count, .offset = 0, .shape = shape, .strides = strides});
  return build_zip({{"archive/data.pkl", pickle.stop()},
                    {"archive/byteorder", "little"},
                    {"archive/data/0", data},
                    {"archive/version", "3\n"}});
}

// An archive around any pickle: storages "0" to "31", each the numbers 0, 1 … as 32 bits, 256 of them.
inline std::string torch_zip_of_numbers(const std::string& pickle) {
  std::string numbers;
  for (int i = 0; i < 256; ++i) numbers += little(i);
  std::vector<ZipEntry> entries = {{"archive/data.pkl", pickle}, {"archive/byteorder", "little"}};
  for (int i = 0; i < 32; ++i) entries.push_back({"archive/data/" + std::to_string(i), numbers});
  entries.push_back({"archive/version", "3\n"});
  return build_zip(std::move(entries));
}

struct DcpChunkSpec {
  std::vector<int> offsets, sizes;
};
struct DcpTensorSpec {
  std::string key;
  std::vector<int> size;
  std::vector<DcpChunkSpec> chunks;
  std::string dtype = "float32", layout = "torch.strided";
  bool is_tensor = true;
};
struct DcpItemSpec {
  std::string key;
  std::optional<std::vector<int>> offset;  // none: not a tensor
  std::string file;
  int64_t at = 0, length = 0;
  std::vector<std::string> transforms = {};
};

class DcpMetadataPickle {
 public:
  std::string bytes(const std::vector<DcpTensorSpec>& tensors, const std::vector<DcpItemSpec>& items) {
    object("Metadata");
    begin().text("state_dict_metadata") << "}(";
    for (const DcpTensorSpec& tensor : tensors) entry(tensor);
    pickle_ << "u";
    pickle_.text("planner_data") << "N";
    pickle_.text("storage_data") << "}(";
    for (const DcpItemSpec& item : items) place(item);
    pickle_ << "u";
    pickle_.text("version").text("1.0.0");
    end();
    return pickle_.stop();
  }

 private:
  void object(std::string_view name, std::string_view module = "torch.distributed.checkpoint.metadata") {
    pickle_.global(module, name) << ")\x81";
  }
  Pickle& begin() { return pickle_ << "}("; }
  void end() { pickle_ << "ub"; }
  void size(const std::vector<int>& sizes) { pickle_.global("torch", "Size").tuple(sizes) << "\x85R"; }
  void long_integer(int64_t value) { pickle_ << std::string_view("\x8a\x08", 2) << little(value); }
  void entry(const DcpTensorSpec& tensor) {
    pickle_.text(tensor.key);
    if (!tensor.is_tensor) {
      object("BytesStorageMetadata");
      return;
    }
    object("TensorStorageMetadata");
    begin().text("properties");
    object("TensorProperties");
    pickle_ << "(";
    pickle_.global("torch", tensor.dtype).global("torch.serialization", "_get_layout").text(tensor.layout) << "\x85R";
    pickle_ << "\x89";
    pickle_.global("torch.distributed.checkpoint.metadata", "_MEM_FORMAT_ENCODING").integer(0) << "\x85R\x89tb";
    pickle_.text("size");
    size(tensor.size);
    pickle_.text("chunks") << "](";
    for (const DcpChunkSpec& chunk : tensor.chunks) {
      object("ChunkStorageMetadata");
      begin().text("offsets");
      size(chunk.offsets);
      pickle_.text("sizes");
      size(chunk.sizes);
      end();
    }
    pickle_ << "e";
    end();
  }
  void place(const DcpItemSpec& item) {
    object("MetadataIndex");
    begin().text("fqn").text(item.key).text("offset");
    if (item.offset)
      size(*item.offset);
    else
      pickle_ << "N";
    pickle_.text("index").integer(0);
    end();
    object("_StorageInfo", "torch.distributed.checkpoint.filesystem");
    begin().text("relative_path").text(item.file).text("offset");
    long_integer(item.at);
    pickle_.text("length");
    long_integer(item.length);
    if (!item.transforms.empty()) {
      pickle_.text("transform_descriptors") << "](";
      for (const std::string& name : item.transforms) pickle_.text(name);
      pickle_ << "e";
    }
    end();
  }

  Pickle pickle_;
};

// How a DTensor is placed: an axis of the mesh each.
struct PlacementSpec {
  std::string kind = "Shard";
  int dim = 0, split = 0;  // split > 0: _StridedShard
};

// A rank's file with one DTensor of float32: storage "0" has its values, storage "1" the ranks of the mesh.
struct DTensorFile {
  std::string key = "w";
  std::vector<int> size, local;
  std::vector<float> values;
  std::vector<int> mesh;  // sizes of its axes
  std::vector<PlacementSpec> placements;
  std::optional<int> rank = {};  // that the mesh says
  bool old_mesh = false;         // a tensor of the mesh's shape
  std::vector<int> order = {};   // in which the axes cut dimension 0

  std::string bytes() const {
    Pickle p;
    int ranks = 1;
    for (const int n : mesh) ranks *= n;
    const auto strides = [](const std::vector<int>& shape) {
      std::vector<int> out(shape.size(), 1);
      for (size_t d = shape.size(); d-- > 1;) out[d - 1] = out[d] * shape[d];
      return out;
    };
    p << "}";
    p.text(key).global("torch._tensor", "_rebuild_from_type_v2") << "(";
    p.global("torch._utils", "_rebuild_wrapper_subclass").global("torch.distributed.tensor", "DTensor") << "(";
    p.global("torch.distributed.tensor", "DTensor").global("torch", "float32").tuple(size).tuple(strides(size));
    p.integer(0) << "t}(";
    p.text("_local_tensor");
    p.tensor({.type = "FloatStorage",
              .key = "0",
              .elements = static_cast<int>(values.size()),
              .offset = 0,
              .shape = local,
              .strides = strides(local)});
    p.text("_spec").global("torch.distributed.tensor._dtensor_spec", "DTensorSpec") << ")\x81}(";
    p.text("mesh").global("torch.distributed.device_mesh", "DeviceMesh") << ")\x81}(";
    if (old_mesh) {
      p.text("mesh").tensor(
          {.type = "IntStorage", .key = "1", .elements = ranks, .offset = 0, .shape = mesh, .strides = strides(mesh)});
    } else {
      p.text("_rank_map")
          .tensor({.type = "IntStorage", .key = "1", .elements = ranks, .offset = 0, .shape = {ranks}, .strides = {1}});
      p.text("_layout").global("torch.distributed._mesh_layout", "_MeshLayout") << ")\x81}";
      p.text("axes") << "(";
      for (size_t a = 0; a < mesh.size(); ++a) {
        p.global("torch.distributed._mesh_layout", "_FlatLayout") << ")\x81}(";
        p.text("shape").tuple({mesh[a]}).text("stride").tuple({strides(mesh)[a]}) << "ub";
      }
      p << "tsb";
    }
    if (rank) p.text("_rank").integer(*rank);
    p << "ub";
    p.text("placements") << "(";
    for (const PlacementSpec& placement : placements) {
      p.global("torch.distributed.tensor.placement_types", placement.kind) << ")\x81}(";
      if (placement.kind.ends_with("Shard")) p.text("dim").integer(placement.dim);
      if (placement.split > 0) p.text("split_factor").integer(placement.split);
      p << "ub";
    }
    p << "t";
    if (!order.empty()) {
      p.text("shard_order").global("torch.distributed.tensor._dtensor_spec", "ShardOrderEntry") << "(";
      p.integer(0).tuple(order) << "t\x81\x85";
    }
    p << "ubutRs";
    std::string data, map;
    for (const float value : values) data += little(value);
    for (int r = 0; r < ranks; ++r) map += little(r);
    return build_zip({{"archive/data.pkl", p.stop()},
                      {"archive/byteorder", "little"},
                      {"archive/data/0", data},
                      {"archive/data/1", map},
                      {"archive/version", "3\n"}});
  }
};

}  // namespace remap::test
