#include "cli/terminal.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string_view>

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace cli {
namespace {

constexpr std::string_view kRed = "\033[31m", kGreen = "\033[32m", kYellow = "\033[33m", kBlue = "\033[34m",
                           kDim = "\033[2m", kPlain = "\033[0m";

size_t terminal_height() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

std::string in(std::string_view colour, std::string_view text) { return fmt::format("{}{}{}", colour, text, kPlain); }

std::string painted_diff(std::string_view line) {
  const std::string_view sign = line.substr(0, 2);
  return sign == "- "   ? in(kRed, line)
         : sign == "+ " ? in(kGreen, line)
         : sign == "! " ? in(kYellow, line)
                        : std::string(line);
}

std::string painted_patch(std::string_view line) {
  const bool is_name = line.starts_with("--- ") || line.starts_with("+++ ");
  return is_name                 ? in(kDim, line)
         : line.starts_with('-') ? in(kRed, line)
         : line.starts_with('+') ? in(kGreen, line)
         : line.starts_with('@') ? in(kBlue, line)
                                 : std::string(line);
}

// "KEY  F32 [2,3]  ← SOURCE  rules.yaml:5"
std::string painted_plan(std::string_view line) {
  const size_t arrow = line.find("  ← ");
  if (arrow == std::string_view::npos) return std::string(line);
  const size_t place = line.find_last_of(' ');
  if (place <= arrow + 4) return std::string(line.substr(0, arrow)) + in(kBlue, line.substr(arrow));
  return fmt::format("{}{}{}", line.substr(0, arrow), in(kBlue, line.substr(arrow, place - arrow)),
                     in(kDim, line.substr(place)));
}

std::string painted_finding(std::string_view line) {
  for (const auto& [word, colour] :
       {std::pair("error[", kRed), std::pair("warning[", kYellow), std::pair("note[", kBlue)}) {
    const size_t begin = line.find(word), end = line.find("]: ", begin);
    const bool starts = begin == 0 || (begin != std::string_view::npos && line.substr(begin - 2, 2) == ": ");
    if (starts && end != std::string_view::npos)
      return fmt::format("{}{}{}", line.substr(0, begin), in(colour, line.substr(begin, end + 1 - begin)),
                         line.substr(end + 1));
  }
  const size_t caret = line.find_first_not_of(" |");
  if (caret != std::string_view::npos && line[caret] == '^') return in(kGreen, line);
  return std::string(line);
}

// False if there is no such program.
bool page(const std::string& text) {
  const char* chosen = std::getenv("PAGER");
  const std::string pager = chosen != nullptr && *chosen != '\0' ? chosen : "less";
  if (pager == "cat") return false;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return false;
  ::setenv("LESS", "FRX", 0);  // colours as they are; nothing is left on the screen that fits it
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
  // A pager may come with options; it is what the user wrote into their own environment.
  std::array<const char*, 4> words = {"sh", "-c", pager.c_str(), nullptr};
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, "sh", &actions, nullptr, const_cast<char**>(words.data()), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[0]);
  if (error != 0) return ::close(ends[1]), false;
  const auto before = std::signal(SIGPIPE, SIG_IGN);  // who leaves the pager has seen enough
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(ends[1], text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    done += static_cast<size_t>(n);
  }
  ::close(ends[1]);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  std::signal(SIGPIPE, before);
  return !(WIFEXITED(status) && (WEXITSTATUS(status) == 127 || WEXITSTATUS(status) == 126));
}

}  // namespace

bool is_terminal(std::FILE* stream) {
  const char* term = std::getenv("TERM");
  return ::isatty(::fileno(stream)) == 1 && term != nullptr && std::string_view(term) != "dumb";
}

bool takes_colours(std::FILE* stream) {
  const char* refused = std::getenv("NO_COLOR");
  return (refused == nullptr || *refused == '\0') && is_terminal(stream);
}

std::string painted(const std::string& text, Paint paint) {
  std::string result;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    result += paint == Paint::diff    ? painted_diff(line)
              : paint == Paint::patch ? painted_patch(line)
              : paint == Paint::plan  ? painted_plan(line)
                                      : painted_finding(line);
    if (end < text.size()) result += '\n';
    begin = end + 1;
  }
  return result;
}

void show(const std::string& text, Paint paint) {
  const std::string shown = takes_colours(stdout) ? painted(text, paint) : text;
  const bool is_long = static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) >= terminal_height();
  std::fflush(stdout);
  if (is_terminal(stdout) && ::isatty(STDIN_FILENO) == 1 && is_long && page(shown)) return;
  fmt::print("{}", shown);
}

}  // namespace cli
