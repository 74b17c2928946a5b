// What the tables of files and of folders that are not read share. Private to recognise.cpp and recognise_folder.cpp.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "formats/recognise.h"

namespace remap::formats {

// A way on is a sentence; the lines after it are a Python program, in which FILE and FOLDER stand for what was given.
#define REMAP_AS_SAFETENSORS "make it a safetensors file, as the note shows, and give that\n"
#define REMAP_IMPORTS "from numpy import array\nfrom safetensors.numpy import save_file\n"
// save_file writes an array's bytes as they lie, whatever their order: hence order='C'.
#define REMAP_SAVE "\nsave_file({key: array(value, order='C') for key, value in tensors.items()}, 'OUT.safetensors')"

inline constexpr const char* kTensorflowWay = REMAP_AS_SAFETENSORS
    "import tensorflow as tf\n" REMAP_IMPORTS
    "checkpoint = tf.train.load_checkpoint('PREFIX')  # the path of the '.index' file, without that ending\n"
    "names = [name for name, dtype in checkpoint.get_variable_to_dtype_map().items() if dtype != tf.string]\n"
    "tensors = {name: checkpoint.get_tensor(name) for name in names}" REMAP_SAVE;
inline constexpr const char* kOcdbtWay = REMAP_AS_SAFETENSORS
    "import os, tensorstore as ts\n" REMAP_IMPORTS
    "db = {'driver': 'ocdbt', 'base': 'file://' + os.path.abspath('FOLDER') + '/'}\n"
    "keys = [key.decode() for key in ts.KvStore.open(db).result().list().result()]\n"
    "names = [key[:-len('/.zarray')] for key in keys if key.endswith('/.zarray')]  # version 3: /zarr.json, and zarr3 "
    "below\n"
    "read = lambda name: ts.open({'driver': 'zarr', 'kvstore': {**db, 'path': name + '/'}}).result().read().result()\n"
    "tensors = {name.replace('.', '/'): read(name) for name in names}" REMAP_SAVE;
inline constexpr const char* kDistributedWay = "give its folder, 'FOLDER'";

inline constexpr size_t kHeadBytes = 4096;

inline std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.data()), static_cast<size_t>(file.size())};
}
// The first bytes of a file, "" if it cannot be read.
std::string head_of(const std::filesystem::path& path);

// A row's test gives what it found ("" if there is nothing to say of it), or nullopt. "$FOUND" in the row's texts
// stands for it.
using Found = std::optional<std::string>;
inline Found yes(bool is) { return is ? Found("") : std::nullopt; }

// A row as its finder reports it: FILE and FOLDER in `way` stand for `path`.
Recognised recognised(const char* what, const char* way, const std::string& found, const std::string& path,
                      bool tensors, bool is_folder);

}  // namespace remap::formats
