// numpy's files: one array (.npy), and zip archives of them (.npz). Keys are the members' names without ".npy", and a
// single file's own; '/' in them stays. An array's header is a Python literal of three fields: it is parsed by a
// grammar of just that, and nothing is evaluated. Arrays of objects, texts and records, of types that numpy cannot name
// (bfloat16 is saved as "|V2"), and big-endian ones are listed and not read.
#pragma once

#include <memory>

#include "base/mapped_file.h"
#include "remap/source.h"

namespace remap::formats {

bool looks_like_npy(std::span<const std::byte> bytes);
bool looks_like_npz(std::span<const std::byte> bytes);  // a zip archive whose members are called "*.npy"

// Throws: Error, ids "numpy-bad-array", "zip-*", "limit-exceeded", "tensor-shape-overflow".
std::unique_ptr<Source> open_npy(MappedFile file, const OpenOptions& options);
std::unique_ptr<Source> open_npz(MappedFile file, const OpenOptions& options);

}  // namespace remap::formats
