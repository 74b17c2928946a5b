#include "formats/joined_files.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/limit.h"

namespace remap::formats {
namespace {

// A tree of tensors and nothing else is written as {"$tensors": how many}.
bool says_more_than_tensors(const Json& metadata) { return !metadata.empty() && !(metadata.size() == 1 && metadata.contains("$tensors")); }

class JoinedFiles final : public Source {
 public:
  JoinedFiles(std::string folder, std::vector<NamedFile> files, const Limits& limits) : path_(std::move(folder)), files_(std::move(files)) {
    uint64_t n_tensors = 0;
    std::vector<std::pair<std::string, Home>> keys;
    for (size_t f = 0; f < files_.size(); ++f) {
      const auto& [name, source] = files_[f];
      if (source->format() != format())
        throw Error("source-unknown-format", BytePlace{path_, {}, {}},
                    fmt::format("'{}' is {} and '{}' is {}: they are no parts of one checkpoint", files_.front().name, format(), name, source->format()),
                    "give one of them");
      n_tensors += source->manifest().size();
      check_limit(n_tensors, limits.max_tensors, "max_tensors", BytePlace{path_, {}, {}}, "tensors");
      for (size_t t = 0; t < source->manifest().size(); ++t) keys.emplace_back(inside(f, source->manifest()[t].key), Home{f, t});
      if (says_more_than_tensors(source->metadata())) metadata_["files"][name] = source->metadata();
    }
    std::sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<TensorInfo> infos;
    for (auto& [key, home] : keys) {
      TensorInfo info = files_[home.file].source->manifest()[home.tensor];
      info.key = std::move(key);
      if (!info.alias.empty()) info.alias = inside(home.file, info.alias);
      infos.push_back(std::move(info));
      homes_.push_back(home);
    }
    manifest_ = Manifest(std::move(infos), path_);  // sorted already, so that indices agree with homes_
  }

  std::string_view format() const override { return files_.front().source->format(); }
  const std::string& path() const override { return path_; }
  const Manifest& manifest() const override { return manifest_; }
  const Json& metadata() const override { return metadata_; }
  bool has_data() const override { return files_.front().source->has_data(); }
  std::vector<Box> tile_boxes(size_t index) const override { return files_[homes_[index].file].source->tile_boxes(homes_[index].tensor); }
  TileView load(size_t index, size_t tile, TileBuffer& buffer) const override {
    return files_[homes_[index].file].source->load(homes_[index].tensor, tile, buffer);
  }
  std::vector<std::string> remarks() const override { return of_all(&Source::remarks); }
  std::vector<std::string> warnings() const override { return of_all(&Source::warnings); }

 private:
  struct Home {
    size_t file = 0, tensor = 0;
  };
  std::string inside(size_t file, const std::string& key) const { return files_[file].name + "/" + key; }
  std::vector<std::string> of_all(std::vector<std::string> (Source::*what)() const) const {
    std::vector<std::string> all;
    for (const auto& [name, source] : files_)
      for (const auto& line : (source.get()->*what)()) all.push_back(fmt::format("{}: {}", name, line));
    return all;
  }

  std::string path_;
  std::vector<NamedFile> files_;  // never empty
  std::vector<Home> homes_;       // by index in the manifest
  Manifest manifest_;
  Json metadata_ = Json::object();
};

}  // namespace

std::unique_ptr<Source> join_files(const std::string& folder, std::vector<NamedFile> files, const Limits& limits) {
  return std::make_unique<JoinedFiles>(folder, std::move(files), limits);
}

}  // namespace remap::formats
