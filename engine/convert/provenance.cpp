#include "remap/provenance.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include <fmt/format.h>

#include "base/sha256.h"
#include "remap/diagnostic.h"
#include "remap/document.h"

namespace remap {
namespace fs = std::filesystem;
namespace {

constexpr const char* kMark = "remap_provenance";

struct Listed {
  uint64_t bytes = 0;
  std::string sha256;
};

std::map<std::string, Listed> outputs_of(const Json& root, const std::string& file) {
  const auto fail = [&](const std::string& message) {
    throw Error("provenance", BytePlace{file, {}, {}}, message, "ask for the folder again where it came from");
  };
  if (!root.is_object() || !root.contains(kMark) || root[kMark] != 1)
    fail("not a provenance of version 1, as 'remap' writes it");
  if (!root.contains("outputs") || !root["outputs"].is_array()) fail("'outputs' is not there, or not a list");
  std::map<std::string, Listed> listed;
  for (const Json& one : root["outputs"]) {
    const bool whole = one.is_object() && one.contains("file") && one["file"].is_string() && one.contains("bytes") &&
                       one["bytes"].is_number_unsigned() && one.contains("sha256") && one["sha256"].is_string();
    if (!whole) fail("an output without 'file', 'bytes' and 'sha256'");
    listed[one["file"]] = {one["bytes"].get<uint64_t>(), one["sha256"].get<std::string>()};
  }
  return listed;
}

std::string difference(const FileDigest& found, const Listed& listed) {
  if (found.size_bytes != listed.bytes) return fmt::format("{} bytes; {} were written", found.size_bytes, listed.bytes);
  return found.sha256 == listed.sha256 ? "" : "other bytes than were written";
}

}  // namespace

bool CheckedFolder::holds() const {
  return std::all_of(files.begin(), files.end(), [](const CheckedFile& f) { return f.check == FileCheck::same; });
}

CheckedFolder check_provenance(const std::string& folder, const Limits& limits, const ProgressFunction& progress) {
  const std::string file = (fs::path(folder) / kProvenanceFile).string();
  std::error_code ignored;
  if (fs::exists(folder, ignored) && !fs::is_directory(folder, ignored))
    throw Error("io-read", BytePlace{folder, {}, {}}, "is a file; the files of a folder are checked",
                "give the folder that remap wrote");
  if (!fs::exists(file, ignored))
    throw Error("io-read", BytePlace{file, {}, {}}, "there is no such file",
                "a conversion writes it with --provenance");
  CheckedFolder checked;
  checked.provenance = read_document(file, "json", limits);
  const auto listed = outputs_of(checked.provenance, file);
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name == kProvenanceFile) continue;
    CheckedFile one{name, FileCheck::same, "", ""};
    if (!listed.contains(name))
      one = {name, FileCheck::unlisted, "was not written with the others", ""};
    else if (!fs::is_regular_file(entry.path(), ignored))  // a link is as good as what it leads to
      one = {name, FileCheck::other, "is not a file", ""};
    if (fs::is_regular_file(entry.path(), ignored)) paths.push_back(entry.path().string());
    checked.files.push_back(std::move(one));
  }
  std::sort(paths.begin(), paths.end());
  std::map<std::string, FileDigest> digests;
  const auto found = sha256_of_files(paths, progress);
  for (size_t i = 0; i < paths.size(); ++i) digests[fs::path(paths[i]).filename().string()] = found[i];
  for (CheckedFile& one : checked.files) {
    const auto digest = digests.find(one.file);
    if (digest == digests.end()) continue;
    one.sha256 = digest->second.sha256;
    if (one.check != FileCheck::same) continue;
    one.message = difference(digest->second, listed.at(one.file));
    if (!one.message.empty()) one.check = FileCheck::other;
  }
  for (const auto& [name, what] : listed)
    if (std::none_of(checked.files.begin(), checked.files.end(), [&](const auto& one) { return one.file == name; }))
      checked.files.push_back({name, FileCheck::missing, "is missing", ""});
  std::sort(checked.files.begin(), checked.files.end(),
            [](const CheckedFile& a, const CheckedFile& b) { return a.file < b.file; });
  return checked;
}

}  // namespace remap
