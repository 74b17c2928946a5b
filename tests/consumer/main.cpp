// A program outside of this repository, with the public headers and one library: converts a checkpoint and compares the
// result with an expected folder. consumer CHECKPOINT EXPECTED OUT
#include <remap/compare.h>
#include <remap/convert.h>
#include <remap/report.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    remap::Diagnostics found;
    const auto conversion = remap::prepare({.checkpoint = argv[1]}, found);
    if (conversion) remap::write(*conversion, argv[3], {.force = true});
    std::cerr << remap::render_text(found);
    if (!conversion) return 1;
  } catch (const remap::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  const auto made = remap::open_source(argv[3]), expected = remap::open_source(argv[2]);
  size_t same = 0;
  for (size_t i = 0; i < expected->manifest().size(); ++i) {
    const size_t index = made->manifest().find(expected->manifest()[i].key);
    same += index != remap::Manifest::npos && remap::tensors_equal(*made, index, *expected, i);
  }
  std::cout << same << " of " << expected->manifest().size() << " tensors are as expected\n";
  return same == expected->manifest().size() && same == made->manifest().size() ? 0 : 1;
}
