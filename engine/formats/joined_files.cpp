#include "formats/joined_files.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "base/json_members.h"
#include "formats/limit.h"

namespace remap::formats {
namespace {

// A tree of tensors and nothing else is written as {"$tensors": how many}.
bool says_more_than_tensors(const Json& metadata) {
  return !metadata.empty() && !(metadata.size() == 1 && metadata.contains("$tensors"));
}

enum class Keys { after_file_names, as_they_are };

class JoinedFiles final : public Source {
 public:
  JoinedFiles(std::string path, std::vector<NamedFile> files, Keys keys, Json metadata, const Limits& limits)
      : path_(std::move(path)), files_(std::move(files)), as_they_are_(keys == Keys::as_they_are) {
    uint64_t n_tensors = 0;
    std::vector<std::pair<std::string, Home>> homes;
    for (size_t f = 0; f < files_.size(); ++f) {
      const Manifest& manifest = files_[f].source->manifest();
      n_tensors += manifest.size();
      check_limit(n_tensors, limits.max_tensors, "max_tensors", BytePlace{path_, {}, {}}, "tensors");
      for (size_t t = 0; t < manifest.size(); ++t) homes.emplace_back(inside(f, manifest[t].key), Home{f, t});
      add_metadata(files_[f]);
    }
    pairs_.clear();
    for (auto& [name, value] : metadata.items()) metadata_[name] = std::move(value);
    std::sort(homes.begin(), homes.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<TensorInfo> infos;
    for (auto& [key, home] : homes) {
      TensorInfo info = files_[home.file].source->manifest()[home.tensor];
      info.key = std::move(key);
      if (!info.alias.empty()) info.alias = inside(home.file, info.alias);
      infos.push_back(std::move(info));
      homes_.push_back(home);
    }
    manifest_ = Manifest(std::move(infos), path_);  // sorted already, so that indices agree with homes_
  }

  std::string_view format() const override {
    const std::string_view first = files_.front().source->format();
    const auto other = [&](const NamedFile& file) { return file.source->format() != first; };
    return std::any_of(files_.begin(), files_.end(), other) ? "torch" : first;
  }
  const std::string& path() const override { return path_; }
  const Manifest& manifest() const override { return manifest_; }
  const Json& metadata() const override { return metadata_; }
  bool has_data() const override { return files_.front().source->has_data(); }
  std::vector<Box> tile_boxes(size_t index) const override {
    return files_[homes_[index].file].source->tile_boxes(homes_[index].tensor);
  }
  bool in_place(size_t index) const override {
    return files_[homes_[index].file].source->in_place(homes_[index].tensor);
  }
  TileView load(size_t index, size_t tile, TileBuffer& buffer) const override {
    return files_[homes_[index].file].source->load(homes_[index].tensor, tile, buffer);
  }
  void check_bytes() const override {
    for (const NamedFile& file : files_) file.source->check_bytes();
  }
  void visit_files(const FileVisitor& body) const override {
    Source::visit_files(body);
    for (const NamedFile& file : files_) file.source->visit_files(body);
  }
  std::vector<std::string> remarks() const override {
    std::vector<std::string> lines = of_all(&Source::remarks);
    for (const auto& name : differing_)
      lines.push_back(fmt::format("metadata '{}' differs between the files; that of the first is taken", name));
    return lines;
  }
  std::vector<std::string> warnings() const override { return of_all(&Source::warnings); }

 private:
  struct Home {
    size_t file = 0, tensor = 0;
  };
  std::string inside(size_t file, const std::string& key) const {
    return as_they_are_ ? key : files_[file].name + "/" + key;
  }
  void add_metadata(const NamedFile& file) {
    Json said = file.source->metadata();
    // Shards repeat what safetensors files say of themselves; where they differ, the first one counts.
    if (as_they_are_ && said.contains("__metadata__")) {
      Json& pairs = object_in_metadata("__metadata__");
      for (const auto& [name, value] : said["__metadata__"].items())
        if (const auto [known, fresh] = pairs_.try_emplace(name, value); fresh)
          append_member(pairs, name, value);
        else if (known->second != value)
          differing_.insert(name);
      said.erase("__metadata__");
    }
    if (says_more_than_tensors(said)) append_member(object_in_metadata("files"), file.name, std::move(said));
  }
  Json& object_in_metadata(const char* name) {
    Json& object = metadata_[name];
    if (object.is_null()) object = Json::object();
    return object;
  }
  std::vector<std::string> of_all(std::vector<std::string> (Source::*what)() const) const {
    std::vector<std::string> all;
    for (const auto& [name, source] : files_)
      for (const auto& line : (source.get()->*what)()) all.push_back(fmt::format("{}: {}", name, line));
    return all;
  }

  std::string path_;
  std::vector<NamedFile> files_;  // never empty
  bool as_they_are_;
  std::vector<Home> homes_;  // by index in the manifest
  Manifest manifest_;
  Json metadata_ = Json::object();
  std::unordered_map<std::string, Json> pairs_;  // of '__metadata__', while files are added
  std::set<std::string> differing_;              // names of '__metadata__' that files have with different values
};

}  // namespace

std::unique_ptr<Source> join_files(const std::string& folder, std::vector<NamedFile> files, const Limits& limits) {
  const auto& [name, first] = files.front();
  for (const auto& [other_name, other] : files)
    if (other->format() != first->format())
      throw Error("source-unknown-format", BytePlace{folder, {}, {}},
                  fmt::format("'{}' is {} and '{}' is {}: they are not parts of one checkpoint", name, first->format(),
                              other_name, other->format()),
                  "give one of them");
  return std::make_unique<JoinedFiles>(folder, std::move(files), Keys::after_file_names, Json::object(), limits);
}

std::unique_ptr<Source> join_shards(const std::string& path, std::vector<NamedFile> files, Json metadata,
                                    const Limits& limits) {
  return std::make_unique<JoinedFiles>(path, std::move(files), Keys::as_they_are, std::move(metadata), limits);
}

}  // namespace remap::formats
