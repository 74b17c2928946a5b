// Parts of tensors in a torch file of one rank: a DTensor (its local tensor, the mesh of ranks, and how the whole is
// placed on it) and a ShardedTensor (its local shards, and where they lie). Nothing here looks at other files.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/torch_tensors.h"
#include "remap/source.h"

namespace remap::formats {

// How one axis of a mesh cuts a tensor: along `dim`, into as many parts as there are ranks. Strided: into `split` parts
// first, each of which is cut so.
struct Placement {
  enum class Kind { shard, replicate } kind = Kind::replicate;
  int64_t dim = 0, split = 1;
};

// The ranks along one axis, as strides of the mesh's list of ranks; an axis that was flattened has several.
struct MeshAxis {
  std::vector<int64_t> sizes, strides;
  int64_t n_ranks() const;
};

struct ShardedTensorPart {
  DType dtype = DType::f32;
  Shape shape;  // of the whole
  struct Local {
    TensorSpec tensor;
    std::optional<Box> box;  // in the whole; of a DTensor it has to be computed
  };
  std::vector<Local> locals;  // of a DTensor: one
  // Of a DTensor.
  bool on_mesh = false;
  std::vector<int64_t> ranks;  // of the mesh, by place
  std::vector<MeshAxis> axes;
  std::vector<Placement> placements;  // one an axis
  std::vector<size_t> order;          // in which the axes cut
  std::optional<int64_t> rank;        // whose file it is, if it says so
  std::string unread = {};            // why it cannot be put together: "partial sums …"
};

// Reads what a wrapper tensor's state says; nullptr: not one of the two, or not in a form that is known.
class TensorDecoder;
std::shared_ptr<const ShardedTensorPart> read_sharded(TensorDecoder& decoder, const PickleMeanings& meanings,
                                                      const TorchContents& contents, std::string_view type,
                                                      PickleRef arguments, PickleRef state);

// The boxes of the whole that the rank's local tensor holds, and where each begins in it. Empty if the rank is not in
// the mesh. `shape` is that of the whole, in stored form. Throws Error "limit-exceeded".
struct LocalBox {
  Box box;
  Shape at;  // in the local tensor
};
struct LocalBoxes {
  bool in_mesh = false;
  Shape shape;  // that the local tensor has to have
  std::vector<LocalBox> boxes;
};
LocalBoxes boxes_of_rank(const ShardedTensorPart& part, const Shape& shape, int64_t rank);

}  // namespace remap::formats
