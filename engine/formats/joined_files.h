// Several files with the same keys as one source: model-parallel ranks, each of which holds its cut of every tensor.
// A key is that of its file, after the file's name and a slash: "consolidated.01.pth/norm.weight".
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "remap/source.h"

namespace remap::formats {

struct NamedFile {
  std::string name;  // in the folder
  std::unique_ptr<Source> source;
};

// Throws: Error "source-unknown-format" if the files are of different formats, "limit-exceeded".
std::unique_ptr<Source> join_files(const std::string& folder, std::vector<NamedFile> files, const Limits& limits);

}  // namespace remap::formats
