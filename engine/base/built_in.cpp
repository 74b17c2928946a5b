#include "base/built_in.h"

#include <stdexcept>

#include <zstd.h>

namespace remap {

BuiltInFiles::BuiltInFiles(std::span<const unsigned char> packed, const std::vector<Packed>& files) {
  size_t size_bytes = 0;
  for (const Packed& file : files) size_bytes += file.size_bytes;
  text_.resize(size_bytes);
  if (ZSTD_decompress(text_.data(), size_bytes, packed.data(), packed.size()) != size_bytes)
    throw std::logic_error("the built-in files do not unpack to their sizes");
  const char* begin = text_.data();
  for (const Packed& file : files) {
    list_.push_back({file.name, file.path, {begin, file.size_bytes}});
    begin += file.size_bytes;
  }
}

}  // namespace remap
