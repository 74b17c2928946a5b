// GGUF, llama.cpp's file: metadata, a list of tensors, their bytes. F32, F16, BF16, F64 and whole numbers are read;
// quantized tensors are listed and not read. The file has dimensions innermost first; here they are outermost first.
// metadata(): the file's own keys, lists of more than 64 entries as their length. Tensors lie one behind the other; one
// file of a split model is read with a note, unless the others are joined to it.
#pragma once

#include <memory>

#include "base/mapped_file.h"
#include "remap/source.h"

namespace remap::formats {

bool looks_like_gguf(std::span<const std::byte> bytes);

// Throws: Error, ids "gguf-bad-file", "limit-exceeded", "tensor-shape-overflow".
std::unique_ptr<Source> open_gguf(MappedFile file, const OpenOptions& options);

}  // namespace remap::formats
