// Any bytes are a torch checkpoint, zip or legacy, or an Error; the tensors of one that opens can be read to their last
// byte.
#include "formats/torch_source.h"
#include "fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remap;
  static const OpenOptions options = fuzz::small_limits();
  const fuzz::MemoryFile file({reinterpret_cast<const char*>(data), size});
  try {
    MappedFile mapped(file.path());
    (void)looks_like_torch(mapped);
    fuzz::read_everything(*open_torch(std::move(mapped), options));
  } catch (const Error&) {
  }
  return 0;
}
