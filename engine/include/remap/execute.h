// Runs a plan: makes the files of the sink block by block from the pieces of every target tensor, on several threads.
// Same plan, same sources: same bytes, and in case of failure the same Error, whatever the number of threads. What has
// to be decoded is decoded once. Memory is bounded: a block a thread; for sources that have to decode also one tile a
// thread, and `open_bytes` of blocks that tiles still to come belong to.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "remap/plan.h"
#include "remap/progress.h"
#include "remap/sink.h"
#include "remap/source.h"

namespace remap {

struct ExecOptions {
  // Threads that copy; 0: as many as the machine has cores. More than there are cores does not help.
  int threads = 0;
  // Called with the bytes of target data written so far and their total; from one thread at a time, not more than about
  // ten times a second, and once at the end. Must not throw. May be empty.
  ProgressFunction progress;
  // Set to true by another thread (or a signal handler) to stop. May be null.
  const std::atomic<bool>* cancel = nullptr;
  // Files are written in blocks that end at multiples of this (or a little before, where no element ends there). Only
  // a test needs another: with two threads, 512 KiB to 1 MiB copy 1.4 GB in 0.20 s, 4 MiB (beyond the second-level
  // cache) in 0.24 s, cp in 0.43 s (ext4); there is no difference on tmpfs.
  uint64_t block_bytes = uint64_t{1} << 20;
  // Blocks that several tiles fill are kept in memory up to this size; beyond it they are read back and written again.
  uint64_t open_bytes = uint64_t{48} << 20;
  // Where more than this is written, what is read of files does not stay in the page cache, which would lose all else
  // that it holds. Absent: half of the machine's memory.
  std::optional<uint64_t> max_cached_bytes = {};
};

// The sources that a plan names, in its order: what Piece::source indexes. `given` holds all of them.
std::vector<const Source*> sources_of(const Plan& plan, const std::vector<NamedSource>& given);

// Writes all `tensors` into `sink`; Piece::source indexes `sources`. Returns when every byte is written.
// Throws Error: what a source or the sink reports, for the first tensor concerned in the order of the sink's files;
// "cast-unsupported"; "fill-unrepresentable"; "plan-inconsistent" if a piece reaches outside its tensors (checked
// before anything is written); "source-without-data" if a manifest stands in for a source that is read; "cancelled".
void execute(const std::vector<PlannedTensor>& tensors, const std::vector<const Source*>& sources, Sink& sink,
             const ExecOptions& options = {});

}  // namespace remap
