// A source whose tensors lie in boxes that many files hold: chunks of ranks, partitions of an optimizer, shards.
// Readers say which box is where; nothing is joined, neither on disk nor in memory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "remap/source.h"

namespace remap::formats {

// One tile of a tensor, in its stored form. It has elements.
struct FileTile {
  Box box;
  TileView view = {};  // where its elements are, as Source::load() says it; good for as long as the contents are
  // Set: they have to be decoded or compared first. May be called from several threads at once, again and again.
  std::function<TileView(TileBuffer&)> load = {};
};

struct TiledTensor {
  TensorInfo info;
  std::vector<FileTile> tiles = {};  // of an unread tensor: none
};

struct TiledContents {
  std::string path;  // as the user gave it
  std::vector<TiledTensor> tensors = {};
  Json metadata = Json::object();
  std::vector<std::string> remarks = {};
  std::vector<MappedFile> files = {};                  // all that were opened, whether tiles view them or not
  std::vector<std::shared_ptr<const void>> held = {};  // what else the tiles view
};

// Adds a JSON file that lies in the folder to the metadata, under `name`, unless something has that name.
void add_document(TiledContents& contents, const std::string& folder, const char* file, const char* name,
                  const Limits& limits);

// Throws Error "source-tiles" at `path` unless the boxes, which may be empty, tile the stored form of the tensor: each
// inside of it, each element in exactly one. `parts` names them in messages: "chunks".
void require_tiling(const TensorInfo& tensor, const std::vector<Box>& boxes, const std::string& path,
                    std::string_view parts);

// The boxes of `range`, elements of a row-major tensor of this shape, as tiles that view `flat`: elements side by side.
struct FlatRange {
  int64_t begin = 0, end = 0;  // in the tensor
  TileView flat;               // its first element is the tensor's element `begin`
};
std::vector<FileTile> tiles_of_range(const TensorInfo& tensor, const FlatRange& range);

// A tensor that several files hold whole, and which has to be the same in all of them: the first time that it is
// loaded they are compared. `names`: the files; throws Error "source-replicas" then. `whole`: in stored form.
struct Replica {
  TileView view;
  std::string file;
};
FileTile tile_of_replicas(const TensorInfo& tensor, const Box& box, std::vector<Replica> replicas);

// Copies the boxes' elements as float32, which holds every bfloat16 and float16; `tensor` has the type F32.
std::vector<FileTile> widened_tiles(const TensorInfo& tensor, DType stored, const TileView& view);

// Where a box inside of a tile is.
TileView part_of_view(const TileView& view, const Box& tile, const Box& part, DType stored);

// The source, called "torch". Sorts tensors by key and tiles by origin. Throws Error "manifest-duplicate-key".
std::unique_ptr<Source> make_tiled_source(TiledContents contents);

}  // namespace remap::formats
