// Any bytes are a GGUF file, or an Error; the tensors of one that opens can be read to their last byte.
#include "formats/gguf_source.h"
#include "fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remap;
  static const OpenOptions options = fuzz::small_limits();
  const fuzz::MemoryFile file({reinterpret_cast<const char*>(data), size});
  try {
    fuzz::read_everything(*formats::open_gguf(MappedFile(file.path()), options));
  } catch (const Error&) {
  }
  return 0;
}
