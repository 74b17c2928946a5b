// Any bytes are an array or an archive of arrays of numpy's, or an Error; the arrays of one that opens can be read to
// their last byte.
#include "formats/numpy_source.h"
#include "fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remap;
  static const OpenOptions options = fuzz::small_limits();
  const fuzz::MemoryFile file({reinterpret_cast<const char*>(data), size});
  try {
    MappedFile mapped(file.path());
    if (formats::looks_like_npz(mapped.bytes()))
      fuzz::read_everything(*formats::open_npz(std::move(mapped), options));
    else
      fuzz::read_everything(*formats::open_npy(std::move(mapped), options));
  } catch (const Error&) {
  }
  return 0;
}
