// What a file was when it was opened, so that it is noticed when it becomes another one while it is read.
#pragma once

#include <cstdint>
#include <string>

namespace remap {

struct FileStamp {
  uint64_t device = 0, inode = 0;  // both 0: there was no such file
  uint64_t size_bytes = 0;
  int64_t mtime_ns = 0;  // since 1970; file systems round it, some to a few milliseconds
  bool is_there() const { return inode != 0 || device != 0; }
  bool operator==(const FileStamp&) const = default;
};

struct FileRead {
  std::string path;  // as it was opened
  FileStamp stamp;
  bool operator==(const FileRead&) const = default;
};

}  // namespace remap
