#include "formats/tiled_source.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <mutex>

#include <fmt/format.h>

#include "base/float_bits.h"
#include "formats/folder_files.h"
#include "formats/json_text.h"
#include "formats/limit.h"
#include "tensor/box.h"
#include "tensor/flat_range.h"
#include "tensor/tiling.h"

namespace remap::formats {
namespace {

class TiledSource final : public Source {
 public:
  explicit TiledSource(TiledContents contents) : contents_(std::move(contents)) {
    std::sort(contents_.tensors.begin(), contents_.tensors.end(),
              [](const TiledTensor& a, const TiledTensor& b) { return a.info.key < b.info.key; });
    std::vector<TensorInfo> infos;
    infos.reserve(contents_.tensors.size());
    for (TiledTensor& tensor : contents_.tensors) {
      infos.push_back(tensor.info);
      std::sort(tensor.tiles.begin(), tensor.tiles.end(),
                [](const FileTile& a, const FileTile& b) { return a.box.origin < b.box.origin; });
    }
    manifest_ = Manifest(std::move(infos), contents_.path);  // sorted already, so that indices agree
    for (const MappedFile& file : contents_.files) add_file_read({file.path(), file.stamp()});
  }

  std::string_view format() const override { return "torch"; }
  const std::string& path() const override { return contents_.path; }
  const Manifest& manifest() const override { return manifest_; }
  const Json& metadata() const override { return contents_.metadata; }
  std::vector<std::string> remarks() const override { return contents_.remarks; }

  std::vector<Box> tile_boxes(size_t index) const override {
    require_read(manifest_[index], path());
    std::vector<Box> boxes;
    for (const FileTile& tile : contents_.tensors[index].tiles) boxes.push_back(tile.box);
    return boxes;
  }
  bool in_place(size_t index) const override {
    const auto& tiles = contents_.tensors[index].tiles;
    return std::none_of(tiles.begin(), tiles.end(), [](const FileTile& tile) { return tile.load != nullptr; });
  }
  TileView load(size_t index, size_t tile, TileBuffer& buffer) const override {
    require_read(manifest_[index], path());
    const FileTile& wanted = contents_.tensors[index].tiles[tile];
    return wanted.load ? wanted.load(buffer) : wanted.view;
  }
  void check_bytes() const override {
    for (const MappedFile& file : contents_.files) file.require_readable();
  }

 private:
  TiledContents contents_;
  Manifest manifest_;
};

// Calls body(a, b, n) for the elements of two views of a box: n of them that lie side by side in both.
template <typename Body>
void for_each_run(const Shape& extent, const TileView& a, const TileView& b, int width, const Body& body) {
  // The inner dimensions that are side by side in both.
  size_t outer = extent.size();
  int64_t run = 1;
  while (outer > 0 && a.strides[outer - 1] == run && b.strides[outer - 1] == run) run *= extent[--outer];
  std::vector<int64_t> at(outer, 0);
  while (true) {
    int64_t offset_a = 0, offset_b = 0;
    for (size_t d = 0; d < outer; ++d) offset_a += at[d] * a.strides[d], offset_b += at[d] * b.strides[d];
    body(a.data + offset_a * width, b.data + offset_b * width, run);
    size_t d = outer;
    while (d > 0 && ++at[d - 1] == extent[d - 1]) at[--d] = 0;
    if (d == 0) return;
  }
}

bool are_equal(const Shape& extent, const TileView& a, const TileView& b, int width) {
  bool equal = true;
  for_each_run(extent, a, b, width, [&](const std::byte* x, const std::byte* y, int64_t n) {
    equal = equal && std::memcmp(x, y, static_cast<size_t>(n * width)) == 0;
  });
  return equal;
}

// Those of a tensor that are the same everywhere, compared once.
struct Replicas {
  std::string key;
  Box box;
  int width;
  std::vector<Replica> all;
  std::once_flag compared = {};

  void compare() {
    for (const Replica& other : all)
      if (!are_equal(box.extent, all.front().view, other.view, width))
        throw Error("source-replicas", BytePlace{other.file, {}, {}},
                    fmt::format("'{}' is whole in every file, but differs from that in '{}'", key, all.front().file),
                    "the files are not of one checkpoint, or one of them is damaged: fetch them again");
  }
};

}  // namespace

void add_document(TiledContents& contents, const std::string& folder, const char* file, const char* name,
                  const Limits& limits) {
  const std::string path = (std::filesystem::path(folder) / file).string();
  if (contents.metadata.contains(name) || !is_file(path)) return;
  const MappedFile mapped(path);
  check_limit(mapped.size(), limits.max_index_bytes, "max_index_bytes", BytePlace{path, {}, {}},
              "bytes of a JSON file");
  contents.metadata[name] = mapped.read([&] {
    return parse_json({reinterpret_cast<const char*>(mapped.data()), static_cast<size_t>(mapped.size())}, {path});
  });
  contents.files.push_back(mapped);
}

void require_tiling(const TensorInfo& tensor, const std::vector<Box>& boxes, const std::string& path,
                    std::string_view parts) {
  const Shape shape = stored_form(tensor).shape;
  const auto fail = [&](const std::string& message) {
    throw Error("source-tiles", BytePlace{path, {}, {}}, message,
                "the checkpoint is damaged, or its files are not of one run: save or fetch it again");
  };
  for (const Box& box : boxes)
    for (size_t d = 0; d < shape.size(); ++d)
      if (box.origin[d] < 0 || box.extent[d] < 0 || box.origin[d] > shape[d] ||
          box.extent[d] > shape[d] - box.origin[d])
        fail(fmt::format("one of the {} of '{}' is {} at {}: it reaches outside of the tensor, which is {}", parts,
                         tensor.key, to_string(box.extent), to_string(box.origin), to_string(shape)));
  const std::string fault = tiling_fault(boxes, shape);
  if (!fault.empty())
    fail(fmt::format("the {} of '{}' ({} of them) do not make up its {}: {}", parts, tensor.key, boxes.size(),
                     to_string(shape), fault));
}

TileView part_of_view(const TileView& view, const Box& tile, const Box& part, DType stored) {
  TileView out = view;
  const int64_t bytes = offset_in_tile(part, tile, view.strides) * size_bytes(stored);
  out.data += bytes;
  out.offset_bytes += static_cast<uint64_t>(bytes);
  return out;
}

std::vector<FileTile> tiles_of_range(const TensorInfo& tensor, const FlatRange& range) {
  std::vector<FileTile> tiles;
  const int width = size_bytes(tensor.dtype);
  for (RangeBox& part : boxes_of_range(tensor.shape, range.begin, range.end)) {
    TileView view = range.flat;
    const int64_t bytes = (part.first - range.begin) * width;
    view.data += bytes;
    view.offset_bytes += static_cast<uint64_t>(bytes);
    view.strides = row_major_strides(part.box.extent);
    tiles.push_back({std::move(part.box), std::move(view)});
  }
  return tiles;
}

FileTile tile_of_replicas(const TensorInfo& tensor, const Box& box, std::vector<Replica> replicas) {
  FileTile tile{box, replicas.front().view};
  if (replicas.size() == 1) return tile;
  const auto shared = std::make_shared<Replicas>();
  shared->key = tensor.key;
  shared->box = box;
  shared->width = size_bytes(stored_form(tensor).dtype);
  shared->all = std::move(replicas);
  tile.load = [shared](TileBuffer&) {
    std::call_once(shared->compared, [&] { shared->compare(); });
    return shared->all.front().view;
  };
  return tile;
}

std::vector<FileTile> widened_tiles(const TensorInfo& tensor, DType stored, const TileView& view) {
  constexpr int64_t kTileElements = int64_t{1} << 20;
  std::vector<FileTile> tiles;
  const Box whole{Shape(tensor.shape.size(), 0), tensor.shape};
  if (is_empty(whole)) return tiles;
  for (Box& box : cut_box(whole, kTileElements)) {
    const TileView part = part_of_view(view, whole, box, stored);
    const Shape extent = box.extent;
    tiles.push_back({std::move(box), {}, [part, extent, stored](TileBuffer& buffer) {
                       buffer.resize(static_cast<size_t>(element_count(extent)) * sizeof(uint32_t));
                       TileView out{buffer.data(), row_major_strides(extent)};
                       std::byte* to = buffer.data();
                       for_each_run(extent, part, part, size_bytes(stored),
                                    [&](const std::byte* from, const std::byte*, int64_t n) {
                                      for (int64_t i = 0; i < n; ++i, from += 2, to += 4) {
                                        uint16_t half = 0;
                                        std::memcpy(&half, from, 2);
                                        const uint32_t wide =
                                            stored == DType::bf16 ? f32_of_bf16(half) : f32_of_f16(half);
                                        std::memcpy(to, &wide, 4);
                                      }
                                    });
                       return out;
                     }});
  }
  return tiles;
}

std::unique_ptr<Source> make_tiled_source(TiledContents contents) {
  return std::make_unique<TiledSource>(std::move(contents));
}

}  // namespace remap::formats
