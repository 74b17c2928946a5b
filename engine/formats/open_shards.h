// A checkpoint that an index cuts into files. Private to formats.
#pragma once

#include <memory>
#include <string>

#include "remap/source.h"

namespace remap::formats {

// `root` is the index in the file `index_file`; `path` what the user named. Throws Error "shard-index" if a shard is
// missing or holds other tensors than the index says, and what the readers throw.
std::unique_ptr<Source> open_shards(const std::string& path, const std::string& index_file, const Json& root,
                                    const OpenOptions& options);

}  // namespace remap::formats
