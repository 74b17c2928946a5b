// Runs something in a process of its own and says what it took: what may not crash, hang or fill the test itself.
#pragma once

#include <malloc.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REMAP_SHADOW_MEMORY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define REMAP_SHADOW_MEMORY 1
#endif
#endif

namespace remap::test {

// Sanitizers take address space and memory of their own: nothing is known of what the program itself takes.
#ifdef REMAP_SHADOW_MEMORY
constexpr bool kMeasuresMemory = false;
#else
constexpr bool kMeasuresMemory = true;
#endif

struct ChildResult {
  std::string text;         // what the action returned; "crashed: signal 11", "exit 1" if it did not
  double seconds = 0;       // of processor time
  uint64_t peak_bytes = 0;  // memory beyond that of the start; 0 if it cannot be measured
};

// A line of /proc/self/status, in bytes.
inline uint64_t status_bytes(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(name + ":")) return std::strtoull(line.c_str() + name.size() + 1, nullptr, 10) * 1024;
  return 0;
}

inline double processor_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// `action` returns a string. The child has `max_bytes` of address space beyond what it starts with, and is ended after
// more processor time than any machine needs: that it hangs becomes a failure with a name.
template <typename Action>
ChildResult in_child(Action action, uint64_t max_bytes = uint64_t{2} << 30) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("no pipe");
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) {
    ::close(ends[0]);
    const rlimit time{300, 300};
    ::setrlimit(RLIMIT_CPU, &time);
    const rlimit space{status_bytes("VmSize") + max_bytes, status_bytes("VmSize") + max_bytes};
    if (kMeasuresMemory) ::setrlimit(RLIMIT_AS, &space);
    ::mallopt(M_ARENA_MAX, 2);                    // one for each of many threads would take the address space
    std::ofstream("/proc/self/clear_refs") << 5;  // the peak begins here
    const uint64_t before = status_bytes("VmRSS");
    std::string text;
    try {
      text = action();
    } catch (const std::exception& e) {
      text = std::string("threw ") + e.what();
    }
    const uint64_t peak = status_bytes("VmHWM");
    text = std::to_string(processor_seconds()) + " " + std::to_string(peak > before ? peak - before : 0) + " " + text;
    for (size_t at = 0; at < text.size();) {
      const ssize_t written = ::write(ends[1], text.data() + at, text.size() - at);
      if (written <= 0) break;
      at += static_cast<size_t>(written);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  char buffer[4096];
  for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) said.append(buffer, static_cast<size_t>(n));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return {"crashed: signal " + std::to_string(WTERMSIG(status))};
  if (WEXITSTATUS(status) != 0) return {"exit " + std::to_string(WEXITSTATUS(status))};
  ChildResult result;
  size_t used = 0;
  result.seconds = std::stod(said, &used);
  said.erase(0, used + 1);
  result.peak_bytes = std::stoull(said, &used);
  result.text = said.substr(used + 1);
  return result;
}

}  // namespace remap::test
