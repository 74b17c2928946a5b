#include "exec/check_target.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/parallel_for.h"
#include "base/progress_counter.h"
#include "exec/slice_tensor.h"
#include "remap/compare.h"
#include "remap/execute.h"
#include "remap/sink.h"

namespace remap::exec {
namespace {

// A sink for one tensor at a time; its memory is used again.
class OneTensor : public Sink {
 public:
  TensorPlace place(size_t) const override { return {}; }
  std::byte* memory(size_t) override { return bytes.data(); }
  std::vector<std::byte> bytes;
};

// Rows that are compared together: a few MiB, but not less than what a source has to decode at once.
int64_t rows_at_once(const PlannedTensor& planned, const std::vector<const Source*>& sources) {
  constexpr int64_t kBytes = int64_t{16} << 20;
  const int64_t all = data_bytes(planned);
  if (all <= kBytes) return planned.shape[0];
  int64_t bytes = kBytes;
  for (const Piece& piece : planned.pieces) {
    const Source& source = *sources[piece.source];
    const auto tiles = source.tile_boxes(piece.tensor);
    TileBuffer decoded;
    if (!tiles.empty()) source.load(piece.tensor, 0, decoded);  // stays empty if the tensor is mapped
    bytes = std::max(bytes, static_cast<int64_t>(decoded.size()));
  }
  return std::max<int64_t>(1, bytes / (all / planned.shape[0]));
}

// Whether the planned tensor is all of one source tensor, as it is.
bool is_whole_copy(const PlannedTensor& planned, const TensorInfo& source) {
  const Piece& piece = planned.pieces.front();
  if (planned.pieces.size() != 1 || !planned.filled.empty() || source.unread != nullptr ||
      source.dtype != planned.dtype || source.shape != planned.shape || !piece.target_origin.empty() ||
      !piece.source_origin.empty())
    return false;
  size_t axis = 0;  // those of one element have none
  for (size_t d = 0; d < planned.shape.size(); ++d) {
    const auto dim = static_cast<uint8_t>(d);
    if (planned.shape[d] == 1) continue;
    if (axis == piece.axes.size() || piece.axes[axis++] != Axis{planned.shape[d], 1, 1, dim, dim}) return false;
  }
  return axis == piece.axes.size();
}

// Compares planned tensors with those of the target, by one thread.
class ByteCheck {
 public:
  ByteCheck(const std::vector<const Source*>& sources, const Source& target, ProgressCounter& progress)
      : sources_(sources), target_(target), progress_(progress) {}

  // "" if the target holds what the plan makes.
  std::string fault_of(const PlannedTensor& planned) {
    const size_t index = target_.manifest().find(planned.key);
    if (index == Manifest::npos) return "it is not in the target";
    const TensorInfo& info = target_.manifest()[index];
    if (info.unread != nullptr) return fmt::format("its bytes are not read: it is {}", info.unread->why);
    if (info.dtype != planned.dtype || info.shape != planned.shape)
      return fmt::format("it is {} {}; the plan makes {} {}", name(info.dtype), to_string(info.shape),
                         name(planned.dtype), to_string(planned.shape));
    constexpr const char* kDiffers = "its bytes are not those that the plan takes from the source";
    if (!planned.pieces.empty()) {
      const Piece& piece = planned.pieces.front();
      const Source& source = *sources_[piece.source];
      if (is_whole_copy(planned, source.manifest()[piece.tensor])) {
        const bool equal = tensors_equal(source, piece.tensor, target_, index);
        progress_.add(static_cast<uint64_t>(data_bytes(planned)));
        return equal ? "" : kDiffers;
      }
    }
    const PlannedTensor stored = exec::stored(planned, sources_);
    const Shape& shape = stored.shape;
    Box box{Shape(shape.size(), 0), shape};
    const int64_t n_rows = shape.empty() ? 1 : shape[0],
                  step = shape.empty() || n_rows == 0 ? 1 : rows_at_once(stored, sources_);
    for (int64_t begin = 0; begin < n_rows; begin += step) {
      if (!shape.empty()) box.origin[0] = begin, box.extent[0] = std::min(step, n_rows - begin);
      if (!same(stored, index, box)) return kDiffers;
    }
    return "";
  }

 private:
  bool same(const PlannedTensor& planned, size_t index, const Box& box) {
    const PlannedTensor part = part_of(planned, box, sources_);
    const auto size = static_cast<size_t>(data_bytes(part));
    if (size == 0) return true;
    if (made_.bytes.size() < size) made_.bytes.resize(size), found_.resize(size);
    ExecOptions one_thread;
    one_thread.threads = 1;
    execute({part}, sources_, made_, one_thread);
    read_box(target_, index, box, found_.data(), scratch_);
    progress_.add(size);
    return std::memcmp(made_.bytes.data(), found_.data(), size) == 0;
  }

  const std::vector<const Source*>& sources_;
  const Source& target_;
  ProgressCounter& progress_;
  OneTensor made_;
  std::vector<std::byte> found_;
  TileBuffer scratch_;
};

}  // namespace

std::vector<std::string> target_faults(const std::vector<PlannedTensor>& tensors,
                                       const std::vector<const Source*>& sources, const Source& target,
                                       const ProgressFunction& progress) {
  std::vector<std::string> faults(tensors.size());
  int64_t bytes = 0;
  for (const auto& tensor : tensors) bytes += data_bytes(tensor);
  ProgressCounter counter(progress, static_cast<uint64_t>(bytes));
  parallel_each(faults.size(), bytes, [&] {
    return
        [&, check = ByteCheck(sources, target, counter)](size_t i) mutable { faults[i] = check.fault_of(tensors[i]); };
  });
  counter.finish();
  return faults;
}

}  // namespace remap::exec
