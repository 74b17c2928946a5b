#include "exec/schedule.h"

namespace remap::exec {

std::optional<Job> Schedule::next() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (!parts_.empty() && is_wanted(parts_.begin()->item, parts_.begin()->begin))
      return std::move(parts_.extract(parts_.begin()).value());
    if (next_item_ < n_items_ && is_wanted(next_item_, 0)) {
      ++n_loading_;
      return Job{next_item_++, 0, 0, nullptr};
    }
    if (n_loading_ == 0 || stopped_) return std::nullopt;
    changed_.wait(lock);
  }
}

void Schedule::loaded(size_t item, std::shared_ptr<const Loaded> loaded, const std::vector<PlannedTensor>& tensors) {
  {
    const std::lock_guard lock(mutex_);
    --n_loading_;
    size_t begin = 0;
    int64_t bytes = 0;
    const size_t n_copies = loaded ? loaded->copies.size() : 0;
    // Small copies are handed out together.
    for (size_t i = 0; i < n_copies; ++i) {
      bytes += ops::element_count(loaded->copies[i].region) * size_bytes(tensors[loaded->copies[i].target].dtype);
      if (bytes < kBlockBytes && i + 1 < n_copies) continue;
      parts_.insert({item, begin, i + 1, loaded});
      begin = i + 1, bytes = 0;
    }
  }
  changed_.notify_all();
}

void Schedule::failed(const Job& job, std::exception_ptr error) {
  {
    const std::lock_guard lock(mutex_);
    if (std::pair(job.item, job.begin) < first_failure_)
      first_failure_ = {job.item, job.begin}, error_ = std::move(error);
  }
  changed_.notify_all();
}

void Schedule::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

void Schedule::rethrow() const {
  const std::lock_guard lock(mutex_);
  if (error_) std::rethrow_exception(error_);
}

}  // namespace remap::exec
