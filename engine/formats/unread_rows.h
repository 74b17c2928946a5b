// What the tables of files and of folders that are not read share. Private to unread_files.cpp and unread_folders.cpp.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "formats/unread_kinds.h"

namespace remap::formats {

// A way on is a sentence; the lines after it are a Python program, in which FILE and FOLDER stand for what was given.
#define REMAP_AS_SAFETENSORS "make it a safetensors file, as the note shows, and give that\n"
#define REMAP_IMPORTS "from numpy import array\nfrom safetensors.numpy import save_file\n"
// save_file writes an array's bytes as they lie, whatever their order: hence order='C'.
#define REMAP_SAVE "\nsave_file({key: array(value, order='C') for key, value in tensors.items()}, 'OUT.safetensors')"

inline constexpr const char* kDistributedWay = "give its folder, 'FOLDER'";

inline constexpr size_t kHeadBytes = 4096;

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
