// Finds the files of a T5X checkpoint from what the user named. Reads no contents.
//
//   model_dir/config.gin
//   model_dir/checkpoint_1200/checkpoint                classic: msgpack, arrays beside it
//   model_dir/checkpoint_1200/state/checkpoint          Orbax, arrays beside it
//   model_dir/checkpoint_1200.tmp-1650000000/…          unfinished
//   model_dir/checkpoint_1200/[state/]manifest.ocdbt    Orbax, arrays in a database: not found here
#pragma once

#include <optional>
#include <string>

namespace remap::formats {

// The folder that holds the msgpack file `checkpoint`; nullopt if nothing in `path` (a folder) looks like T5X.
// Throws Error "t5x-unfinished", or "t5x-several" if `path` holds more than one checkpoint.
std::optional<std::string> find_t5x_folder(const std::string& path);

// Throws Error "t5x-unfinished" if this folder, which holds a `checkpoint` file, was not written to its end.
void refuse_unreadable_t5x(const std::string& folder);

// config.gin in `folder`, its parent or the parent's parent, the nearest first; nullopt if there is none.
std::optional<std::string> find_gin_file(const std::string& folder);

}  // namespace remap::formats
