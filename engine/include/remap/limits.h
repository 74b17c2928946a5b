// Every bound that untrusted input is held to, each with its default. A reader takes `Limits` by const reference and
// refuses what exceeds them with a message that names the limit.
#pragma once

#include <cstdint>

namespace remap {

struct Limits {
  uint64_t max_header_bytes = 100'000'000;   // safetensors JSON header, as the reference implementation has it
  uint64_t max_index_bytes = 256u << 20;     // JSON index, manifest, gin, .zarray, rule file
  uint64_t max_pickle_bytes = 512u << 20;    // data.pkl, or one pickle of a legacy stream
  uint64_t max_pickle_objects = 20'000'000;  // values made by one pickle
  uint64_t max_pickle_memo = 20'000'000;     // memo slots
  uint64_t max_metadata_nodes = 2'000'000;   // nodes of the metadata tree after shared objects are written out
  int max_metadata_depth = 128;              // deeper values are replaced by a note
  uint64_t max_tensors = 10'000'000;         // entries of one manifest
  uint64_t max_key_bytes = 4096;             // length of one tensor's key
  int max_rank = 32;                         // dimensions of one tensor
  uint64_t max_zip_members = 10'000'000;
  uint64_t max_chunk_bytes = uint64_t{2} << 30;  // one decoded zarr chunk
};

}  // namespace remap
