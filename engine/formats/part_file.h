// part.json: what a part of an output says of itself. Private to formats.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/limits.h"
#include "remap/parts.h"

namespace remap::formats {

inline constexpr const char* kPartFile = "part.json";

struct PartFile {
  struct Shard {
    std::string name;
    uint64_t size_bytes = 0;
    uint64_t head_bytes = 0;
    std::string head_sum;  // of its first bytes: length and header
    bool operator==(const Shard&) const = default;
  };

  OutputPart part;
  std::map<std::string, std::string> made_of;  // name -> digest; the same in every part
  uint64_t n_shards = 0;                       // of all parts
  std::vector<Shard> shards;                   // of this one
  std::vector<Shard> texts;                    // files beside the shards, all header; of the first part only
  bool operator==(const PartFile&) const = default;

  std::vector<Shard> files() const;  // all of them: shards, then texts
};

std::string part_text(const PartFile& file);

// Throws Error "parts-damaged" if it is not such a file, and what reading throws.
PartFile read_part_file(const std::string& path, const Limits& limits);

// The folder of the parts, for one process at a time: to write a part there, or to join them. Some file systems know no
// locks. `notice` is told that another one is waited for; `cancel` becomes true to stop, with Error "cancelled".
class PartsLock {
 public:
  PartsLock(const std::string& folder, const std::function<void(const Diagnostic&)>& notice,
            const std::atomic<bool>* cancel);
  PartsLock(const PartsLock&) = delete;
  PartsLock& operator=(const PartsLock&) = delete;
  ~PartsLock();

 private:
  int fd_;
};

// What the two are made of that is not the same, such as "source"; "" if all of it is.
std::string difference(const PartFile& a, const PartFile& b);

// "" if the file at `path` is this shard: a plain file, of the size and with the header it was written with. Else what
// is wrong. Throws Error "io-read".
std::string why_not_whole(const std::string& path, const PartFile::Shard& shard);

// The part that shard `index` of `n_shards` belongs to, from 1.
uint32_t part_of_shard(uint64_t index, uint64_t n_shards, uint32_t n_parts);

}  // namespace remap::formats
