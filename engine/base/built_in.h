// Files of the source tree that are compiled into the library (see engine/embed.cmake): they are there wherever the
// program runs.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace remap {

struct BuiltInFile {
  std::string_view name;  // "family"
  std::string_view path;  // "rules/family.yaml", for messages
  std::string_view text;
};

// Files that were packed together with zstd, unpacked. list() refers to this object, and to the names it was given.
class BuiltInFiles {
 public:
  struct Packed {
    std::string_view name, path;
    size_t size_bytes = 0;  // of the text
  };

  BuiltInFiles(std::span<const unsigned char> packed, const std::vector<Packed>& files);
  BuiltInFiles(const BuiltInFiles&) = delete;
  BuiltInFiles& operator=(const BuiltInFiles&) = delete;

  const std::vector<BuiltInFile>& list() const { return list_; }

 private:
  std::string text_;
  std::vector<BuiltInFile> list_;
};

}  // namespace remap
