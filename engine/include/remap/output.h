// The Sink of the command line: a folder of safetensors files, one or sharded with an index, as the Hugging Face
// libraries write them, byte for byte. Everything is written into a hidden folder beside the final place, which takes
// its name when it is whole; without commit() nothing is left behind. What a killed process leaves (".NAME.partial-…",
// with a journal of what is whole) is found by the next one that writes the same output, which removes it or goes on
// with it; it is locked while a process writes it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/limits.h"
#include "remap/parts.h"
#include "remap/plan.h"
#include "remap/sink.h"

namespace remap {

struct OutputOptions {
  // A shard is closed when the next tensor would make its data larger; a tensor that is larger by itself stands alone.
  // Small shards load piecewise, large ones are fewer; what fits into one is written as model.safetensors without an
  // index.
  uint64_t max_shard_bytes = 5'000'000'000;
  // Replace an existing output. Only a folder of plain files is replaced, and only once the new one is whole.
  bool force = false;
  // What is read: files, and folders with all they hold. A folder that holds one of them is never replaced.
  std::vector<std::string> inputs = {};
  // Pairs of the '__metadata__' of every file, beside "format": "pt".
  std::map<std::string, std::string> metadata = {};
  // What is written is on the disk, and its name too, before commit() returns: after a power failure the output is
  // whole or absent. Costs the time that the disk needs (docs/reliability.md); without it that is left to the system.
  bool sync = true;
  // Go on with what an earlier run left that was killed, if it was to write the same; what cannot be proved to be whole
  // is written again. What keep() leaves of this run can be gone on with in the same way.
  bool resume = false;
  // What the output's bytes depend on beside the tensors' layout, each with a digest: an earlier run is gone on with
  // only if all of it is the same.
  std::map<std::string, std::string> made_of = {};
  // Told, before anything is written, what earlier runs left and what becomes of it. May be empty.
  std::function<void(const Diagnostic&)> notice = {};
  // write() (remap/convert.h) adds remap-provenance.json (remap/provenance.h). All sources are read once more for it.
  bool provenance = false;
  // Only a part of the output is written, for finish_parts(): to part_folder(), and not again if it is there already.
  OutputPart part = {};
  Limits limits = {};  // that what is written is read by again
  // Share data with the sources where the file system can (XFS, btrfs: FICLONERANGE): what is shared costs next
  // to no time, and no space. For that, headers are padded so that as many bytes as possible lie at the same place of
  // a page of 4 KiB as in their source; so the files differ in their headers' length from those written without this,
  // and by nothing else, on every file system alike. write() sets `source_offsets`: where in a file of a source the
  // bytes of each tensor are, if they lie there as they are.
  bool clone = false;
  std::vector<std::optional<uint64_t>> source_offsets = {};
  // The files of a larger output do not stay in the page cache once they are synced. Absent: half of the machine's
  // memory.
  std::optional<uint64_t> max_cached_bytes = {};
};

// Throws Error "output-holds-input" if `path` exists and is one of `inputs` or holds one (or a part of one, if it is a
// folder), in whatever way the two are written: compared are the files themselves, through links, second names and
// mounts.
void refuse_lost_input(const std::string& path, const std::vector<std::string>& inputs);

// Throws Error "io-write": nothing of the name `path` could be created, with the errno `error`; why, and what to do.
// `kind`: "file" or "folder".
[[noreturn]] void refuse_new(const std::string& path, const std::string& kind, int error);

class OutputFolder : public Sink {
 public:
  // Lays out the files of `tensors`, in the order given, and reserves all of their space, so that a full disk is found
  // here. Throws Error: "output-exists", "output-not-replaceable", "output-holds-input", "output-disk-full",
  // "output-dtype", "output-name", "output-limit", "io-write"; of a part: "parts-damaged" too.
  OutputFolder(const std::string& path, const std::vector<PlannedTensor>& tensors, const OutputOptions& options = {});
  ~OutputFolder() override;  // not committed: removes everything it made
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  TensorPlace place(size_t index) const override;
  void write(size_t file, uint64_t offset_bytes, std::span<const std::byte> bytes) override;
  void read(size_t file, uint64_t offset_bytes, std::span<std::byte> bytes) override;
  bool holds(size_t file, uint64_t offset_bytes, uint64_t length_bytes) override;
  void finished(size_t file, uint64_t offset_bytes, uint64_t length_bytes, const std::byte* bytes) override;

  // Every file that is written so far, with its SHA-256, in the order of their names: [{"file", "bytes", "sha256"}].
  // `cancel` as ExecOptions has it.
  Json digests(const std::atomic<bool>* cancel = nullptr) const;

  // Not committed, this leaves behind what is written, for OutputOptions::resume, if that is set.
  void keep() noexcept;
  bool shares() const override;
  std::pair<uint64_t, uint64_t> share(size_t file, uint64_t offset_bytes, int fd, uint64_t source_offset_bytes,
                                      uint64_t length_bytes) override;

  // A further file, such as config.json. Throws Error "output-name" if the name has a slash or is taken, "io-write".
  void add_file(const std::string& name, const std::string& contents);
  // Gives the folder its final name. Call once, after everything is written; nothing can be written or read afterwards.
  // Throws Error "output-exists" if the place was taken meanwhile, "output-not-replaceable" and "output-holds-input" if
  // it came to hold what must not be lost, "io-write"; then nothing at the final place has changed.
  void commit();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace remap
