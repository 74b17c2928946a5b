// make_checkpoint KIND PATH [NUMBER...]: see make.h for the kinds and their numbers.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>

#include "bench/make/make.h"

namespace bench {

Numbers filled(const Numbers& given, Numbers defaults) {
  for (size_t i = 0; i < given.size() && i < defaults.size(); ++i) defaults[i] = given[i];
  return defaults;
}

void fill_randomly(float* values, size_t count, uint64_t& state) {
  for (size_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    values[i] = static_cast<float>(static_cast<int32_t>(state >> 32)) * 0x1p-36f;
  }
}

void fail(const std::string& what) {
  std::fprintf(stderr, "make_checkpoint: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(2);
}

}  // namespace bench

int main(int argc, char** argv) {
  using namespace bench;
  const std::map<std::string, std::function<void(const std::string&, const Numbers&)>> kinds = {
      {"roberta", make_roberta},
      {"matrices-f32", [](const std::string& path, const Numbers& n) { make_matrices(path, "F32", n); }},
      {"matrices-f16", [](const std::string& path, const Numbers& n) { make_matrices(path, "F16", n); }},
      {"small", make_small},
      {"sparse", make_sparse},
      {"dcp", make_dcp},
      {"zero3", make_zero3},
      {"switch", [](const std::string& path, const Numbers& n) { make_switch(path, false, n); }},
      {"switch-gzip", [](const std::string& path, const Numbers& n) { make_switch(path, true, n); }}};
  const auto kind = argc < 3 ? kinds.end() : kinds.find(argv[1]);
  if (kind == kinds.end()) {
    std::fprintf(stderr, "usage: make_checkpoint KIND PATH [NUMBER...]\nkinds:");
    for (const auto& [name, make] : kinds) std::fprintf(stderr, " %s", name.c_str());
    std::fprintf(stderr, "\n");
    return 2;
  }
  Numbers numbers;
  for (int i = 3; i < argc; ++i) numbers.push_back(std::atoll(argv[i]));
  kind->second(argv[2], numbers);
}
