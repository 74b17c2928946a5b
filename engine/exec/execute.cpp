#include "remap/execute.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "base/mapped_file.h"
#include "base/progress_counter.h"
#include "exec/blocks.h"
#include "exec/check_plan.h"
#include "exec/filler.h"
#include "exec/open_blocks.h"
#include "exec/slice_tensor.h"
#include "exec/source_runs.h"
#include "exec/tiles.h"
#include "ops/cast.h"
#include "remap/diagnostic.h"

namespace remap {
namespace {

using exec::Block;

uint64_t total_bytes(const std::vector<PlannedTensor>& tensors) {
  uint64_t total = 0;
  for (const PlannedTensor& tensor : tensors) total += static_cast<uint64_t>(data_bytes(tensor));
  return total;
}

class Run {
 public:
  Run(const std::vector<PlannedTensor>& tensors, const std::vector<const Source*>& sources, Sink& sink,
      const ExecOptions& options)
      : tensors_(tensors),
        sources_(sources),
        sink_(sink),
        options_(options),
        blocks_(tensors, sink, options.block_bytes),
        tiles_(tensors, sources, blocks_),
        pieces_(tensors),
        memory_(blocks_.largest_bytes()),
        open_(blocks_, sink, memory_, options.open_bytes),
        once_(total_bytes(tensors) > options.max_cached_bytes.value_or(most_cached_bytes())),
        progress_(options.progress, total_bytes(tensors)),
        is_held_(blocks_.size()) {
    if (sink.shares()) share_runs();
    list_jobs();
    first_failure_ = jobs_.size();
  }

  void execute() {
    const size_t n_threads = options_.threads > 0 ? static_cast<size_t>(options_.threads)
                                                  : std::max(1u, std::thread::hardware_concurrency());
    // jthread joins when destroyed, also when starting a further one fails: then those that run do the work.
    {
      std::vector<std::jthread> helpers;
      try {
        for (size_t i = 1; i < std::min(n_threads, jobs_.size()); ++i) helpers.emplace_back([this] { do_jobs(); });
      } catch (const std::system_error&) {
      }
      do_jobs();
    }
    if (error_) std::rethrow_exception(error_);
    if (is_cancelled()) throw Error("cancelled", {}, "stopped before all tensors were written");
    progress_.finish();
  }

 private:
  // What one thread does at a time: what is in place of a block, or a tile.
  struct Job {
    static constexpr size_t kInPlace = static_cast<size_t>(-1);
    size_t block = 0;
    size_t tile = kInPlace;  // of Tiles::jobs()
  };

  bool is_cancelled() const { return options_.cancel != nullptr && options_.cancel->load(std::memory_order_relaxed); }

  bool has_tiles(const PlannedTensor& tensor) const {
    return std::any_of(tensor.pieces.begin(), tensor.pieces.end(),
                       [&](const Piece& piece) { return !sources_[piece.source]->in_place(piece.tensor); });
  }
  bool has_in_place(const PlannedTensor& tensor) const {
    return tensor.fill || !tensor.filled.empty() ||
           std::any_of(tensor.pieces.begin(), tensor.pieces.end(),
                       [&](const Piece& piece) { return sources_[piece.source]->in_place(piece.tensor); });
  }

  // What the file system shares need not be copied, but for the ends.
  void share_runs() {
    for (const exec::SourceRun& run : exec::source_runs(tensors_, sources_, blocks_)) {
      const auto [begin, end] =
          sink_.share(run.file, run.begin, run.from.fd, run.from.offset_bytes, run.end - run.begin);
      for (size_t b = blocks_.from(run.file, begin); b < blocks_.size(); ++b) {
        const Block& block = blocks_[b];
        if (block.file != run.file || block.end > end) break;
        is_held_[b] = true;
        sink_.finished(block.file, block.begin, block.size(), nullptr);
      }
    }
  }

  // In the order of the files, so that blocks that tiles share are not open for long.
  void list_jobs() {
    std::vector<bool> tiled(tensors_.size()), in_place(tensors_.size());
    for (size_t t = 0; t < tensors_.size(); ++t)
      tiled[t] = has_tiles(tensors_[t]), in_place[t] = has_in_place(tensors_[t]);
    is_shared_.resize(blocks_.size());
    size_t tile = 0;
    for (size_t b = 0; b < blocks_.size(); ++b) {
      const Block& block = blocks_[b];
      is_held_[b] = is_held_[b] || sink_.holds(block.file, block.begin, block.size());
      bool any_in_place = false;
      for (size_t i = block.first; i < block.last; ++i) {
        is_shared_[b] = is_shared_[b] || tiled[blocks_.order()[i]];
        any_in_place = any_in_place || in_place[blocks_.order()[i]];
      }
      if (is_held_[b])
        progress_.add(block.size());
      else if (any_in_place)
        jobs_.push_back({b, Job::kInPlace});
      for (; tile < tiles_.jobs().size() && tiles_.jobs()[tile].block == b; ++tile) jobs_.push_back({b, tile});
    }
  }

  // Jobs are begun in order: when one fails those before it have begun, and end; the first error is thrown.
  void do_jobs() {
    exec::Filler filler(tensors_, sources_, pieces_, once_);
    TileBuffer buffer;
    for (size_t job = next_job_++; job < first_failure_.load(); job = next_job_++) {
      if (is_cancelled()) return;
      try {
        if (jobs_[job].tile == Job::kInPlace)
          fill_block(jobs_[job].block, filler);
        else
          copy_tile(tiles_.jobs()[jobs_[job].tile], buffer);
      } catch (...) {
        const std::lock_guard lock(error_mutex_);
        if (job < first_failure_.load()) first_failure_ = job, error_ = std::current_exception();
      }
    }
  }

  void fill_block(size_t b, exec::Filler& filler) {
    const Block& block = blocks_[b];
    const auto fill = [&](std::byte* out) {
      std::vector<exec::Stretch> stretches;
      for (size_t i = block.first; i < block.last; ++i) stretches.push_back(blocks_.stretch(block, i));
      const uint64_t filled = filler.fill(stretches, out);
      check_bytes();
      progress_.add(filled);
      return filled;
    };
    if (is_shared_[b])
      open_.fill(b, fill);
    else
      make_whole(block, fill);
  }

  // Before a block is given away: what it was made of could be read.
  void check_bytes() const {
    for (const Source* source : sources_) source->check_bytes();
  }

  // A block that one thread fills, at once.
  template <typename Fill>
  void make_whole(const Block& block, const Fill& fill) {
    if (std::byte* const memory = sink_.memory(block.file); memory != nullptr) {
      fill(memory + block.begin);
      return sink_.finished(block.file, block.begin, block.size(), memory + block.begin);
    }
    auto taken = memory_.take();
    std::byte* const bytes = taken.get() + block.lead;
    fill(bytes);
    sink_.write(block.file, block.begin, {bytes, block.size()});
    sink_.finished(block.file, block.begin, block.size(), bytes);
    memory_.give_back(std::move(taken));
  }

  void copy_tile(const exec::TileJob& job, TileBuffer& buffer) {
    const auto uses = tiles_.uses(job);
    if (std::all_of(uses.begin(), uses.end(), [this](const exec::TileUse& use) { return is_held(use); })) return;
    const TileView view = tiles_.load(job, buffer);
    for (const exec::TileUse& use : uses) {
      const ops::CopyRegion region = tiles_.region(job, use, view);
      const size_t last = blocks_.holding(use.target, use.last);
      for (size_t b = blocks_.holding(use.target, use.first); b <= last && !is_cancelled(); ++b)
        if (!is_held_[b]) copy_region(use.target, region, view.data, tiles_.dtype(job), b);
    }
  }

  bool is_held(const exec::TileUse& use) const {
    const size_t last = blocks_.holding(use.target, use.last);
    for (size_t b = blocks_.holding(use.target, use.first); b <= last; ++b)
      if (!is_held_[b]) return false;
    return true;
  }

  // Copies what of a region lies in a block.
  void copy_region(size_t target, const ops::CopyRegion& region, const std::byte* data, DType from, size_t b) {
    const Block& block = blocks_[b];
    const exec::Stretch stretch = blocks_.part(block, target);
    std::vector<ops::CopyRegion> parts;
    ops::clip_target(region, stretch.begin, stretch.end, parts);
    if (parts.empty()) return;
    const DType to = tensors_[target].dtype;
    uint64_t filled = 0;
    for (ops::CopyRegion& part : parts) {
      part.target_offset -= stretch.begin;
      filled += static_cast<uint64_t>(ops::element_count(part) * size_bytes(to));
    }
    const auto fill = [&](std::byte* out) {
      for (const ops::CopyRegion& part : parts)
        ops::strided_cast(out + (stretch.offset_bytes - block.begin), to, data, from, part);
      check_bytes();
      progress_.add(filled);
      return filled;
    };
    if (filled == block.size())
      make_whole(block, fill);
    else
      open_.fill(b, fill);
  }

  const std::vector<PlannedTensor>& tensors_;
  const std::vector<const Source*>& sources_;
  Sink& sink_;
  const ExecOptions& options_;
  exec::Blocks blocks_;
  exec::Tiles tiles_;
  exec::PieceIndex pieces_;
  exec::BlockMemory memory_;
  exec::OpenBlocks open_;
  const bool once_;
  ProgressCounter progress_;
  // Of each block: whether tiles go into it; whether the sink has it from a run before.
  std::vector<bool> is_shared_, is_held_;
  std::vector<Job> jobs_;
  std::atomic<size_t> next_job_ = 0;
  std::atomic<size_t> first_failure_ = 0;  // their number: none
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

}  // namespace

std::vector<const Source*> sources_of(const Plan& plan, const std::vector<NamedSource>& given) {
  std::vector<const Source*> sources;
  for (const auto& wanted : plan.sources)
    for (const auto& named : given)
      if (named.name == wanted.name) sources.push_back(wanted.computing ? wanted.computing.get() : named.source);
  return sources;
}

void execute(const std::vector<PlannedTensor>& tensors, const std::vector<const Source*>& sources, Sink& sink,
             const ExecOptions& options) {
  exec::check_plan(tensors, sources);
  if (std::none_of(tensors.begin(), tensors.end(),
                   [](const PlannedTensor& tensor) { return is_sub_byte(tensor.dtype); }))
    return Run(tensors, sources, sink, options).execute();
  std::vector<PlannedTensor> in_bytes;
  in_bytes.reserve(tensors.size());
  for (const PlannedTensor& tensor : tensors) in_bytes.push_back(exec::stored(tensor, sources));
  Run(in_bytes, sources, sink, options).execute();
}

}  // namespace remap
