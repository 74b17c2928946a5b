// An output that several processes write, each a part of it, on one machine or on many that share a file system. The
// shards are dealt out in their order; which part a shard is in depends on the plan and on the number of parts alone.
//
//   OUT.parts/part-3-of-16/    written by write() with OutputOptions::part: shards, and part.json, which says of what
//   OUT                        made of all parts by finish_parts(): the same bytes as one process writes
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "remap/diagnostic.h"
#include "remap/limits.h"

namespace remap {

// The number-th of several parts, from 1; one of one is the whole output.
struct OutputPart {
  uint32_t number = 1, of = 1;
  bool is_whole() const { return of == 1; }
  bool operator==(const OutputPart&) const = default;
};

// Where write() puts a part of the output that is to be at `output`.
std::string part_folder(const std::string& output, const OutputPart& part);

struct FinishOptions {
  bool sync = true;  // as OutputOptions has it
  Limits limits = {};
  const std::atomic<bool>* cancel = nullptr;  // as ExecOptions has it
  // Told what is not as expected and does not stop the work: others that join the parts, what stays in their folder.
  std::function<void(const Diagnostic&)> notice = {};
};

struct Finished {
  size_t parts = 0, files = 0;  // 0: the output was there, and no parts were
  uint64_t bytes = 0;           // of the shards
};

// Joins the parts of `output`: checks that all are there, that they are of one plan and of the same sources, and that
// every file has the size and the header it was written with (the data behind it is not read); moves the files together
// (on one file system: no byte is copied) and gives the folder its name. One process at a time; others wait. Killed or
// cancelled, it goes on where it was when called again; called once more, it finds that nothing is left to do. Throws
// Error "parts-missing", "parts-differ", "parts-damaged", "output-exists", "output-name", "output-disk-full",
// "io-read", "io-write", "cancelled"; then nothing is at `output` that was not there, and every part is there still.
Finished finish_parts(const std::string& output, const FinishOptions& options = {});

}  // namespace remap
