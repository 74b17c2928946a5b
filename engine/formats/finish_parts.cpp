#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <set>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder_names.h"
#include "base/mapped_file.h"
#include "base/open_descriptor.h"
#include "formats/output_file.h"
#include "formats/part_file.h"
#include "formats/partial_folder.h"
#include "remap/diagnostic.h"
#include "remap/text.h"

namespace remap {
namespace {

using formats::at;
using formats::exists;
using formats::is_real_folder;
using formats::PartFile;

std::string parts_folder(const std::string& output) { return formats::parse_destination(output).path + ".parts"; }

// "1, 4 to 7": which of 1 … of are not there.
std::string missing_from(const std::set<uint32_t>& there, uint32_t of) {
  constexpr size_t kMostRuns = 20;
  std::vector<std::string> runs;
  const auto add = [&](uint64_t begin, uint64_t end) {
    if (begin < end) runs.push_back(begin + 1 == end ? std::to_string(begin) : fmt::format("{} to {}", begin, end - 1));
  };
  uint64_t next = 1;
  for (const uint32_t number : there) add(std::exchange(next, uint64_t{number} + 1), number);
  add(next, uint64_t{of} + 1);
  const size_t more = runs.size() - std::min(runs.size(), kMostRuns);
  runs.resize(runs.size() - more);
  return fmt::format("{}{}", fmt::join(runs, ", "), more == 0 ? "" : " and others");
}

// "'part-2-of-3/notes'", or the name alone where there is nothing in it.
std::string first_in(const std::string& folder, const std::string& name) {
  const auto names = names_in(folder + "/" + name, FolderLink::refuse, 1).names;
  return fmt::format("'{}'", printable(names.empty() ? name : name + "/" + names.front()));
}

// The shards are moved into OUT.parts/whole, which becomes OUT. What is moved of which parts is in OUT.parts/whole.json
// before the first one is, and until the last part is removed: so a run that was killed can be gone on with, and what
// it left of other parts is told from these.
class Finish {
 public:
  Finish(const std::string& output, const FinishOptions& options)
      : destination_(formats::parse_destination(output)),
        options_(options),
        folder_(parts_folder(output)),
        whole_(folder_ + "/whole"),
        record_file_(folder_ + "/whole.json"),
        lock_(folder_, options.notice, options.cancel) {}

  Finished run() {
    read_parts();
    read_record();
    if (exists(destination_.path)) {
      if (!is_joined()) return nothing_to_join();
      for (const auto& file : joined_.files())
        require_whole(destination_.path + "/" + file.name, file, "remove the folder, and write the parts again");
    } else {
      require_all();
      require_same();
      joined_ = all_parts();
      goes_on_ = record_ == joined_;
      require_files();
      join();
    }
    remove_parts();
    uint64_t bytes = 0;
    for (const auto& shard : joined_.shards) bytes += shard.size_bytes;
    return {joined_.part.of, joined_.shards.size(), bytes};
  }

 private:
  struct Part {
    std::string folder;
    PartFile file;
  };

  void read_parts() {
    for (const std::string& name : names_in(folder_).names)
      if (name.starts_with("part-") && exists(folder_ + "/" + name + "/" + formats::kPartFile)) {
        const std::string part = folder_ + "/" + name;
        parts_.push_back({part, formats::read_part_file(part + "/" + formats::kPartFile, options_.limits)});
      }
    std::sort(parts_.begin(), parts_.end(),
              [](const Part& a, const Part& b) { return a.file.part.number < b.file.part.number; });
  }

  void read_record() {
    if (!exists(record_file_)) return;
    try {
      record_ = formats::read_part_file(record_file_, options_.limits);
    } catch (const Error& error) {
      throw Error("parts-damaged", at(record_file_),
                  "of what 'whole' was put together cannot be read: " + error.diagnostic().message,
                  "remove it and 'whole', and write the parts again whose files are not there any more");
    }
  }

  // A run that was killed may have left the folder, which is empty then.
  Finished nothing_to_join() const {
    if (!parts_.empty())
      throw Error("output-exists", at(destination_.path), "exists already", "remove it, then finish again");
    for (const char* const name : {"model.safetensors", "model.safetensors.index.json"})
      if (exists(destination_.path + "/" + name)) return ::rmdir(folder_.c_str()), Finished{};
    throw Error("parts-missing", at(destination_.path), "is there already, without a model, and no parts of it are",
                fmt::format("remove it, and write them with {}", how_to_write()));
  }

  std::string how_to_write() const { return fmt::format("remap … -o {} --shard 1/N and so on", destination_.path); }

  void require_all() const {
    if (parts_.empty())
      throw Error("parts-missing", at(folder_), exists(folder_) ? "no part is there" : "there are no parts",
                  "write them with " + how_to_write());
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
    if (there.size() == of) return;
    uint32_t first = 1;
    while (there.contains(first)) ++first;
    const bool is_one = of - there.size() == 1;
    throw Error(
        "parts-missing", at(folder_),
        fmt::format("{} of {} parts {} there; missing: {}", there.size(), of, there.size() == 1 ? "is" : "are",
                    missing_from(there, of)),
        fmt::format("write {} with --shard {}/{}{}", is_one ? "it" : "them", first, of, is_one ? "" : " and so on"));
  }

  // Most of them are right, or nobody can tell which are.
  void require_same() const {
    const auto n_like = [&](const Part& part) {
      return std::count_if(parts_.begin(), parts_.end(),
                           [&](const Part& other) { return difference(part.file, other.file).empty(); });
    };
    const Part* most = &parts_.front();
    for (const Part& part : parts_)
      if (n_like(part) > n_like(*most)) most = &part;
    for (const Part& part : parts_)
      if (const std::string what = difference(part.file, most->file); !what.empty())
        throw Error("parts-differ", at(part.folder),
                    fmt::format("was made of another {} than '{}'", what, most->folder),
                    n_like(part) < n_like(*most) ? "write it again as the others were, with --force"
                                                 : "write the one again, with --force, that is not as you want it");
  }

  // What the parts are together.
  PartFile all_parts() const {
    PartFile all = parts_.front().file;
    std::set<std::string> names;
    all.shards.clear();
    for (const auto& text : all.texts) names.insert(text.name);
    for (const Part& part : parts_)
      for (const auto& shard : part.file.shards) {
        if (!names.insert(shard.name).second)
          throw Error("parts-differ", at(part.folder),
                      fmt::format("holds '{}', which another part holds too", shard.name),
                      "write it again, with --force");
        all.shards.push_back(shard);
      }
    if (all.shards.size() != all.n_shards)
      throw Error("parts-damaged", at(folder_),
                  fmt::format("the parts hold {} of {} shards", all.shards.size(), all.n_shards),
                  "remove the folder, and write the parts again");
    return all;
  }

  // Those of it that are joined.
  std::vector<PartFile::Shard> files_of(const Part& part) const {
    return &part == &parts_.front() ? part.file.files() : part.file.shards;
  }

  // By a run that was killed before it had removed what is left of the parts.
  bool is_joined() {
    if (!record_ || exists(whole_) || !is_real_folder(destination_.path)) return false;
    for (const auto& file : record_->files()) {
      if (!exists(destination_.path + "/" + file.name)) return false;
      for (const Part& part : parts_)
        if (exists(part.folder + "/" + file.name)) return false;
    }
    joined_ = *record_;
    return true;
  }

  // In the part, unless a run that was killed has moved it already.
  std::string where(const Part& part, const PartFile::Shard& shard) const {
    const std::string moved = whole_ + "/" + shard.name, own = part.folder + "/" + shard.name;
    return goes_on_ && !exists(own) && exists(moved) ? moved : own;
  }

  void require_whole(const std::string& path, const PartFile::Shard& file, const std::string& hint) const {
    stop_if_cancelled();
    if (const std::string why = formats::why_not_whole(path, file); !why.empty())
      throw Error("parts-damaged", at(path), why, hint);
  }

  // Each where it is.
  void require_files() const {
    for (const Part& part : parts_)
      for (const auto& file : files_of(part))
        require_whole(
            where(part, file), file,
            fmt::format("write that part again, with --shard {}/{}", part.file.part.number, part.file.part.of));
  }

  void join() {
    begin_whole();
    std::set<std::string> names;
    for (const auto& file : joined_.files()) names.insert(file.name);
    for (const std::string& name : names_in(whole_, FolderLink::refuse).names) {
      if (names.contains(name)) continue;
      if (::unlink((whole_ + "/" + name).c_str()) != 0)
        throw Error("parts-damaged", at(whole_), fmt::format("holds '{}', which is of no part", printable(name)),
                    "remove that");
    }
    for (const Part& part : parts_)
      for (const auto& shard : files_of(part)) {
        stop_if_cancelled();
        const std::string from = where(part, shard), to = whole_ + "/" + shard.name;
        if (from != to && std::rename(from.c_str(), to.c_str()) != 0) fail(from, errno);
      }
    sync(whole_);
    formats::rename_to_new(whole_, destination_);
    sync(destination_.parent);
  }

  // The folder that is moved into. What is in one of other parts is nobody's any more.
  void begin_whole() {
    const bool is_there = exists(whole_);
    if (is_there && (!is_real_folder(whole_) || !record_))
      throw Error("parts-damaged", at(whole_),
                  is_real_folder(whole_) ? "is there, and nothing says of what it was put together" : "is not a folder",
                  "remove it");
    if (!goes_on_) {
      if (is_there) formats::remove_flat_folder(whole_);
      const std::string written = record_file_ + ".new";
      write(written, formats::part_text(joined_));
      if (std::rename(written.c_str(), record_file_.c_str()) != 0) fail(record_file_, errno);
      sync(folder_);
    }
    if (::mkdir(whole_.c_str(), 0777) != 0 && errno != EEXIST) fail(whole_, errno);
  }

  // The record goes last. What runs left of parts that were killed goes too; what is not remap's stays.
  void remove_parts() const {
    for (const Part& part : parts_) {
      ::unlink((part.folder + "/" + formats::kPartFile).c_str());
      ::rmdir(part.folder.c_str());
    }
    std::vector<std::string> others;
    for (const std::string& name : names_in(folder_).names) {
      const std::string path = folder_ + "/" + name;
      formats::remove_leftover(folder_, name);
      if (name.starts_with("part-")) ::rmdir(path.c_str());  // empty: a run was killed that removed it
      if (path != record_file_ && exists(path)) others.push_back(first_in(folder_, name));
    }
    if (!others.empty() && options_.notice)
      options_.notice({Severity::note,
                       "output-leftover",
                       at(folder_),
                       fmt::format("is not removed: it holds {}, which no part wrote", fmt::join(others, ", ")),
                       {},
                       "remove it if nothing needs it"});
    ::unlink(record_file_.c_str());
    ::rmdir(folder_.c_str());
  }

  void stop_if_cancelled() const {
    if (options_.cancel != nullptr && *options_.cancel)
      throw Error("cancelled", {}, "stopped before the parts were joined", "run it again to go on");
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
    const bool is_full = error == ENOSPC || error == EDQUOT;
    throw Error(is_full ? "output-disk-full" : "io-write", at(path),
                fmt::format("cannot be put together: {}", errno_text(error)),
                is_full          ? "free some space, and finish again"
                : error == EXDEV ? "the parts and the output must be on one file system: move them there"
                                 : "finish again when it can be written to");
  }

  formats::Destination destination_;
  const FinishOptions& options_;
  std::string folder_, whole_, record_file_;
  formats::PartsLock lock_;
  std::vector<Part> parts_;         // by number
  std::optional<PartFile> record_;  // of what `whole_` is put together
  PartFile joined_;                 // all parts in one
  bool goes_on_ = false;            // `whole_` is put together of these
};

}  // namespace

std::string part_folder(const std::string& output, const OutputPart& part) {
  return fmt::format("{}/part-{}-of-{}", parts_folder(output), part.number, part.of);
}

Finished finish_parts(const std::string& output, const FinishOptions& options) { return Finish(output, options).run(); }

}  // namespace remap
