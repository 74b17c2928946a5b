#include "formats/folder_files.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "remap/diagnostic.h"

namespace remap::formats {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> list_entries(const std::string& folder, bool folders) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    const bool is_folder = it->is_directory(ignored);
    if (is_folder == folders) names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end(), natural_less);
  return names;
}

// "model-00002-of-00004.bin": texts "model-", "-of-", ".bin", numbers 2 and 4.
struct NumberedName {
  std::vector<std::string> texts;  // one more than there are numbers
  std::vector<std::string> digits;
  std::vector<uint64_t> numbers;  // those too large to be one are the largest

  explicit NumberedName(const std::string& name) : texts(1) {
    for (size_t i = 0; i < name.size();) {
      if (!is_digit(name[i])) {
        texts.back() += name[i++];
        continue;
      }
      const size_t begin = i;
      while (i < name.size() && is_digit(name[i])) ++i;
      digits.push_back(name.substr(begin, i - begin));
      uint64_t number = std::numeric_limits<uint64_t>::max();
      std::from_chars(name.data() + begin, name.data() + i, number);
      numbers.push_back(number);
      texts.emplace_back();
    }
  }
  // The name that has `number` in place `at`, as wide as this one's.
  std::string with(size_t at, uint64_t number) const {
    std::string name;
    for (size_t i = 0; i < digits.size(); ++i)
      name += texts[i] + (i == at ? fmt::format("{:0{}}", number, digits[i].size()) : digits[i]);
    return name + texts.back();
  }
};

// Where a name says how many parts there are, and which of them it is.
struct Counted {
  size_t total, part;
  bool shards;  // "2-of-4"; otherwise ranks
};
std::optional<Counted> counted(const NumberedName& name) {
  const auto follows = [&](size_t i, std::string_view text) {
    return i < name.digits.size() && name.texts[i].ends_with(text);
  };
  for (size_t i = 0; i < name.digits.size(); ++i) {
    if (i > 0 && (name.texts[i] == "-of-" || name.texts[i] == "_of_")) return Counted{i, i - 1, true};
    if (!follows(i, "world_size_")) continue;
    for (size_t k = 0; k < name.digits.size(); ++k)
      if (k != i && follows(k, "rank_")) return Counted{i, k, false};
  }
  return std::nullopt;
}

class PartsCheck {
 public:
  PartsCheck(const std::string& folder, const std::vector<std::string>& files, const std::vector<std::string>& all)
      : folder_(folder), files_(files), all_(all) {
    for (const auto& file : files) names_.emplace_back(file);
  }

  void run() const {
    check_downloads();
    // Parts that the user's rules name may differ in more than numbers; then the rules have to know.
    for (const auto& name : names_)
      if (name.texts != names_.front().texts) return;
    check_twice();
    const auto count = counted(names_.front());
    if (count) check_total(*count);
    for (size_t at = 0; at < names_.front().numbers.size(); ++at)
      if (!count || (at != count->total && at != count->part)) check_gaps(at);
    check_all_combinations();
  }

 private:
  [[noreturn]] void fail(const std::string& message, const std::string& hint) const {
    throw Error("source-parts", BytePlace{folder_, {}, {}}, message, hint);
  }
  std::string own_checkpoint_hint() const {
    return fmt::format("if each file is a checkpoint of its own, give one of them, such as '{}'",
                       (fs::path(folder_) / files_.back()).string());
  }

  void check_downloads() const {
    const std::set<std::string> present(all_.begin(), all_.end());
    std::set<std::string> kinds;
    for (const auto& file : files_) kinds.insert(without_numbers(file));
    for (const auto& file : all_) {
      const auto name = unfinished_name(file);
      if (!name) continue;
      const bool beside = present.contains(*name);
      // aria2 writes into the file itself and keeps its notes beside it; others leave nothing beside a file that is
      // whole.
      const bool of_these =
          beside ? file.ends_with(".aria2") && std::find(files_.begin(), files_.end(), *name) != files_.end()
                 : kinds.contains(without_numbers(*name));
      if (of_these)
        fail(fmt::format("'{}' is incomplete: '{}' says that its download was not finished", *name, file),
             "finish the download");
    }
  }

  void check_twice() const {
    std::map<std::vector<uint64_t>, size_t> seen;
    for (size_t f = 0; f < names_.size(); ++f) {
      const auto [it, fresh] = seen.emplace(names_[f].numbers, f);
      if (!fresh)
        fail(fmt::format("'{}' and '{}' have the same numbers: cannot tell which of them belongs to the checkpoint",
                         files_[it->second], files_[f]),
             "move one of them away");
    }
  }

  void check_total(const Counted& at) const {
    const NumberedName& first = names_.front();
    const uint64_t total = first.numbers[at.total];
    std::set<uint64_t> parts;
    for (size_t f = 0; f < names_.size(); ++f) {
      if (names_[f].numbers[at.total] != total)
        fail(fmt::format(
                 "'{}' says that there are {} files and '{}' that there are {}: they are not parts of one checkpoint",
                 files_.front(), total, files_[f], names_[f].numbers[at.total]),
             "move the files of the other checkpoint away");
      parts.insert(names_[f].numbers[at.part]);
    }
    const uint64_t begin = parts.contains(0) ? 0 : 1;
    uint64_t expected = begin;
    for (const uint64_t part : parts) {
      if (part != expected) break;
      ++expected;
    }
    if (expected - begin < total)
      fail(fmt::format("'{}' is not there; the names of the others say that there are {} files",
                       first.with(at.part, expected), total),
           "fetch the missing file");
    if (parts.size() > total)
      fail(fmt::format("'{}' is one of more files than the {} that the names say there are",
                       first.with(at.part, *parts.rbegin()), total),
           "move the files of the other checkpoint away");
  }

  void check_gaps(size_t at) const {
    std::set<uint64_t> values;
    for (const auto& name : names_) values.insert(name.numbers[at]);
    if (values.size() == 1) return;
    uint64_t expected = *values.begin() > 1 ? *values.begin() - 1 : *values.begin();
    for (const uint64_t value : values) {
      if (value != expected)
        fail(fmt::format("'{}' is not there: files that differ in a number are parts of one checkpoint, which count "
                         "from 0 or 1 without a gap ({})",
                         names_.front().with(at, expected), FileGroup{files_}.text()),
             "fetch the missing file; " + own_checkpoint_hint());
      ++expected;
    }
  }

  // Two numbers that count (layers and ranks): each of the one with each of the other.
  void check_all_combinations() const {
    const size_t n = names_.front().numbers.size();
    std::vector<std::vector<uint64_t>> values(n);
    uint64_t product = 1;
    for (size_t at = 0; at < n; ++at) {
      std::set<uint64_t> of_place;
      for (const auto& name : names_) of_place.insert(name.numbers[at]);
      values[at].assign(of_place.begin(), of_place.end());
      if (product <= names_.size()) product *= values[at].size();  // more than that is all that counts
    }
    if (product == names_.size()) return;
    std::set<std::vector<uint64_t>> present;
    for (const auto& name : names_) present.insert(name.numbers);
    std::vector<size_t> place(n, 0);
    for (bool more = true; more;) {
      std::vector<uint64_t> numbers(n);
      for (size_t at = 0; at < n; ++at) numbers[at] = values[at][place[at]];
      if (!present.contains(numbers)) {
        std::string name;
        for (size_t at = 0; at < n; ++at)
          name += names_.front().texts[at] + fmt::format("{:0{}}", numbers[at], names_.front().digits[at].size());
        fail(fmt::format("'{}' is not there, though files with each of its numbers are ({})",
                         name + names_.front().texts.back(), FileGroup{files_}.text()),
             "fetch the missing file; " + own_checkpoint_hint());
      }
      more = false;
      for (size_t at = n; at-- > 0 && !more;) {
        if (++place[at] < values[at].size())
          more = true;
        else
          place[at] = 0;
      }
    }
  }

  const std::string& folder_;
  const std::vector<std::string>& files_;
  const std::vector<std::string>& all_;
  std::vector<NumberedName> names_;
};

}  // namespace

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::vector<std::string> list_files(const std::string& folder) { return list_entries(folder, false); }
std::vector<std::string> list_folders(const std::string& folder) { return list_entries(folder, true); }

bool is_tensor_name(const std::string& name) {
  const std::string extension = fs::path(name).extension().string();
  static const std::set<std::string> kExtensions = {".pt", ".pth", ".bin", ".pkl", ".ckpt", ".safetensors"};
  return kExtensions.contains(extension);
}

std::string without_numbers(const std::string& name) {
  std::string result;
  for (const char c : name) {
    if (!is_digit(c))
      result += c;
    else if (result.empty() || result.back() != '#')
      result += '#';
  }
  return result;
}

std::string FileGroup::text() const {
  return files.size() == 1 ? fmt::format("'{}'", files.front())
                           : fmt::format("'{}' to '{}', {} files", files.front(), files.back(), files.size());
}

std::vector<FileGroup> group_files(const std::vector<std::string>& files) {
  std::map<std::string, FileGroup> groups;
  for (const auto& file : files) groups[without_numbers(file)].files.push_back(file);
  std::vector<FileGroup> result;
  for (auto& [kind, group] : groups) {
    std::sort(group.files.begin(), group.files.end(), natural_less);
    result.push_back(std::move(group));
  }
  return result;
}

std::optional<std::string> unfinished_name(const std::string& name) {
  for (const std::string_view suffix :
       {".incomplete", ".part", ".partial", ".crdownload", ".download", ".aria2", ".lock"})
    if (name.size() > suffix.size() && name.ends_with(suffix)) return name.substr(0, name.size() - suffix.size());
  return std::nullopt;
}

void check_parts(const std::string& folder, const std::vector<std::string>& files,
                 const std::vector<std::string>& all) {
  PartsCheck(folder, files, all).run();
}

std::string one_of_several(const std::string& name) {
  const NumberedName numbers(name);
  const auto count = counted(numbers);
  if (!count || numbers.numbers[count->total] < 2) return "";
  return fmt::format("'{}' is one of {} files, by its name", name, numbers.numbers[count->total]);
}

bool are_counted_shards(const std::vector<std::string>& files) {
  const auto count = counted(NumberedName(files.front()));
  return count && count->shards;
}

std::string quoted_list(const std::vector<std::string>& names, size_t most) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), most); ++i)
    text += fmt::format("{}'{}'", i == 0 ? "" : i + 1 == names.size() ? " and " : ", ", names[i]);
  if (names.size() > most) text += fmt::format(" and {} more", names.size() - most);
  return text;
}

}  // namespace remap::formats
