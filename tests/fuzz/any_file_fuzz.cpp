// Any bytes as a file of a kind that nobody named: read by the reader it belongs to, or refused saying what it is.
#include "fuzz/fuzz_input.h"
#include "remap/diagnostic.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remap;
  static const OpenOptions options = fuzz::small_limits();
  const fuzz::MemoryFile file({reinterpret_cast<const char*>(data), size});
  try {
    fuzz::read_everything(*open_source(file.path(), options));
  } catch (const Error&) {
  }
  return 0;
}
