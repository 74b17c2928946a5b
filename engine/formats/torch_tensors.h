// Tensors as a pickle describes them: arguments of torch's rebuild functions and numpy's arrays, checked against the
// bytes there are.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "formats/pickle_known.h"
#include "formats/torch_contents.h"
#include "remap/manifest.h"
#include "remap/source.h"

namespace remap::formats {

// Every element of the tensor lies inside its storage.
struct TensorSpec {
  DType dtype = DType::f32;
  Shape shape;
  std::vector<int64_t> strides;  // of its stored form, elements, >= 0
  uint32_t storage = 0;          // index into TorchContents::storages
  uint64_t offset_bytes = 0;     // of the first element, in the storage
  bool array = false;            // numpy's: its numbers stand in the pickle
  // torch's lazy views: the values are these of the bytes once the sign of the imaginary part, or of all parts, is
  // changed.
  bool conjugate = false, negative = false;
  bool big_endian = false;  // the bytes of each number are turned round when they are read
  // Whether the values are not those of the bytes as they lie.
  bool is_changed() const { return conjugate || negative || big_endian; }
  bool operator==(const TensorSpec&) const = default;
};

// Where the tensor lies: in the file or in memory. Its storage is not packed.
TileView stored_view(const TorchContents& contents, const TensorSpec& spec);

struct ShardedTensorPart;  // torch_sharded.h

// A tensor of a kind that is not read, and what it says of itself. It stands for all that it is made of.
struct UnreadableTensor {
  std::string why;         // "a sparse tensor"
  std::string dtype = {};  // "qint8"; "" if it is not known
  std::optional<Shape> shape = {};
  std::shared_ptr<const ShardedTensorPart> part = {};  // if it is a part of a tensor that other files have the rest of
};

using DecodedTensor = std::variant<TensorSpec, UnreadableTensor>;

class TensorDecoder {
 public:
  // Arrays inside the pickle become further storages of `contents`.
  TensorDecoder(TorchContents& contents, const PickleMeanings& meanings, const Limits& limits)
      : contents_(contents), meanings_(meanings), limits_(limits) {}

  // `tensor` has the meaning `tensor`, or is a storage that stands alone. Throws "torch-bad-tensor",
  // "torch-bad-storage", "torch-unknown-storage", "limit-exceeded".
  DecodedTensor decode(const PickleView& tensor) { return decode(tensor, 0); }

 private:
  [[noreturn]] void fail(const char* id, const std::string& message) const;
  DecodedTensor decode(const PickleView& tensor, int depth);  // `depth`: of tensors made of tensors
  DecodedTensor decode_from_type(const PickleObject& object, int depth);
  DecodedTensor decode_cast(const std::vector<PickleRef>& arguments, int depth);
  DecodedTensor rounded(const TensorSpec& spec);
  DecodedTensor decode_torch(const KnownRow& row, const std::vector<PickleRef>& arguments);
  DecodedTensor decode_array(const PickleObject& object, const KnownRow& row);
  DecodedTensor decode_scalar(const PickleObject& object);
  void keep_bytes(TensorSpec& spec, PickleRef ref, std::string_view bytes, bool big_endian);
  UnreadableTensor unreadable(const KnownRow& row, const std::vector<PickleRef>& arguments, std::string why) const;
  UnreadableTensor sparse(const std::vector<PickleRef>& arguments) const;
  std::optional<Shape> known_shape(PickleRef ref) const;
  std::string known_dtype(PickleRef ref) const;
  std::string dtype_of_parts(const std::vector<PickleRef>& parts, size_t i) const;
  Shape read_shape(PickleRef ref, std::string_view what) const;
  int64_t read_count(PickleRef ref, std::string_view what) const;
  bool is_set(PickleRef metadata, std::string_view name) const;
  std::optional<std::string_view> array_bytes(PickleRef ref);
  std::string_view swapped(PickleRef ref, std::string_view bytes, int width);
  int64_t check_shape(const TensorSpec& spec) const;
  uint64_t last_element(const Shape& shape, const std::vector<int64_t>& strides, uint64_t offset) const;
  // The storage's index, and the bytes of it that are meant.
  struct Part {
    uint32_t storage;
    uint64_t offset_bytes, size_bytes;
  };
  Part find_part(const StorageId& id) const;

  TorchContents& contents_;
  const PickleMeanings& meanings_;
  const Limits& limits_;
  std::unordered_map<PickleRef, std::optional<std::string_view>>
      array_bytes_;                                                // decoded once, however many arrays use them
  std::map<std::pair<PickleRef, int>, std::string_view> swapped_;  // with the bytes of each number turned round
  std::unordered_map<PickleRef, DecodedTensor> cast_from_, cast_;  // what torch casts, and that as BF16
  uint64_t offset_ = 0;                                            // of the tensor in question, in the pickle
};

}  // namespace remap::formats
