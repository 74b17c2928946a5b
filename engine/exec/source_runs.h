// Target tensors whose bytes lie in a file of a source as they are. Private to exec and convert.
#pragma once

#include <optional>
#include <vector>

#include "exec/blocks.h"
#include "remap/source.h"

namespace remap::exec {

// Where the bytes of a planned tensor are, in one run.
struct FilePlace {
  int fd = -1;
  uint64_t offset_bytes = 0;
};
std::optional<FilePlace> place_in_source(const PlannedTensor& tensor, const std::vector<const Source*>& sources);

// Bytes [begin, end) of a file of the sink that are those of a source's file from `from` on.
struct SourceRun {
  size_t file = 0;
  uint64_t begin = 0, end = 0;
  FilePlace from;
};

// In the order of the sink's files; tensors that follow each other on both sides are one run.
std::vector<SourceRun> source_runs(const std::vector<PlannedTensor>& tensors, const std::vector<const Source*>& sources,
                                   const Blocks& blocks);

}  // namespace remap::exec
