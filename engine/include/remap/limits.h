// Every bound that untrusted input is held to, each with its default. A reader takes `Limits` by const reference and
// refuses what exceeds them with a message that names the limit. docs/reliability.md lists them.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

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
  uint64_t max_chunks = 1'000'000;               // of one zarr array; the largest known have some 1,600
  bool operator==(const Limits&) const = default;
};

// Every limit by its name, for those who let a user change one.
struct LimitRow {
  std::string_view name, what;
  std::variant<uint64_t Limits::*, int Limits::*> member;
};
const std::vector<LimitRow>& limit_table();
uint64_t value_of(const Limits& limits, const LimitRow& row);
// Throws Error "usage" if there is no limit of this name, or the value is none that it can have (0 is none).
void set_limit(Limits& limits, std::string_view name, uint64_t value);

}  // namespace remap
