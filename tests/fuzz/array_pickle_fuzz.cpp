// Any bytes are a pickle of arrays, one without, or an Error; the arrays of one that opens can be read to their last
// byte.
#include "formats/array_pickle.h"
#include "fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remap;
  static const OpenOptions options = fuzz::small_limits();
  const fuzz::MemoryFile file({reinterpret_cast<const char*>(data), size});
  try {
    const MappedFile mapped(file.path());
    (void)formats::looks_like_pickle(mapped);
    if (const auto source = formats::open_array_pickle(mapped, options)) fuzz::read_everything(*source);
  } catch (const Error&) {
  }
  return 0;
}
