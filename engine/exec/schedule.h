// Hands out work to threads, lowest first, and keeps the error that one thread alone would have met first. Private to
// exec.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "exec/work_list.h"

namespace remap::exec {

// An item to be loaded (`loaded` is null), or a run of copies of one that is.
struct Job {
  size_t item = 0;
  size_t begin = 0, end = 0;  // copies
  std::shared_ptr<const Loaded> loaded;
};

// Every method may be called from any thread.
class Schedule {
 public:
  explicit Schedule(size_t n_items) : n_items_(n_items) {}

  // The next job; waits while other threads may still publish some. nullopt: there is no more for this thread to do.
  std::optional<Job> next();
  // Ends the loading of an item: its copies are shared with all threads in parts. Null: there is nothing (more) to
  // share.
  void loaded(size_t item, std::shared_ptr<const Loaded> loaded, const std::vector<PlannedTensor>& tensors);
  // The job failed: nothing after it is started any more, everything before it still is, since it could fail too.
  void failed(const Job& job, std::exception_ptr error);
  void stop();           // start nothing more
  void rethrow() const;  // the first error in order, if there is one

 private:
  struct Earlier {
    bool operator()(const Job& a, const Job& b) const {
      return std::pair(a.item, a.begin) < std::pair(b.item, b.begin);
    }
  };
  bool is_wanted(size_t item, size_t begin) const { return !stopped_ && std::pair(item, begin) < first_failure_; }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::set<Job, Earlier> parts_;
  size_t n_items_;
  size_t next_item_ = 0;
  size_t n_loading_ = 0;
  bool stopped_ = false;
  std::pair<size_t, size_t> first_failure_{static_cast<size_t>(-1), static_cast<size_t>(-1)};
  std::exception_ptr error_;
};

}  // namespace remap::exec
