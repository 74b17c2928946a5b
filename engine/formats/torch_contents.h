// What a torch file holds before its tensors are looked for: the graph of its pickle, and where its storages are.
// The zip archive and the legacy stream differ in nothing else.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mapped_file.h"
#include "formats/pickle.h"
#include "formats/zip.h"
#include "remap/dtype.h"
#include "remap/limits.h"

namespace remap::formats {

// The bytes many tensors may view. Exactly one of three: a range of the file, a packed member, or bytes in memory.
struct TorchStorage {
  uint64_t size_bytes = 0;
  std::optional<uint64_t> file_offset = {};
  const ZipMember* packed = nullptr;
  const std::byte* memory = nullptr;
};

struct TorchContents {
  MappedFile file;
  std::unique_ptr<ZipArchive> zip;      // none: a legacy stream
  std::vector<std::byte> pickle_bytes;  // of a packed data.pkl; otherwise the graph views the file
  PickleOrigin origin;                  // of the pickle, for messages
  PickleGraph graph;
  std::vector<TorchStorage> storages;
  std::unordered_map<std::string, uint32_t> storage_by_key;
  std::deque<std::string> decoded;  // bytes of arrays that stand in the pickle as escaped text
  std::vector<std::string> remarks;
  bool arrays_only = false;  // a pickle that no library made its own form of: what is not known may stand for an array
};

// Throws: Error, ids "torch-*", "zip-*", "pickle-*", "limit-exceeded".
TorchContents read_torch_zip(MappedFile file, const Limits& limits);
// An archive inside of a file: its bytes begin at `base` of the file; nullopt: they were unpacked from it, and must
// outlive the contents.
TorchContents read_torch_zip_at(MappedFile file, std::span<const std::byte> bytes, std::optional<uint64_t> base,
                                const Limits& limits);
TorchContents read_torch_legacy(MappedFile file, const Limits& limits);

// A zip archive with one */data.pkl; decided by its names. A damaged archive counts if its first member has such a
// name.
bool looks_like_torch_zip(std::span<const std::byte> bytes);
bool looks_like_torch_legacy(std::span<const std::byte> bytes);
bool looks_like_torch_tar(std::span<const std::byte> bytes);

// torch's classes of storage.
struct StorageType {
  std::string_view name;  // "FloatStorage"
  int element_bytes;
  std::optional<DType> dtype;       // none: bytes without a type, or a type that cannot be read
  std::string_view quantized = {};  // the dtype's name, if its numbers stand for others
};
// nullptr for a class that is not torch's, or not known.
const StorageType* find_storage_type(const PickleGlobal& global);

// A persistent id, taken apart: ("storage", type, key, location, size[, view]).
struct StorageId {
  const StorageType* type = nullptr;
  std::string key;
  uint64_t elements = 0;       // of the whole storage
  uint64_t first_element = 0;  // of the part that is meant; legacy streams have views
  uint64_t part_elements = 0;
};
// nullopt: an id of another kind. Throws "torch-bad-storage" if it is a storage's, but malformed.
std::optional<StorageId> read_storage_id(const PickleGraph& graph, PickleRef persistent, const PickleOrigin& origin);

}  // namespace remap::formats
