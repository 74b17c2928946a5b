// inflate THREADS FILE...: inflates gzip files into memory with bare libdeflate, to measure what the fastest inflater
// needs for them.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <libdeflate.h>

namespace {

bool inflate(const std::string& path, std::string& packed, std::vector<char>& out) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  packed.resize(static_cast<size_t>(in.tellg()));
  if (!in.seekg(0).read(packed.data(), static_cast<std::streamsize>(packed.size())) || packed.size() < 4) return false;
  uint32_t size = 0;  // gzip ends with it
  std::memcpy(&size, packed.data() + packed.size() - 4, 4);
  if (out.size() < size) out.resize(size);
  const std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor*)> decompressor(
      libdeflate_alloc_decompressor(), libdeflate_free_decompressor);
  size_t got = 0;
  return libdeflate_gzip_decompress(decompressor.get(), packed.data(), packed.size(), out.data(), size, &got) ==
         LIBDEFLATE_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  std::atomic<int> next = 2;
  std::atomic<bool> failed = false;
  std::vector<std::jthread> threads;
  for (int i = 0; i < std::atoi(argv[1]); ++i)
    threads.emplace_back([&] {
      std::string packed;
      std::vector<char> out;
      for (int f; (f = next++) < argc;)
        if (!inflate(argv[f], packed, out)) failed = true;
    });
  threads.clear();
  return failed ? 1 : 0;
}
