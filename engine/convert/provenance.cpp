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
  if (!root.is_object() || root.value(kMark, 0) != 1) fail("not a provenance of version 1, as 'remap' writes it");
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

CheckedFolder check_provenance(const std::string& folder, const ProgressFunction& progress) {
  const std::string file = (fs::path(folder) / kProvenanceFile).string();
  std::error_code ignored;
  if (!fs::exists(file, ignored))
    throw Error("io-read", BytePlace{file, {}, {}}, "there is no such file",
                "a conversion writes it with --provenance");
  CheckedFolder checked;
  checked.provenance = read_document(file, "json");
  const auto listed = outputs_of(checked.provenance, file);
  std::vector<std::string> names, paths;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name != kProvenanceFile && !entry.is_directory()) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  for (const auto& name : names) paths.push_back((fs::path(folder) / name).string());
  const auto digests = sha256_of_files(paths, progress);
  for (size_t i = 0; i < names.size(); ++i) {
    const auto found = listed.find(names[i]);
    if (found == listed.end()) {
      checked.files.push_back({names[i], FileCheck::unlisted, "was not written with the others", digests[i].sha256});
      continue;
    }
    const std::string message = difference(digests[i], found->second);
    checked.files.push_back(
        {names[i], message.empty() ? FileCheck::same : FileCheck::other, message, digests[i].sha256});
  }
  for (const auto& [name, what] : listed)
    if (!std::binary_search(names.begin(), names.end(), name))
      checked.files.push_back({name, FileCheck::missing, "is missing", ""});
  std::sort(checked.files.begin(), checked.files.end(),
            [](const CheckedFile& a, const CheckedFile& b) { return a.file < b.file; });
  return checked;
}

}  // namespace remap
