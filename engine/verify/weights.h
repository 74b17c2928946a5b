// The tensors of one checkpoint, read as float32 when a step of a forward pass needs them. Private to the engine.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/progress_counter.h"
#include "layout/key_table.h"
#include "verify/tensor.h"

namespace remap::forward {

// What a step read: a part of a tensor, or tensors joined to one, and how many values had been recorded before.
struct StoredPart {
  size_t source = 0, tensor = 0;
  Box box;
};
// A range of one axis.
struct Range {
  int64_t begin = 0, end = 0;
  size_t axis = 0;
};
struct Load {
  std::vector<StoredPart> parts;
  size_t n_records = 0;
};

// Tensors whose values count as rounded to a dtype, since a conversion rounds them. By source and index.
using Rounding = std::map<std::pair<const Source*, size_t>, DType>;

// The values of a box, as float32.
Tensor read_values(const Source& source, size_t tensor, const Box& box, const Rounding& rounding);

// Not for several threads at once. `sources` must outlive it, and `progress`, which counts the bytes read, if it is not
// null.
class Weights {
 public:
  Weights(const lang::KeySpace& space, const std::vector<NamedSource>& sources, const Rounding& rounding,
          ProgressCounter* progress, Diagnostics& diagnostics)
      : sources_(sources), rounding_(rounding), progress_(progress), keys_(space, sources, diagnostics) {}

  const layout::KeyTable& keys() const { return keys_; }
  const layout::SourceKey* find(const std::string& key) const;

  // A range of an axis, or all of it; in place where it is stored as float32, if it is one run of it. Throws Error
  // "verify-shape".
  Tensor load(const layout::SourceKey& key, std::optional<Range> range);
  // The tensors whose keys differ in the pattern's one hole, in order of what it takes, joined along axis 0 or 1.
  // Throws Error if there are none.
  Tensor load_joined(const lang::KeyPattern& pattern, int64_t axis);

  std::vector<Load> loads;
  size_t n_records = 0;

 private:
  Tensor read(const layout::SourceKey& key, std::optional<Range> range);

  const std::vector<NamedSource>& sources_;
  const Rounding rounding_;
  ProgressCounter* const progress_;
  layout::KeyTable keys_;
  TileBuffer buffer_;
};

}  // namespace remap::forward
