// Folders that a framework wrote, files and folders of its own in them: recognised as a whole, and opened. Private to
// formats.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "remap/source.h"

namespace remap::formats {

// What the folder is, if it is one of these or of folder_formats.h's: "a TensorFlow checkpoint".
std::optional<std::string> readable_folder_kind(const std::string& folder);

struct FrameworkFolder {
  std::unique_ptr<Source> source;
  std::string taken;  // for messages: which of the folder's things this is
};
// nullopt: it is none of these. `has_tensor_files`: files of tensors lie beside, so that a folder further down is not
// what is meant. Throws what the readers throw.
std::optional<FrameworkFolder> open_framework_folder(const std::string& path, bool has_tensor_files,
                                                     const OpenOptions& options);

}  // namespace remap::formats
