#include "cli/progress.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "remap/report.h"

namespace cli {
namespace {

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

}  // namespace

Progress::Progress(bool quiet) {
  const char* term = std::getenv("TERM");
  visible_ = !quiet && ::isatty(STDERR_FILENO) == 1 && (term == nullptr || std::string(term) != "dumb");
}

double Progress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Progress::update(uint64_t done, uint64_t total) {
  if (!visible_ || total == 0) return;
  const double share = static_cast<double>(done) / static_cast<double>(total), elapsed = seconds();
  const double rate = elapsed > 0 ? static_cast<double>(done) / elapsed : 0;
  std::string right = fmt::format(" {:3.0f} %  {} of {}  {}/s", share * 100, remap::human_bytes(done),
                                  remap::human_bytes(total), remap::human_bytes(static_cast<uint64_t>(rate)));
  if (rate > 0 && elapsed > 1) right += fmt::format("  {} left", duration(static_cast<double>(total - done) / rate));
  const int room = terminal_width() - static_cast<int>(right.size()) - 3;
  std::string bar;
  if (room >= 10) {
    const auto filled = static_cast<size_t>(share * room);
    bar = "[" + std::string(filled, '=') + std::string(static_cast<size_t>(room) - filled, ' ') + "]";
  }
  fmt::print(stderr, "\r\033[K{}{}", bar, right);
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::clear() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace cli
