// Which reader a file belongs to, by what is in it. Private to formats.
#pragma once

#include <memory>
#include <string>

#include "base/mapped_file.h"
#include "remap/source.h"

namespace remap::formats {

// `path` is what the user named: the file `name`, or the folder it lies in. Throws Error "source-unknown-format" saying
// what the file is, if that is known, and what the readers throw.
std::unique_ptr<Source> open_file(const std::string& path, const std::string& name, const OpenOptions& options);

// The first bytes are those of a file that is a checkpoint whatever it is called and whatever lies beside it.
bool is_checkpoint_file(const MappedFile& file);

// A JSON file, within limits.max_index_bytes. Throws Error "json-syntax" and the like, "limit-exceeded".
Json read_json_file(const std::string& path, const Limits& limits);

}  // namespace remap::formats
