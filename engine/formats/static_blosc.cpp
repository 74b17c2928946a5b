// What libblosc.a asks of other libraries, for the static program alone (cli/CMakeLists.txt). One object of it has its
// compressor beside its decompressor, so that a link without these would bring in all compressors, which are never
// called (remap only unpacks), and snappy, of which remap has its own.
#include <cstdlib>
#include <cstring>
#include <new>

#include "formats/snappy.h"

extern "C" {

int compress2(unsigned char*, unsigned long*, const unsigned char*, unsigned long, int) { std::abort(); }
int LZ4_compress_HC(const char*, char*, int, int, int) { std::abort(); }
size_t ZSTD_compress(void*, size_t, const void*, size_t, int) { std::abort(); }
int ZSTD_maxCLevel() { std::abort(); }
int snappy_compress(const char*, size_t, char*, size_t*) { std::abort(); }
size_t snappy_max_compressed_length(size_t) { std::abort(); }

// As in snappy-c.h: `*size_bytes` is the room, and becomes what was written; 0 is success, 1 says that the bytes are
// damaged.
int snappy_uncompress(const char* packed, size_t packed_bytes, char* to, size_t* size_bytes) {
  constexpr int kDone = 0, kDamaged = 1;
  try {
    std::vector<std::byte> out;
    const auto* const bytes = reinterpret_cast<const std::byte*>(packed);
    if (!remap::formats::unpack_snappy({bytes, packed_bytes}, *size_bytes, out).empty()) return kDamaged;
    if (!out.empty()) std::memcpy(to, out.data(), out.size());
    *size_bytes = out.size();
    return kDone;
  } catch (const std::bad_alloc&) {  // libblosc is C
    return kDamaged;
  }
}
}
