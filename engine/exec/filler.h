// Makes parts of target tensors from what lies in place: constants, and sources whose bytes need no decoding. Private
// to exec.
#pragma once

#include <unordered_map>
#include <vector>

#include "exec/blocks.h"
#include "exec/clip.h"
#include "exec/source_runs.h"
#include "remap/source.h"

namespace remap::exec {

// The pieces of a target tensor that touch a run of its elements, found without looking at all of them.
class PieceIndex {
 public:
  explicit PieceIndex(const std::vector<PlannedTensor>& tensors);

  // Calls body(piece) for those that may have elements in the stretch; in the same order every time.
  template <typename Body>
  void for_each(const Stretch& stretch, const Body& body) const {
    const auto& pieces = tensors_[stretch.target].pieces;
    const auto found = reaches_.find(stretch.target);
    if (found == reaches_.end()) {
      for (const Piece& piece : pieces) body(piece);
      return;
    }
    for (size_t i = first_touching(found->second, stretch.begin);
         i < found->second.size() && found->second[i].low < stretch.end; ++i)
      if (found->second[i].high >= stretch.begin) body(pieces[found->second[i].piece]);
  }

 private:
  // The target elements between which a piece lies; `highest`: of it and those before it.
  struct Reach {
    int64_t low = 0, high = 0, highest = 0;
    size_t piece = 0;
  };
  static size_t first_touching(const std::vector<Reach>& reaches, int64_t element);

  const std::vector<PlannedTensor>& tensors_;
  std::unordered_map<size_t, std::vector<Reach>> reaches_;  // of tensors of several pieces, by `low`
};

// One thread's. The tensors, sources and the index must outlive it.
class Filler {
 public:
  // `once`: what is read of files is not left in the page cache.
  Filler(const std::vector<PlannedTensor>& tensors, const std::vector<const Source*>& sources, const PieceIndex& index,
         bool once)
      : tensors_(tensors), sources_(sources), index_(index), once_(once) {}
  ~Filler() { let_go(); }
  Filler(const Filler&) = delete;
  Filler& operator=(const Filler&) = delete;

  // Fills what is in place of stretches that follow each other in a file; `out` is the place of the first one's first
  // element. Returns the bytes filled. Throws Error: what a source reports; "io-read", "io-truncated".
  uint64_t fill(const std::vector<Stretch>& stretches, std::byte* out);

 private:
  struct Range {
    uintptr_t begin = 0, end = 0;
  };
  // A tensor with what load() gave for each of its tiles.
  struct Opened {
    const Source* source = nullptr;
    size_t tensor = 0;
    DType dtype = DType::f32;
    std::vector<Box> tiles;
    std::vector<TileView> views;
    bool is_ahead = false;  // the kernel was told that all of it will be read
  };

  uint64_t fill(const Stretch& stretch, std::byte* out);
  uint64_t fill_constant(const Stretch& stretch, std::byte* out) const;
  // fd < 0: its bytes lie in no file of a source as they are.
  FilePlace place_of(const Stretch& stretch) const;
  uint64_t size_of(const Stretch& stretch) const;
  uint64_t fill_numbers(const FilledPart& part, const Stretch& stretch, const std::vector<int64_t>& strides,
                        std::byte* out) const;
  uint64_t fill_piece(const Piece& piece, const Stretch& stretch, const std::vector<int64_t>& strides, std::byte* out);
  void open(const Source& source, size_t tensor);
  void copy(const TileView& view, const ops::CopyRegion& region, DType to, std::byte* out);
  void cast_from_file(const TileView& view, const ops::CopyRegion& region, DType to, std::byte* out);
  void read_ahead();
  Range pages_of(const TileView& view, const ops::CopyRegion& region) const;
  void touched(const TileView& view, const ops::CopyRegion& region);
  void let_go();

  const std::vector<PlannedTensor>& tensors_;
  const std::vector<const Source*>& sources_;
  const PieceIndex& index_;
  const bool once_;
  Opened opened_;
  TileBuffer unused_;
  std::vector<std::byte> scratch_;
  std::vector<ops::CopyRegion> parts_;
  // Mapped memory that was read and may be resident: where, and about how much.
  std::vector<Range> touched_;
  int64_t touched_bytes_ = 0;
};

}  // namespace remap::exec
