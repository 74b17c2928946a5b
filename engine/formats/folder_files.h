// Which files of a folder belong together, by their names. Reads no contents.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace remap::formats {

// False also for what cannot be looked at. Links are followed.
bool is_file(const std::filesystem::path& path);
bool is_folder(const std::filesystem::path& path);

// The folder's files (not its folders), by name, in natural order ("2" before "10").
std::vector<std::string> list_files(const std::string& folder);
// The same for its folders.
std::vector<std::string> list_folders(const std::string& folder);

// Named as files of tensors are: torch's and safetensors' extensions.
bool is_tensor_name(const std::string& name);

// "model.00.pth" as "model.#.pth": files that differ in numbers only are parts of one checkpoint.
std::string without_numbers(const std::string& name);

// Files that differ in numbers only.
struct FileGroup {
  std::vector<std::string> files;
  // "'a.pt'", or "'a.0.pt' to 'a.7.pt', 8 files".
  std::string text() const;
};
std::vector<FileGroup> group_files(const std::vector<std::string>& files);

// A file that a download (browser, huggingface_hub, wget, aria2) has not finished: what it will be called; nullopt for
// any other.
std::optional<std::string> unfinished_name(const std::string& name);

// Throws Error "source-parts" naming what is missing, by the numbers in the parts' names (gaps, "-of-00004" with fewer
// files) and by downloads that were not finished. `files` are the parts, at least one; `all` are the folder's files.
void check_parts(const std::string& folder, const std::vector<std::string>& files, const std::vector<std::string>& all);

// "'model-00001-of-00004.bin' is one of 4 files" if a name says so of a file that is not all; "" otherwise.
std::string one_of_several(const std::string& name);

// Whether the names are those of shards that are counted ("-of-00004"), so that check_parts() proves that all are
// there.
bool are_counted_shards(const std::vector<std::string>& files);

// "'a', 'b' and 3 more".
std::string quoted_list(const std::vector<std::string>& names, size_t most = 4);

}  // namespace remap::formats
