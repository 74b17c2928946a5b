// Runs a fuzz target over a corpus without libFuzzer, so that every build with every compiler does it as a normal test:
// each file as it is, then N mutations of them, the same ones on every machine.
//
//   NAME_fuzz [--mutations N] [--seed S] FILE_OR_FOLDER…
//
// A target returns for any input: throwing, crashing, taking kMaxBytes of memory or kMaxSeconds is a failure.
// The input that failed is written to failed-NAME in the working directory; give that file to the program to see it
// again.
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define REMAP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REMAP_ASAN 1
#endif
#endif

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

#ifdef REMAP_ASAN
extern "C" void __sanitizer_set_death_callback(void (*callback)());
extern "C" const char* __asan_default_options() { return "max_allocation_size_mb=1024"; }
extern "C" const char* __ubsan_default_options() { return "abort_on_error=1:print_stacktrace=1"; }
#endif

namespace {

constexpr uint64_t kMaxBytes = uint64_t{1} << 30;  // as above
constexpr double kMaxSeconds = 60;  // of processor time: the slowest inputs take a second with sanitizers

using Bytes = std::vector<uint8_t>;

struct Input {
  std::string name;
  Bytes bytes;
};

// The input being run, and the file that it is written to if it fails; kept where a signal handler can reach them.
const Input* current = nullptr;
std::string failed_input;

void write_all(int fd, const void* data, size_t size) {
  const auto* p = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = ::write(fd, p, size);
    if (n <= 0) return;
    p += n;
    size -= static_cast<size_t>(n);
  }
}

void save_current() {
  if (current == nullptr) return;
  const Input& input = *std::exchange(current, nullptr);
  if (FILE* file = std::fopen(failed_input.c_str(), "wb")) {
    std::fwrite(input.bytes.data(), 1, input.bytes.size(), file);
    std::fclose(file);
  }
  const std::string text = "failed on " + input.name + ", written to " + failed_input + "\n";
  write_all(STDERR_FILENO, text.data(), text.size());
}

void on_signal(int number) {
  save_current();
  ::signal(number, SIG_DFL);
  ::raise(number);
}

void watch_for_crashes() {
#ifdef REMAP_ASAN
  __sanitizer_set_death_callback(save_current);
#else
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) ::signal(number, on_signal);
  const rlimit limit{2 * kMaxBytes, 2 * kMaxBytes};  // counts everything: code, stacks, mappings
  ::setrlimit(RLIMIT_AS, &limit);
  ::mallopt(M_ARENA_MAX, 2);  // one for each of many threads would take it
#endif
  ::signal(SIGABRT, on_signal);
}

// One to four small damages. Uses nothing of <random> but the engine: distributions differ between standard libraries.
Bytes mutate(Bytes bytes, const Bytes& other, std::mt19937_64& random) {
  const auto below = [&](size_t n) { return n == 0 ? 0 : static_cast<size_t>(random() % n); };
  const auto at = [&](size_t i) { return bytes.begin() + static_cast<std::ptrdiff_t>(i); };
  static constexpr uint64_t kEdges[] = {
      0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, ~uint64_t{0} >> 1, ~uint64_t{0}};
  for (size_t i = 0, n = 1 + below(4); i < n; ++i) {
    const size_t size = bytes.size();
    const size_t place = below(size);
    const size_t length = std::min(size - place, 1 + below(16));
    switch (below(8)) {
      case 0:  // the file ends early
        bytes.resize(place);
        break;
      case 1:  // a bit flips
        if (size > 0) bytes[place] ^= static_cast<uint8_t>(1u << below(8));
        break;
      case 2:  // a byte is any other
        if (size > 0) bytes[place] = static_cast<uint8_t>(random());
        break;
      case 3: {  // a number is at the edge of its type, of either byte order
        const uint64_t value = kEdges[below(std::size(kEdges))];
        const size_t width = std::min(size - place, size_t{1} << below(4));
        const bool big = below(2) == 1;
        for (size_t b = 0; b < width; ++b)
          bytes[place + b] = static_cast<uint8_t>(value >> (8 * (big ? width - 1 - b : b)));
        break;
      }
      case 4:  // a run is lost
        bytes.erase(at(place), at(place + length));
        break;
      case 5: {  // a run is there twice
        const Bytes run(at(place), at(place + length));
        bytes.insert(at(below(size + 1)), run.begin(), run.end());
        break;
      }
      case 6: {  // a run comes from another file
        const size_t from = below(other.size());
        const size_t count = std::min(other.size() - from, 1 + below(64));
        const auto begin = other.begin() + static_cast<std::ptrdiff_t>(from);
        bytes.insert(at(place), begin, begin + static_cast<std::ptrdiff_t>(count));
        break;
      }
      case 7:  // two bytes change places
        if (size > 0) std::swap(bytes[place], bytes[below(size)]);
        break;
    }
  }
  return bytes;
}

Input read_input(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  return {path.filename().string(), Bytes(std::istreambuf_iterator<char>(in), {})};
}

bool run(const Input& input) {
  current = &input;
  const std::clock_t start = std::clock();
  std::string fault;
  try {
    LLVMFuzzerTestOneInput(input.bytes.data(), input.bytes.size());
  } catch (const std::exception& e) {
    fault = e.what();
  } catch (...) {
    fault = "an exception that is no std::exception";
  }
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  if (fault.empty() && seconds > kMaxSeconds) fault = "took " + std::to_string(seconds) + " s";
  if (!fault.empty()) {
    std::fprintf(stderr, "%s\n", fault.c_str());
    save_current();
  }
  current = nullptr;
  return fault.empty();
}

}  // namespace

int main(int argc, char** argv) try {
  size_t mutations = 0;
  uint64_t seed = 1;
  std::vector<Input> inputs;
  failed_input = "failed-" + std::filesystem::path(argv[0]).filename().string();
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if ((argument == "--mutations" || argument == "--seed") && i + 1 < argc) {
      (argument == "--seed" ? seed : mutations) = std::stoull(argv[++i]);
    } else if (std::filesystem::is_directory(argument)) {
      std::vector<std::filesystem::path> paths;
      for (const auto& entry : std::filesystem::directory_iterator(argument))
        if (entry.is_regular_file()) paths.push_back(entry.path());
      std::sort(paths.begin(), paths.end());
      for (const auto& path : paths) inputs.push_back(read_input(path));
    } else {
      inputs.push_back(read_input(argument));
    }
  }
  if (inputs.empty()) {
    std::fprintf(stderr, "no inputs; usage: %s [--mutations N] [--seed S] FILE_OR_FOLDER...\n", argv[0]);
    return 2;
  }
  watch_for_crashes();
  for (const auto& input : inputs)
    if (!run(input)) return 1;
  std::mt19937_64 random(seed);
  for (size_t n = 0; n < mutations; ++n) {
    const Input& base = inputs[n % inputs.size()];
    const Input& other = inputs[random() % inputs.size()];
    if (!run({"mutation " + std::to_string(n) + " (of " + base.name + ")", mutate(base.bytes, other.bytes, random)}))
      return 1;
  }
  std::printf("%zu inputs, %zu mutations\n", inputs.size(), mutations);
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 2;
}
