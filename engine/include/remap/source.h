// A Source lists the tensors of one checkpoint and serves their bytes. Opening reads headers only.
//
// Bytes are served by tile: every tensor is covered by disjoint boxes ("tiles"), each of which can be loaded alone. A
// mapped file has one tile a tensor; a zarr array has one a chunk. Elements are little-endian, as stored. Tensors of a
// type of less than a byte are served in bytes: boxes and strides are those of stored_form(). Tensors that the manifest
// lists as unread are not served: tile_boxes() and load() throw "tensor-unread". tile_boxes() and load() may be called
// from several threads at once; everything a TileView points to lives as long as the Source and the TileBuffer given to
// load(), whichever ends first. Throws: Error for input that is damaged or truncated.
//
// Files are mapped. Where one becomes shorter while it is read, or its storage fails, what cannot be read reads as
// zeros and check_bytes() throws. For that the process has a handler for SIGBUS as long as a Source is open; it passes
// on what is not its own to the handler that was there before, which has its place again afterwards. A program that
// sets a handler for SIGBUS meanwhile passes on what is not its own in the same way.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "remap/diagnostic.h"
#include "remap/file_stamp.h"
#include "remap/limits.h"
#include "remap/manifest.h"
#include "remap/metadata.h"

namespace remap {

// A box of a tensor's index space: origin and extent, one entry a dimension.
struct Box {
  Shape origin;
  Shape extent;
  bool operator==(const Box&) const = default;
};

// Where a loaded tile's elements are. Element x (absolute tensor coordinates, inside the tile's box) is at
// data + size_bytes(dtype) * sum_d((x[d] - box.origin[d]) * strides[d]). Strides count elements and are >= 0.
struct TileView {
  const std::byte* data = nullptr;
  std::vector<int64_t> strides;
  // When the bytes are also an uncompressed range of a file, of which `data` is a shared or read-only mapping: its
  // descriptor and the file offset of `data`. -1: they are not.
  int fd = -1;
  uint64_t offset_bytes = 0;
  const std::string* file = nullptr;  // its name, for messages
};

// Scratch memory for load(), reused between calls by one thread.
using TileBuffer = std::vector<std::byte>;

class Source {
 public:
  virtual ~Source() = default;
  virtual std::string_view format() const = 0;  // "torch", "t5x", "safetensors", "manifest"
  virtual const std::string& path() const = 0;  // as the user gave it; used in messages
  virtual const Manifest& manifest() const = 0;
  virtual const Json& metadata() const = 0;       // an object
  virtual bool has_data() const { return true; }  // false: a manifest standing in for a checkpoint

  // Boxes that cover tensor `index` exactly, in row-major order of their origins. A tensor with no elements has none.
  virtual std::vector<Box> tile_boxes(size_t index) const = 0;
  // Loads tile `tile` of tensor `index`; what has to be decoded is decoded into `buffer`.
  virtual TileView load(size_t index, size_t tile, TileBuffer& buffer) const = 0;
  // True if load() decodes nothing for this tensor: it may be called again and again, and leaves the buffer alone.
  virtual bool in_place(size_t index) const {
    static_cast<void>(index);
    return false;
  }

  // The file that tile `tile` of tensor `index` lies in, found without reading it; nullptr: it is decoded, or several
  // files have it.
  virtual const std::string* file_of(size_t index, size_t tile) const {
    TileBuffer none;
    return in_place(index) ? load(index, tile, none).file : nullptr;
  }

  // Throws Error "io-truncated" or "io-read", naming file and place, if bytes that load() gave could not be read: call
  // it after a tile was used, before what was made of it is trusted. No system call unless it throws.
  virtual void check_bytes() const {}
  // Calls `body` for every file of this source, in an order that never changes: with what it was when it was opened, or
  // nullptr for a file that is opened only while data is loaded (and which may be missing). See remap/files_read.h.
  using FileVisitor = std::function<void(const std::string& path, const FileStamp* opened)>;
  virtual void visit_files(const FileVisitor& body) const {
    for (const FileRead& file : files_read_) body(file.path, &file.stamp);
  }
  // A file that was read while this source was opened.
  void add_file_read(FileRead file) { files_read_.push_back(std::move(file)); }
  void add_files_read(const std::vector<FileRead>& files) {
    files_read_.insert(files_read_.end(), files.begin(), files.end());
  }

  // The folder whose files are read while data is loaded, if the checkpoint is one, however it was named; "": path()
  // and its kind.
  virtual std::string folder() const { return {}; }
  // Facts for `inspect`: classes a pickle named that became inert records, members left out … One line each.
  virtual std::vector<std::string> remarks() const { return {}; }
  // What whoever converts should know, though it is not an error: data that is missing and reads as a fill value. May
  // cost file operations.
  virtual std::vector<std::string> warnings() const { return {}; }

  // What was noticed while choosing this source's files, for whoever uses it: which of several checkpoints in a folder
  // this is and what was left aside, sizes that do not fit. Notes and warnings, never errors.
  const std::vector<Diagnostic>& notices() const { return notices_; }
  void add_notice(Diagnostic notice) { notices_.push_back(std::move(notice)); }

 private:
  std::vector<Diagnostic> notices_;
  std::vector<FileRead> files_read_;
};

struct OpenOptions {
  Limits limits = {};
  // If not empty: only tensors whose key starts with this prefix followed by a separator (or equals it) need be listed;
  // a reader for which listing costs file operations uses it (T5X: optimizer state is never opened). Keys stay whole.
  std::string subtree = {};
  // Further files that belong to this source, by role, e.g. {"gin", "config.gin"}.
  std::map<std::string, std::string> companions = {};
  // Whether a file of a folder, by its name, is a part of the checkpoint. Not set, or true of no file: the reader
  // decides.
  std::function<bool(const std::string& name)> is_part = {};
};

// Recognises the format by content, not by name. Throws Error "source-unknown-format" saying what was looked for.
std::unique_ptr<Source> open_source(const std::string& path, const OpenOptions& options = {});

// Copies a box of a tensor's stored form, row-major, to `out` (of element_count(box.extent) * element size bytes).
void read_box(const Source& source, size_t index, const Box& box, std::byte* out, TileBuffer& scratch);

}  // namespace remap
