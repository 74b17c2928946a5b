// What a command that takes long is doing, on a terminal: a bar with the share, bytes a second and the time left where
// that is known, else what it does and since when. Elsewhere nothing: logs stay quiet.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "remap/progress.h"

namespace cli {

class Progress {
 public:
  // One at a time. `doing`, "planning", is shown if it takes more than a second.
  Progress(bool quiet, std::string doing);
  ~Progress();
  Progress(const Progress&) = delete;
  void begin(std::string doing);  // something else
  void update(uint64_t done_bytes, uint64_t total_bytes);
  remap::ProgressFunction function();  // update(), for the library; not to be called once this is gone
  // The command prints its result: nothing is shown any more until begin().
  void end();
  bool visible() const { return visible_; }
  double seconds() const;  // since it was made

  // Whatever is shown makes room for other lines; it comes back by itself.
  static void make_room();

 private:
  void draw();
  void clear();
  void tick();

  const bool visible_;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stop_ = false, idle_ = false, drawn_ = false;
  std::string doing_;
  uint64_t done_ = 0, total_ = 0;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point begun_ = start_;  // what it does now
  std::thread ticker_;                                    // last: it uses the others
};

}  // namespace cli
