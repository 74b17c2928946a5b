// Runs a plan: copies every piece of every target tensor from its source into the sink, tile by tile, on several
// threads. Same plan, same sources: same bytes, and in case of failure the same Error, whatever the number of threads.
// Memory is bounded by the number of threads times one tile (of a source that has to decode; mapped sources need none).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "remap/plan.h"
#include "remap/sink.h"
#include "remap/source.h"

namespace remap {

struct ExecOptions {
  // Threads that copy; 0: as many as the machine has cores. More than there are cores does not help.
  int threads = 0;
  // Called with the bytes of target data written so far and their total; from one thread at a time, not more than about
  // ten times a second, and once at the end. Must not throw. May be empty.
  std::function<void(uint64_t done_bytes, uint64_t total_bytes)> progress;
  // Set to true by another thread (or a signal handler) to stop. May be null.
  const std::atomic<bool>* cancel = nullptr;
};

// The sources that a plan names, in its order: what Piece::source indexes. `given` holds all of them.
std::vector<const Source*> sources_of(const Plan& plan, const std::vector<NamedSource>& given);

// Writes all `tensors` into `sink`; Piece::source indexes `sources`. Returns when every byte is written.
// Throws Error: what a source or the sink reports, for the first tensor concerned in the order of the plan;
// "cast-unsupported"; "fill-unrepresentable"; "plan-inconsistent" if a piece reaches outside its tensors (checked
// before anything is written); "source-without-data" if a manifest stands in for a source that is read; "cancelled".
void execute(const std::vector<PlannedTensor>& tensors, const std::vector<const Source*>& sources, Sink& sink,
             const ExecOptions& options = {});

}  // namespace remap
