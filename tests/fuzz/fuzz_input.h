// What the targets share: an input cut into values, a file in memory, a folder that is written anew for each input.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "remap/source.h"

namespace remap::fuzz {

// Takes values from the front of an input; past its end, numbers are 0 and texts empty.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  bool empty() const { return rest_.empty(); }
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  uint32_t word() {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value |= uint32_t{byte()} << (8 * i);
    return value;
  }
  std::string_view bytes(size_t n) {
    const std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  // A text after its length: a byte, or two.
  std::string_view text() { return bytes(byte()); }
  std::string_view long_text() {
    const size_t low = byte();
    return bytes(low | size_t{byte()} << 8);
  }
  std::string_view rest() { return bytes(rest_.size()); }

 private:
  std::string_view rest_;
};

// What stands between lines of "====".
inline std::vector<std::string_view> parts_of(std::string_view text) {
  constexpr std::string_view kLine = "\n====\n";
  std::vector<std::string_view> parts;
  for (size_t at = 0;;) {
    const size_t end = text.find(kLine, at);
    parts.push_back(text.substr(at, end == text.npos ? text.npos : end + 1 - at));
    if (end == text.npos) return parts;
    at = end + kLine.size();
  }
}

// For readers that take a file.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written <= 0) break;
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

// For readers that take a folder; in memory where the machine has such a place. Removed at the end of the program.
class Folder {
 public:
  Folder() {
    for (const std::filesystem::path& place :
         {std::filesystem::path("/dev/shm"), std::filesystem::temp_directory_path()}) {
      std::string name = place / "fuzz-XXXXXX";
      if (::mkdtemp(name.data()) == nullptr) continue;
      path_ = name;
      return;
    }
    throw std::runtime_error("cannot make a temporary folder");
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  void clear() const {
    for (const auto& entry : std::filesystem::directory_iterator(path_)) std::filesystem::remove_all(entry.path());
  }
  void write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  std::string path() const { return path_.string(); }
  std::filesystem::path path(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// Bounds that keep a single input fast.
inline OpenOptions small_limits() {
  OpenOptions options;
  options.limits.max_header_bytes = 1 << 20;
  options.limits.max_pickle_objects = 1'000'000;
  options.limits.max_pickle_memo = 1'000'000;
  options.limits.max_pickle_bytes = 16 << 20;
  options.limits.max_metadata_nodes = 100'000;
  options.limits.max_tensors = 100'000;
  options.limits.max_chunk_bytes = 4 << 20;
  return options;
}

// All that a source can be asked: its tensors to their last byte, unless they are large.
inline void read_everything(const Source& source) {
  static constexpr int64_t kMaxBytes = 4 << 20;
  (void)source.metadata().dump();  // throws if a text is not UTF-8
  (void)source.remarks();
  (void)source.warnings();
  TileBuffer scratch;
  for (size_t i = 0; i < source.manifest().size() && i < 100; ++i) {
    const TensorInfo& tensor = source.manifest()[i];
    if (!source.has_data() || tensor.unread != nullptr || data_bytes(tensor) > kMaxBytes) continue;
    const Shape shape = stored_form(tensor).shape;
    std::vector<std::byte> out(static_cast<size_t>(data_bytes(tensor)));
    try {
      read_box(source, i, Box{Shape(shape.size(), 0), shape}, out.data(), scratch);
    } catch (const Error&) {  // of a chunk, or a packed member; the next may be whole
    }
  }
}

}  // namespace remap::fuzz
