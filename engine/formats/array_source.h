// Arrays in zarr's form, version 2 or 3, below one folder: what Orbax saves, in an OCDBT database or in folders, and
// groups of zarr arrays.
//
// format() is "t5x" for a tree with a level "target" (T5X's train state), "orbax" for any other that Orbax describes,
// "zarr" for arrays that nothing describes. Keys are the tree's paths joined by '/'; without a description, the arrays'
// names as they are. metadata(): "step" (of a number of that name), "strings" (Orbax's strings), "gin"
// (T5X's, see gin.h). Opening reads the texts of all wanted arrays, no chunk.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "remap/source.h"

namespace remap::formats {

// `path` is what the user named; `folder` the one that holds the arrays. Throws Error "ocdbt-…", "orbax-…", "zarr-…",
// "source-parts", "limit-exceeded".
std::unique_ptr<Source> open_arrays(const std::string& path, const std::string& folder, const OpenOptions& options);

// A folder that open_arrays() takes, as it can be told from names alone, and what it is: "an Orbax checkpoint (OCDBT)".
std::optional<std::string> array_folder_kind(const std::string& folder);

// Opens the folder itself or, of a manager's step (or the only step in a manager's folder), the item in it that holds
// the model. nullptr: there is none. Throws what open_arrays() does, Error "orbax-unfinished", and
// "source-unknown-format" if it cannot be told which of several is meant.
std::unique_ptr<Source> open_array_folder(const std::string& path, const OpenOptions& options);

}  // namespace remap::formats
