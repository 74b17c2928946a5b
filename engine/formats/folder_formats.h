// The table of folders that are read as a whole: kinds of checkpoints whose files mean nothing alone.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "remap/source.h"

namespace remap::formats {

// What the folder is, if it is one of them: "a torch.distributed.checkpoint". Told by names and first bytes.
std::optional<std::string> folder_kind(const std::string& folder);

// Opens the folder if it is one of them; or if it has a file a rank, each with parts of tensors; or if it is the folder
// of a trainer or manager that keeps a model in one of its own folders. nullptr: none of these. What is left aside is a
// notice. Throws what the readers throw.
std::unique_ptr<Source> open_as_folder(const std::string& folder, const OpenOptions& options);

}  // namespace remap::formats
