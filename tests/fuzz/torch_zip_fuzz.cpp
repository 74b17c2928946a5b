// Any bytes are a torch checkpoint, zip or legacy, or an Error; the tensors of one that opens can be read to their last
// byte.
#include "formats/torch_source.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "remap/diagnostic.h"

using namespace remap;

namespace {

// Readers take files; this one is in memory.
class MemoryFile {
 public:
  MemoryFile(const uint8_t* data, size_t size) : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    while (size > 0) {
      const ssize_t written = ::write(fd_, data, size);
      if (written <= 0) break;
      data += written;
      size -= static_cast<size_t>(written);
    }
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return fmt::format("/proc/self/fd/{}", fd_); }

 private:
  int fd_;
};

OpenOptions small_limits() {
  OpenOptions options;
  options.limits.max_pickle_objects = 1'000'000;
  options.limits.max_pickle_bytes = 16 << 20;
  options.limits.max_metadata_nodes = 100'000;
  return options;
}

void read_tensors(const Source& source) {
  static constexpr int64_t kMaxBytes = 4 << 20;
  TileBuffer scratch;
  for (size_t i = 0; i < source.manifest().size() && i < 100; ++i) {
    const TensorInfo& tensor = source.manifest()[i];
    if (tensor.unread != nullptr || data_bytes(tensor) > kMaxBytes) continue;
    const Shape shape = stored_form(tensor).shape;
    std::vector<std::byte> out(static_cast<size_t>(data_bytes(tensor)));
    read_box(source, i, Box{Shape(shape.size(), 0), shape}, out.data(), scratch);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const OpenOptions options = small_limits();
  const MemoryFile file(data, size);
  try {
    MappedFile mapped(file.path());
    (void)looks_like_torch(mapped);
    const auto source = open_torch(std::move(mapped), options);
    (void)source->metadata().dump();
    read_tensors(*source);
  } catch (const Error&) {
  }
  return 0;
}
