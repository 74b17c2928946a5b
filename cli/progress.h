// A progress bar on a terminal: share, bytes a second, time left. Elsewhere nothing: logs stay quiet.
#pragma once

#include <chrono>
#include <cstdint>

namespace cli {

class Progress {
 public:
  explicit Progress(bool quiet);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  void update(uint64_t done_bytes, uint64_t total_bytes);
  void clear();  // the bar makes room for other lines
  bool visible() const { return visible_; }
  double seconds() const;

 private:
  bool visible_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace cli
