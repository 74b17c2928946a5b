// What the file '.metadata' of a torch.distributed.checkpoint says: which tensors there are, of which chunks each is
// made, and in which bytes of which file the item of a chunk is. With `use_collectives=False` every rank R writes a
// file of its own, '__R.metadata', about its chunks; these are put together.
//
//   Metadata              state_dict_metadata: {key: TensorStorageMetadata | BytesStorageMetadata}
//                         storage_data: {MetadataIndex: _StorageInfo}; planner_data: {key: its path}
//   TensorStorageMetadata properties: TensorProperties (dtype, layout …), size, chunks: [ChunkStorageMetadata]
//   ChunkStorageMetadata  offsets, sizes
//   MetadataIndex         fqn: the key, offset: of the chunk; None for what is not a tensor
//   _StorageInfo          relative_path, offset, length[, transform_descriptors]
//
// It is a pickle, of which nothing is run.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "remap/limits.h"
#include "remap/manifest.h"

namespace remap::formats {

// Bytes of a file of the folder.
struct DcpPlace {
  std::string file;  // a name without a folder
  uint64_t offset = 0, length = 0;
  std::vector<std::string> transforms = {};  // what was done to the bytes: "stream.zstd/1"
};

struct DcpChunk {
  Shape offsets, sizes;
  std::optional<DcpPlace> place = {};  // none of a chunk without elements, at most
};

struct DcpEntry {
  bool is_tensor = false;
  std::string dtype = {};               // torch's name: "float32"
  std::string layout = {};              // "strided"
  Shape size = {};                      // as torch counts it
  std::vector<DcpChunk> chunks = {};    // sorted by offsets; each once
  std::optional<DcpPlace> object = {};  // what is not a tensor
  std::vector<std::string> path = {};   // the keys of dicts and numbers of lists that lead to it, if they are known
};

struct DcpMetadata {
  std::map<std::string, DcpEntry> entries;  // by key
  std::string version;                      // "" if it does not say
};

// Adds what one file says. Throws Error "dcp-metadata", "pickle-*", "limit-exceeded", at the file.
void read_dcp_metadata(const MappedFile& file, const Limits& limits, DcpMetadata& into);

// Begins as such a pickle does.
bool looks_like_dcp_metadata(std::span<const std::byte> bytes);

}  // namespace remap::formats
