// The Sink of the command line: a folder of safetensors files, one or sharded with an index, as the Hugging Face
// libraries write them, byte for byte. Everything is written into a folder beside the final place, which takes its name
// when it is whole; without commit() nothing is left behind.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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
  // Share data with the sources where the file system can (XFS, btrfs: FICLONERANGE): what is shared costs next
  // to no time, and no space. For that, headers are padded so that as many bytes as possible lie at the same place of
  // a page of 4 KiB as in their source; so the files differ in their headers' length from those written without this,
  // and by nothing else, on every file system alike. write() sets `source_offsets`: where in a file of a source the
  // bytes of each tensor are, if they lie there as they are.
  bool clone = false;
  std::vector<std::optional<uint64_t>> source_offsets = {};
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
  // "output-dtype", "output-name", "output-limit", "io-write".
  OutputFolder(const std::string& path, const std::vector<PlannedTensor>& tensors, const OutputOptions& options = {});
  ~OutputFolder() override;  // not committed: removes everything it made
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  TensorPlace place(size_t index) const override;
  void write(size_t file, uint64_t offset_bytes, std::span<const std::byte> bytes) override;
  void read(size_t file, uint64_t offset_bytes, std::span<std::byte> bytes) override;
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
