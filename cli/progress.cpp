#include "cli/progress.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/terminal.h"
#include "remap/report.h"

namespace cli {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<Progress*> g_shown{nullptr};

std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{}:{:02} min", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02} h", s / 3600, s / 60 % 60, s % 60);
}

int terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

double since(Clock::time_point then) { return std::chrono::duration<double>(Clock::now() - then).count(); }

// "[=====     ]  50 %  1.2 GB of 2.4 GB  900 MB/s  2 s left"
std::string bar_text(uint64_t done, uint64_t total, double elapsed) {
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const double rate = elapsed > 0 ? static_cast<double>(done) / elapsed : 0;
  std::string right = fmt::format(" {:3.0f} %  {} of {}  {}/s", share * 100, remap::human_bytes(done),
                                  remap::human_bytes(total), remap::human_bytes(static_cast<uint64_t>(rate)));
  if (rate > 0 && elapsed > 1) right += fmt::format("  {} left", duration(static_cast<double>(total - done) / rate));
  const int room = terminal_width() - static_cast<int>(right.size()) - 3;
  if (room < 10) return right;
  const auto filled = static_cast<size_t>(share * room);
  return "[" + std::string(filled, '=') + std::string(static_cast<size_t>(room) - filled, ' ') + "]" + right;
}

}  // namespace

Progress::Progress(bool quiet, std::string doing) : visible_(!quiet && is_terminal(stderr)), doing_(std::move(doing)) {
  if (!visible_) return;
  g_shown = this;
  try {
    ticker_ = std::thread([this] { tick(); });
  } catch (const std::system_error&) {  // then only what the work tells is shown
  }
}

Progress::~Progress() {
  if (!visible_) return;
  g_shown = nullptr;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    clear();
  }
  stopped_.notify_all();
  if (ticker_.joinable()) ticker_.join();
}

double Progress::seconds() const { return since(start_); }

void Progress::begin(std::string doing) {
  const std::lock_guard lock(mutex_);
  clear();
  doing_ = std::move(doing);
  done_ = total_ = 0;
  begun_ = Clock::now();
  idle_ = false;
}

void Progress::update(uint64_t done, uint64_t total) {
  if (!visible_) return;
  const std::lock_guard lock(mutex_);
  if (done < done_ || total != total_) begun_ = Clock::now();  // the next of several
  done_ = done;
  total_ = total;
  draw();
}

remap::ProgressFunction Progress::function() {
  return [this](uint64_t done, uint64_t total) { update(done, total); };
}

void Progress::end() {
  const std::lock_guard lock(mutex_);
  clear();
  idle_ = true;
}

void Progress::make_room() {
  Progress* const shown = g_shown;
  if (shown == nullptr) return;
  const std::lock_guard lock(shown->mutex_);
  shown->clear();
}

// Under the lock.
void Progress::draw() {
  constexpr double kWorthALine = 1;  // seconds
  const double elapsed = since(begun_);
  if (idle_ || stop_ || (total_ == 0 && elapsed < kWorthALine)) return;
  // What follows when all bytes are read, such as a search, takes its time too.
  const std::string text = total_ == 0 ? fmt::format("{} … {}", doing_, duration(elapsed))
                           : done_ < total_ || elapsed < kWorthALine
                               ? bar_text(done_, total_, elapsed)
                               : fmt::format("{}: {} … {}", doing_, remap::human_bytes(total_), duration(elapsed));
  fmt::print(stderr, "\r\033[K{}", text);
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::clear() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  drawn_ = false;
}

void Progress::tick() {
  std::unique_lock lock(mutex_);
  while (!stopped_.wait_for(lock, std::chrono::milliseconds(500), [this] { return stop_; })) draw();
}

}  // namespace cli
