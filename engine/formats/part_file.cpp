#include "formats/part_file.h"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/mapped_file.h"
#include "base/open_descriptor.h"
#include "formats/json_text.h"
#include "formats/output_file.h"
#include "formats/partial_folder.h"
#include "remap/diagnostic.h"

namespace remap::formats {
namespace {

constexpr int kVersion = 2;

[[noreturn]] void fail_part(const std::string& path, const std::string& what) {
  throw Error("parts-damaged", BytePlace{path, {}, {}}, what,
              "remove the folder that it is in, and write that part again");
}

class Reader {
 public:
  Reader(const std::string& path, const Json& json) : path_(path), json_(json) {
    if (!json.is_object()) fail_part(path_, "is not an object");
  }

  const Json& at(const Json& object, const char* name) const {
    const auto entry = object.find(name);
    if (entry == object.end()) fail_part(path_, fmt::format("has no '{}'", name));
    return *entry;
  }
  const Json& at(const char* name) const { return at(json_, name); }
  uint64_t number(const Json& object, const char* name) const {
    const Json& value = at(object, name);
    if (!value.is_number_unsigned()) fail_part(path_, fmt::format("'{}' is not a count", name));
    return value.get<uint64_t>();
  }
  uint32_t count(const char* name) const {
    const uint64_t value = number(json_, name);
    if (value == 0 || value > UINT32_MAX) fail_part(path_, fmt::format("'{}' is out of range", name));
    return static_cast<uint32_t>(value);
  }
  std::string string(const Json& object, const char* name) const { return string_of(at(object, name), name); }
  std::string string_of(const Json& value, std::string_view name) const {
    if (!value.is_string()) fail_part(path_, fmt::format("'{}' is not a string", name));
    return value.get<std::string>();
  }
  std::map<std::string, std::string> strings(const char* name) const {
    const Json& object = at(name);
    if (!object.is_object()) fail_part(path_, fmt::format("'{}' is not an object", name));
    std::map<std::string, std::string> all;
    for (const auto& [key, value] : object.items()) all.emplace(key, string_of(value, key));
    return all;
  }

 private:
  const std::string& path_;
  const Json& json_;
};

// What is moved and written under this name must be a file of the folder.
std::string plain_name(const std::string& path, const std::string& name) {
  if (!is_file_name(name)) fail_part(path, fmt::format("names a file '{}', which is not a name in a folder", name));
  return name;
}

}  // namespace

std::vector<PartFile::Shard> PartFile::files() const {
  std::vector<Shard> all = shards;
  all.insert(all.end(), texts.begin(), texts.end());
  return all;
}

std::string part_text(const PartFile& file) {
  const auto list = [](const std::vector<PartFile::Shard>& shards) {
    Json all = Json::array();
    for (const auto& shard : shards)
      all.push_back({{"name", shard.name},
                     {"size_bytes", shard.size_bytes},
                     {"head_bytes", shard.head_bytes},
                     {"head_sum", shard.head_sum}});
    return all;
  };
  return Json{{"remap_part", kVersion},   {"part", file.part.number},  {"parts", file.part.of},
              {"made_of", file.made_of},  {"n_shards", file.n_shards}, {"shards", list(file.shards)},
              {"texts", list(file.texts)}}
             .dump(2, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

PartFile read_part_file(const std::string& path, const Limits& limits) {
  const Json json = parse_json(read_text_file(path, limits.max_index_bytes), {path, "parts-damaged", {}});
  const Reader in(path, json);
  if (const uint64_t version = in.number(json, "remap_part"); version != kVersion)
    fail_part(path, fmt::format("is of version {}; this remap reads version {}", version, kVersion));
  PartFile file;
  file.part = {in.count("part"), in.count("parts")};
  if (file.part.number > file.part.of) fail_part(path, fmt::format("is part {} of {}", file.part.number, file.part.of));
  file.made_of = in.strings("made_of");
  file.n_shards = in.number(json, "n_shards");
  for (const auto& [name, shards] : {std::pair("shards", &file.shards), {"texts", &file.texts}}) {
    if (!in.at(name).is_array()) fail_part(path, fmt::format("'{}' is not a list", name));
    for (const Json& shard : in.at(name)) {
      if (!shard.is_object()) fail_part(path, "a file is not an object");
      shards->push_back({plain_name(path, in.string(shard, "name")), in.number(shard, "size_bytes"),
                         in.number(shard, "head_bytes"), in.string(shard, "head_sum")});
    }
  }
  return file;
}

PartsLock::PartsLock(const std::string& folder, const std::function<void(const Diagnostic&)>& notice,
                     const std::atomic<bool>* cancel)
    : fd_(open_descriptor(folder, O_RDONLY | O_DIRECTORY)) {
  for (bool said = false; fd_ >= 0 && lock_soon(fd_) == EWOULDBLOCK; said = true) {
    if (cancel != nullptr && *cancel) {
      ::close(fd_);
      throw Error("cancelled", {}, "stopped before it began", "run it again to go on");
    }
    if (!said && notice)
      notice({Severity::warning,
              "output-in-use",
              at(folder),
              "another run joins these parts, or writes one",
              {},
              "this one goes on when that one has ended"});
  }
}

PartsLock::~PartsLock() {
  if (fd_ >= 0) ::close(fd_);
}

std::string difference(const PartFile& a, const PartFile& b) {
  // What explains the others comes first.
  std::vector<std::string> names = {"version", "source", "plan", "layout"};
  for (const PartFile* const one : {&a, &b})
    for (const auto& [name, digest] : one->made_of) names.push_back(name);
  const auto digest_in = [](const PartFile& file, const std::string& name) {
    const auto found = file.made_of.find(name);
    return found == file.made_of.end() ? "" : found->second;
  };
  for (const std::string& name : names)
    if (digest_in(a, name) != digest_in(b, name)) return name;
  return a.n_shards == b.n_shards ? "" : "layout";
}

std::string why_not_whole(const std::string& path, const PartFile::Shard& shard) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return "is not there any more";
  if (!S_ISREG(info.st_mode)) return "is not a plain file";
  const MappedFile file(path);
  if (file.size() != shard.size_bytes)
    return fmt::format("has {} bytes; it was written with {}", file.size(), shard.size_bytes);
  if (shard.head_bytes > file.size() ||
      to_string(checksum(file.bytes().first(static_cast<size_t>(shard.head_bytes)))) != shard.head_sum)
    return "does not begin with the header it was written with";
  return "";
}

// The shards of a part are neighbours: they read neighbouring tensors.
uint32_t part_of_shard(uint64_t index, uint64_t n_shards, uint32_t n_parts) {
  return static_cast<uint32_t>(index * n_parts / n_shards) + 1;
}

}  // namespace remap::formats
