// Any text as the index of two files: the tensors of the two, or an Error. (Or a list of others, without data: what a
// file is its content says, and a manifest in text may have this name too.)
#include <cstdlib>

#include "fuzz/fuzz_input.h"
#include "remap/diagnostic.h"

namespace {

std::string one_byte(const std::string& key) {
  const std::string header = "{\"" + key + R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  std::string length(8, '\0');
  length[0] = static_cast<char>(header.size());
  return length + header + "x";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remap;
  static const fuzz::Folder folder;
  static const OpenOptions options = fuzz::small_limits();
  folder.write("one", one_byte("a"));
  folder.write("two", one_byte("b"));
  folder.write("model.safetensors.index.json", {reinterpret_cast<const char*>(data), size});
  try {
    const auto source = open_source(folder.path(), options);
    fuzz::read_everything(*source);
    for (const auto& tensor : source->manifest().tensors())
      if (source->has_data() && tensor.key != "a" && tensor.key != "b") std::abort();
  } catch (const Error&) {
  }
  return 0;
}
