// A T5X checkpoint: a msgpack file named `checkpoint` that holds a tree of arrays, most of them zarr folders beside it.
//
// Keys are the tree's paths joined by '/', without the level "optimizer" that the classic form has and Orbax's has not:
// "target/encoder/layers_0/attention/query/kernel", "state/param_states/…".
// Other trees that flax wrote (flax_model.msgpack) are read likewise, as the format "flax": their arrays all lie in the
// file, and paths are joined by '.'.
// metadata(): "version" (3; absent for Orbax), "step", "gin" (see gin.h), "values" (leaves that are not arrays).
// Opening reads every wanted array's `.zarray`; chunk files are opened by load() only.
#pragma once

#include <memory>
#include <string>

#include "base/mapped_file.h"
#include "remap/source.h"

namespace remap::formats {

bool looks_like_msgpack_map(std::span<const std::byte> bytes);

// `path` is what the user named; `checkpoint` the msgpack file, whose folder holds the arrays.
// Throws Error "t5x-…", "zarr-…", "gin-…", "limit-exceeded".
std::unique_ptr<Source> open_t5x(const std::string& path, MappedFile checkpoint, const OpenOptions& options);

}  // namespace remap::formats
