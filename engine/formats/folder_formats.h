// The table of folders that are read as a whole: kinds of checkpoints whose files mean nothing alone.
#pragma once

#include <memory>
#include <string>

#include "remap/source.h"

namespace remap::formats {

struct FolderFormat {
  const char* what;  // "a torch.distributed.checkpoint"
  bool (*is)(const std::string& folder);
  std::unique_ptr<Source> (*open)(const std::string& folder, const OpenOptions& options);
};

// nullptr: none of them.
const FolderFormat* find_folder_format(const std::string& folder);

// Opens the folder if it is one of them; or if it has a file a rank, each with parts of tensors; or if it is the folder
// of a trainer that keeps a sharded model in one of its own folders. nullptr: none of these. What is left aside is a
// notice.
std::unique_ptr<Source> open_as_folder(const std::string& folder, const OpenOptions& options);

}  // namespace remap::formats
