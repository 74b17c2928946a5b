// Several files as one source. Model-parallel ranks have the same keys, each with its cut of every tensor: there a key
// is that of its file, after the file's name and a slash ("consolidated.01.pth/norm.weight"). Shards have keys of their
// own, as they are.
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

// Ranks. Throws: Error "source-unknown-format" if the files are of different formats, "limit-exceeded".
// metadata(): that of the files, as "files".
std::unique_ptr<Source> join_files(const std::string& folder, std::vector<NamedFile> files, const Limits& limits);

// Shards, which may be of different formats: then the source is called torch. `path` is what the user named.
// metadata(): `metadata`, "__metadata__" of the first file that has one, and what else the files say, as "files".
// Throws: Error "manifest-duplicate-key" if two files have one key, "limit-exceeded".
std::unique_ptr<Source> join_shards(const std::string& path, std::vector<NamedFile> files, Json metadata,
                                    const Limits& limits);

}  // namespace remap::formats
