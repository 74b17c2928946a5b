// Any pickle inside a torch checkpoint that is otherwise right: a zip archive with its checksums, stored or deflated,
// or a legacy stream (the first byte says which). Tensors are in storage "0", which has six floats.
#include "formats/torch_source.h"
#include "fuzz/fuzz_input.h"
#include "support/torch_files.h"

namespace {

std::string checkpoint_of(uint8_t form, const std::string& pickle) {
  using namespace remap::test;
  switch (form % 3) {
    case 0: return build_torch_zip(pickle);
    case 1: return build_zip(torch_entries(pickle, true));
    default: return build_torch_legacy(pickle, {{"0", 6, six_floats()}}, form < 128);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remap;
  static const OpenOptions options = fuzz::small_limits();
  fuzz::Input input(data, size);
  const uint8_t form = input.byte();
  const fuzz::MemoryFile file(checkpoint_of(form, std::string(input.rest())));
  try {
    fuzz::read_everything(*open_torch(MappedFile(file.path()), options));
  } catch (const Error&) {
  }
  return 0;
}
