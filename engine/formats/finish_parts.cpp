#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <set>
#include <span>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include "base/checksum.h"
#include "base/mapped_file.h"
#include "formats/output_file.h"
#include "formats/part_file.h"
#include "formats/partial_folder.h"
#include "remap/diagnostic.h"
#include "remap/text.h"

namespace remap {
namespace {

using formats::at;
using formats::exists;
using formats::PartFile;

std::string parts_folder(const std::string& output) { return formats::parse_destination(output).path + ".parts"; }

// "1, 4 to 7": numbers in order.
std::string runs_of(const std::vector<uint32_t>& numbers) {
  std::vector<std::string> runs;
  for (size_t i = 0; i < numbers.size();) {
    size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    runs.push_back(last == i ? std::to_string(numbers[i]) : fmt::format("{} to {}", numbers[i], numbers[last]));
    i = last + 1;
  }
  return fmt::format("{}", fmt::join(runs, ", "));
}

class Finish {
 public:
  Finish(const std::string& output, const FinishOptions& options)
      : destination_(formats::parse_destination(output)),
        options_(options),
        folder_(parts_folder(output)),
        whole_(folder_ + "/whole") {}

  Finished run() {
    read_parts();
    require_all();
    require_same();
    if (exists(destination_.path)) {
      if (!is_joined())
        throw Error("output-exists", at(destination_.path), "exists already", "remove it, then finish again");
      whole_ = destination_.path;  // by a run that was killed before it had removed what is left of the parts
      require_shards();
    } else {
      require_shards();
      join();
    }
    remove_parts();
    return {parts_.size(), n_shards(), bytes_};
  }

 private:
  struct Part {
    std::string folder;
    PartFile file;
  };

  void read_parts() {
    std::error_code error;
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("part-") && exists(folder_ + "/" + name + "/" + formats::kPartFile)) names.push_back(name);
    }
    if (error && exists(destination_.path))
      throw Error("parts-missing", at(destination_.path), "is there already, and no parts of it are",
                  "it was joined before");
    if (error)
      throw Error("parts-missing", at(folder_), fmt::format("there are no parts: {}", error.message()),
                  fmt::format("write them with remap … -o {} --shard 1/N and so on", destination_.path));
    for (const std::string& name : names) {
      Part part{folder_ + "/" + name, {}};
      part.file = formats::read_part_file(part.folder + "/" + formats::kPartFile, options_.limits);
      parts_.push_back(std::move(part));
    }
    std::sort(parts_.begin(), parts_.end(),
              [](const Part& a, const Part& b) { return a.file.part.number < b.file.part.number; });
  }

  void require_all() const {
    if (parts_.empty())
      throw Error("parts-missing", at(folder_), "no part is there",
                  fmt::format("write them with remap … -o {} --shard 1/N and so on", destination_.path));
    const uint32_t of = parts_.front().file.part.of;
    std::set<uint32_t> there;
    for (const Part& part : parts_) {
      if (part.file.part.of != of)
        throw Error(
            "parts-differ", at(part.folder),
            fmt::format("is one of {} parts, where '{}' is one of {}", part.file.part.of, parts_.front().folder, of),
            "remove those of the number that you do not want");
      if (!there.insert(part.file.part.number).second)
        throw Error("parts-differ", at(part.folder), fmt::format("is part {} a second time", part.file.part.number),
                    "remove one of them");
    }
    std::vector<uint32_t> missing;
    for (uint32_t number = 1; number <= of && missing.size() < 1000; ++number)
      if (!there.contains(number)) missing.push_back(number);
    if (!missing.empty())
      throw Error("parts-missing", at(folder_),
                  fmt::format("{} of {} parts {} there; missing: {}", there.size(), of,
                              there.size() == 1 ? "is" : "are", runs_of(missing)),
                  fmt::format("write {} with --shard {}/{}{}", missing.size() == 1 ? "it" : "them", missing.front(), of,
                              missing.size() == 1 ? "" : " and so on"));
  }

  void require_same() const {
    const PartFile& first = parts_.front().file;
    for (const Part& part : parts_)
      for (const auto& [name, digest] : first.made_of) {
        const auto other = part.file.made_of.find(name);
        if (other == part.file.made_of.end() || other->second != digest || part.file.n_shards != first.n_shards)
          throw Error("parts-differ", at(part.folder),
                      fmt::format("was made of another {} than '{}'", name, parts_.front().folder),
                      "remove it, and write it again as the others were");
      }
  }

  size_t n_shards() const { return static_cast<size_t>(parts_.front().file.n_shards); }

  bool is_joined() const {
    return !exists(whole_) && std::all_of(parts_.begin(), parts_.end(), [&](const Part& part) {
      return std::all_of(part.file.shards.begin(), part.file.shards.end(), [&](const PartFile::Shard& shard) {
        return exists(destination_.path + "/" + shard.name) && !exists(part.folder + "/" + shard.name);
      });
    });
  }

  // In the part, or already moved by a run that was killed.
  std::string where(const Part& part, const PartFile::Shard& shard) const {
    const std::string moved = whole_ + "/" + shard.name;
    return exists(moved) ? moved : part.folder + "/" + shard.name;
  }

  void require_shards() {
    std::set<std::string> names;
    for (const Part& part : parts_)
      for (const auto& shard : part.file.shards) {
        if (!names.insert(shard.name).second)
          throw Error("parts-differ", at(part.folder),
                      fmt::format("holds '{}', which another part holds too", shard.name),
                      "remove it, and write it again");
        require_whole(where(part, shard), shard);
        bytes_ += shard.size_bytes;
      }
    if (names.size() != n_shards())
      throw Error("parts-damaged", at(folder_), fmt::format("the parts hold {} of {} shards", names.size(), n_shards()),
                  "remove the folder, and write the parts again");
  }

  void require_whole(const std::string& path, const PartFile::Shard& shard) const {
    const char* const hint = "remove the folder of that part, and write it again";
    if (!exists(path)) throw Error("parts-damaged", at(path), "is not there any more", hint);
    const MappedFile file(path);
    if (file.size() != shard.size_bytes)
      throw Error("parts-damaged", at(path),
                  fmt::format("has {} bytes; it was written with {}", file.size(), shard.size_bytes), hint);
    if (shard.head_bytes > file.size() ||
        to_string(checksum(file.bytes().first(static_cast<size_t>(shard.head_bytes)))) != shard.head_sum)
      throw Error("parts-damaged", at(path), "does not begin with the header it was written with", hint);
  }

  void join() {
    if (::mkdir(whole_.c_str(), 0777) != 0 && errno != EEXIST) fail(whole_, errno);
    for (const Part& part : parts_) {
      for (const auto& [name, text] : part.file.texts) write(whole_ + "/" + name, text);
      for (const auto& shard : part.file.shards) {
        const std::string from = where(part, shard), to = whole_ + "/" + shard.name;
        if (from != to && std::rename(from.c_str(), to.c_str()) != 0) fail(from, errno);
      }
    }
    sync(whole_);
    formats::rename_to_new(whole_, destination_);
    sync(destination_.parent);
  }

  void remove_parts() const {
    for (const Part& part : parts_) formats::remove_flat_folder(part.folder);
    std::error_code ignored;  // an unfinished folder of a run that was killed is hidden, and stays
    std::filesystem::remove(folder_, ignored);
  }

  void write(const std::string& path, const std::string& text) const {
    if (const int error = formats::write_text_file(path, text, O_TRUNC | O_NOFOLLOW, options_.sync); error != 0)
      fail(path, error);
  }
  void sync(const std::string& folder) const {
    if (!options_.sync) return;
    if (const int error = formats::sync_folder(folder); error != 0) fail(folder, error);
  }
  [[noreturn]] static void fail(const std::string& path, int error) {
    throw Error("io-write", at(path), fmt::format("cannot be put together: {}", errno_text(error)));
  }

  formats::Destination destination_;
  const FinishOptions& options_;
  std::string folder_, whole_;
  std::vector<Part> parts_;  // by number
  uint64_t bytes_ = 0;
};

}  // namespace

std::string part_folder(const std::string& output, const OutputPart& part) {
  return fmt::format("{}/part-{}-of-{}", parts_folder(output), part.number, part.of);
}

Finished finish_parts(const std::string& output, const FinishOptions& options) { return Finish(output, options).run(); }

}  // namespace remap
