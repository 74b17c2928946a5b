// A source of one zarr array 'a', so that tests read what users of a Source read.
#pragma once

#include <string>
#include <utility>

#include "formats/zarr.h"
#include "remap/source.h"

namespace remap::test {

class ZarrArraySource : public Source {
 public:
  ZarrArraySource(std::string folder, formats::ZarrArray array) : path_(std::move(folder)), array_(std::move(array)) {
    array_.store = std::make_shared<formats::FolderStore>(path_);
    manifest_ = Manifest({{"a", array_.dtype, array_.shape}});
  }
  std::string_view format() const override { return "test"; }
  const std::string& path() const override { return path_; }
  const Manifest& manifest() const override { return manifest_; }
  const Json& metadata() const override { return metadata_; }
  std::vector<Box> tile_boxes(size_t) const override { return formats::zarr_tiles(array_); }
  TileView load(size_t, size_t tile, TileBuffer& buffer) const override {
    return formats::load_zarr_tile(array_, tile, buffer);
  }
  const formats::ZarrArray& array() const { return array_; }

 private:
  std::string path_;
  formats::ZarrArray array_;
  Manifest manifest_;
  Json metadata_ = Json::object();
};

}  // namespace remap::test
