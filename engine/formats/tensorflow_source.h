// A TensorFlow checkpoint: PREFIX.index, a sorted table of names, and PREFIX.data-SSSSS-of-NNNNN, the tensors' bytes
// one after another; or the form before TensorFlow 0.12 ("V1"), one such table that holds the values too.
//
// Keys are the names as they stand there: "bert/encoder/layer_0/attention/self/query/kernel",
// "model/layer/kernel/.ATTRIBUTES/VARIABLE_VALUE". Partitioned tensors are served by their slices. Opening reads the
// index; the checksum of a tensor's bytes is verified when they are first loaded.
// metadata(): "step" (of global_step or save_counter), "strings" (tensors of strings, which are not listed),
// "object_graph" (TF 2: {"objects": n, "variables": {key: the variable's own name}}), "config" (config.json beside it).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "remap/source.h"

namespace remap::formats {

// `path` is what the user named; `index` a file that ends as sorted tables do. Throws Error "tensorflow-…",
// "source-parts" (a data file is missing), "limit-exceeded".
std::unique_ptr<Source> open_tensorflow(const std::string& path, MappedFile index, const OpenOptions& options);

// A sorted table, or a file with its ending and data beside it that is none.
bool is_tensorflow_index(const MappedFile& file);
// Whether the folder is one of TensorFlow's, complete or not.
bool is_tensorflow_folder(const std::string& folder);

// Opens the checkpoint that the folder keeps: the one that its file `checkpoint` names, or the only one; of a
// SavedModel that below `variables`. Notices say what was left aside. nullptr: the folder is not one of TensorFlow's.
// Throws what open_tensorflow() does, Error "source-unknown-format" if there are several, "source-parts" if there are
// data files without an index.
std::unique_ptr<Source> open_tensorflow_folder(const std::string& folder, const OpenOptions& options);
// The index that a file belongs to: data, the file `checkpoint`, saved_model.pb, a prefix; nullopt if it does not.
std::optional<std::string> tensorflow_index_of(const std::string& file);

}  // namespace remap::formats
