// An OCDBT database with a few nodes, whose envelopes and checksums the target makes; what is inside of them is the
// input's, or a tree that leads to what is.
#include "support/ocdbt_files.h"

#include "fuzz/fuzz_input.h"

using namespace remap;

namespace {

namespace db = test::ocdbt;

constexpr size_t kNodes = 4;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  static const OpenOptions options = fuzz::small_limits();
  fuzz::Input input(data, size);
  const uint8_t form = input.byte(), height = input.byte() % 4;
  const std::string_view own_manifest = input.long_text(), tree = input.long_text();
  std::vector<std::string> nodes;
  std::vector<db::FileName> names;
  folder.clear();
  for (size_t i = 0; i < kNodes; ++i) {
    const std::string body(i + 1 < kNodes ? input.long_text() : input.rest());
    const uint64_t method = (form >> i) & 1;
    nodes.push_back(form & 0x80 ? body : db::sealed(body, {db::kNode, 0, method}));
    names.push_back({"n" + std::to_string(i)});
    folder.write(names.back().path, nodes.back());
  }
  // The root: a node of the input's, or one above all of them.
  size_t root = 0;
  if (form & 0x10) {
    std::vector<db::Child> children;
    for (size_t i = 0; i < kNodes; ++i)
      children.push_back({std::string(1, static_cast<char>('a' + i)), 0, {i, 0, nodes[i].size()}});
    nodes.push_back(db::sealed(db::interior_body(static_cast<uint8_t>(height + 1), children, names), {db::kNode}));
    names.push_back({"root"});
    folder.write("root", nodes.back());
    root = kNodes;
  }
  const auto root_height = static_cast<uint8_t>(height + (root == kNodes ? 1 : 0));
  const std::string body = own_manifest.empty()
                               ? db::manifest_body(names, {{1, root_height, {root, 0, nodes[root].size()}}})
                               : std::string(own_manifest);
  folder.write("manifest.ocdbt", db::sealed(body, {db::kManifest, 0, uint64_t{(form >> 5) & 1u}}));
  if (!tree.empty()) folder.write("_METADATA", tree);
  try {
    fuzz::read_everything(*open_source(folder.path(), options));
  } catch (const Error&) {
  }
  return 0;
}
