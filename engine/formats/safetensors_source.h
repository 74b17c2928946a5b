// Safetensors: one file.
//
//   file  = n:u64le header[n] data
//   header = JSON object: name -> {"dtype": "F32", "shape": [2,3], "data_offsets": [begin, end]},
//            and "__metadata__": {string: string}
//
// Offsets count from the start of `data`. Opening proves that the tensors tile `data`: no hole, no overlap, nothing
// behind the last.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "remap/source.h"

namespace remap::formats {

struct SafetensorsEntry {
  TensorInfo info;
  uint64_t begin = 0;  // offset in the file, bytes
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in file order
  Json metadata;                          // "__metadata__"; null if there is none
};

// Throws Error "safetensors-…", naming `file`.
SafetensorsHeader parse_safetensors(std::span<const std::byte> bytes, const std::string& file, const Limits& limits);

bool looks_like_safetensors(std::span<const std::byte> bytes);

// `path` is what the user named: the file, or the folder it lies in.
// metadata(): "__metadata__", and "config" if a config.json lies beside the file.
std::unique_ptr<Source> open_safetensors(const std::string& path, MappedFile file, const OpenOptions& options);

// One of several files of a checkpoint (shard_index.h): without "config".
std::unique_ptr<Source> open_safetensors_shard(MappedFile file, const OpenOptions& options);

}  // namespace remap::formats
