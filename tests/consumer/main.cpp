// What a program outside of this repository sees: the public headers and one library.
#include <remap/manifest.h>
#include <remap/source.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto source = remap::open_source(argv[1]);
  for (const auto& tensor : source->manifest().tensors())
    std::cout << tensor.key << ' ' << remap::name(tensor.dtype) << ' ' << remap::to_string(tensor.shape) << '\n';
  return source->manifest().size() > 0 ? 0 : 1;
}
