// A torch.distributed.checkpoint whose files the input gives: as they are; or '.metadata' and archives that are built
// around what the input says, so that offsets and checksums are right; or the safetensors form. Nothing that opens can
// fail otherwise than by an Error.
#include "fuzz/fuzz_input.h"
#include "remap/diagnostic.h"
#include "support/dcp_files.h"

using namespace remap;

namespace {

std::vector<int> sizes(fuzz::Input& input) {
  std::vector<int> out(input.byte() % 4);
  for (int& size : out) size = static_cast<int8_t>(input.byte());
  return out;
}

// Tensors of a few chunks, each with an item of its own; bytes of the input change one or the other.
void write_built(const fuzz::Folder& folder, fuzz::Input& input) {
  std::vector<test::DcpTensorSpec> tensors;
  std::vector<test::DcpItemSpec> items;
  std::string data;
  for (int n = input.byte() % 4; n >= 0 && !input.empty(); --n) {
    test::DcpTensorSpec tensor{.key = std::string(input.text()), .size = sizes(input), .chunks = {}};
    for (char& c : tensor.key) c = static_cast<char>('a' + static_cast<unsigned char>(c) % 26);
    for (int chunk = input.byte() % 4; chunk > 0; --chunk) {
      tensor.chunks.push_back({sizes(input), sizes(input)});
      const uint8_t change = input.byte();
      const std::string archive = change & 1 ? test::build_torch_zip(std::string(input.long_text()))
                                             : test::tensor_item(tensor.chunks.back().sizes);
      items.push_back({tensor.key, tensor.chunks.back().offsets, "__0_0.distcp", static_cast<int64_t>(data.size()),
                       static_cast<int64_t>(archive.size())});
      if (change & 2) items.back().length += static_cast<int8_t>(input.byte());
      if (change & 4) items.back().at = static_cast<int32_t>(input.word());
      if (change & 8) items.back().transforms = {"stream.zstd/1"};
      if (change & 16) items.back().offset.reset();
      data += archive;
    }
    if (input.byte() & 1) tensor.dtype = std::string(input.text());
    for (char& c : tensor.dtype)
      if (c == '\n') c = '_';
    tensors.push_back(std::move(tensor));
  }
  folder.write(".metadata", test::DcpMetadataPickle().bytes(tensors, items));
  folder.write("__0_0.distcp", data);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  static const OpenOptions options = fuzz::small_limits();
  folder.clear();
  fuzz::Input input(data, size);
  switch (input.byte() % 4) {
    case 0:
      folder.write(".metadata", input.long_text());
      folder.write("__0_0.distcp", input.long_text());
      folder.write("__1_0.distcp", input.rest());
      break;
    case 1:
      folder.write("__0.metadata", input.long_text());
      folder.write("__1.metadata", input.long_text());
      folder.write("__0_0.distcp", input.long_text());
      folder.write("__1_0.distcp", input.rest());
      break;
    case 2:
      folder.write("shard-00001-model-00001-of-00001.safetensors", input.long_text());
      folder.write("shard-00002-model-00001-of-00001.safetensors", input.rest());
      break;
    default: write_built(folder, input);
  }
  try {
    fuzz::read_everything(*open_source(folder.path(), options));
  } catch (const Error&) {
  }
  return 0;
}
