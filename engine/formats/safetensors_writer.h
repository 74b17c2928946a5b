// The bytes of safetensors files beside the tensors' data: where every tensor goes, headers, the index of shards. Pure:
// opens no file. Private to formats.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "remap/limits.h"
#include "remap/plan.h"

namespace remap::formats {

// One file: `head` is its first bytes (length, JSON, padding), and tensor t of `tensors` starts at offsets[i] if
// tensors[i] == t.
struct SafetensorsFile {
  std::string name;
  std::string head;
  std::vector<size_t> tensors;          // indices into the plan, in the order of the file
  std::vector<uint64_t> offsets_bytes;  // from the start of the file, parallel to `tensors`
  uint64_t size_bytes = 0;
};

struct SafetensorsLayout {
  std::vector<SafetensorsFile> files;
  std::string index;  // model.safetensors.index.json; empty for a single file
};

// What file systems share between files: blocks of this size, of XFS and btrfs as they are made.
inline constexpr uint64_t kClonedBytes = 4096;

struct LayoutOptions {
  uint64_t max_shard_bytes = 5'000'000'000;
  std::map<std::string, std::string> metadata = {};  // beside "format": "pt", in every file
  // Not empty: where in a file of a source the bytes of each tensor are, if they lie there as they are. Headers are
  // padded so that as many bytes as possible lie alike in units of kClonedBytes.
  std::vector<std::optional<uint64_t>> source_offsets = {};
  Limits limits = {};  // what is written can be read again
};

// A shard whose header would exceed the limit is cut further. Throws Error "output-dtype" for a type the format lacks,
// "output-name" for a key it cannot hold, "output-limit" for what could not be read again: a key too long, a header or
// index too large.
SafetensorsLayout lay_out(const std::vector<PlannedTensor>& tensors, const LayoutOptions& options);

}  // namespace remap::formats
