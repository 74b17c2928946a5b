// Which inputs would be lost if a file or folder were replaced. By device and inode, so that no way of writing a path
// hides it. Private to formats.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace remap::formats {

using FileId = std::pair<dev_t, ino_t>;

// Of the entry itself, not of what a link leads to; nullopt if there is none.
std::optional<FileId> file_id(const std::string& path);

// Where a path leads: the file or folder itself, every link on the way to it, and every folder that one of these is in.
// A path that does not exist leads as far as it does.
std::set<FileId> places_of(const std::string& path);

// Whether `folder` is the one at `path` or below it.
bool holds_folder(const std::string& path, const std::string& folder);

// The first of `inputs` that is `path` or is in it: by its name, through links, as a second name of a file in it, or,
// if the input is a folder, with something that it holds. "" if there is none, or nothing at `path`.
std::string input_held_by(const std::string& path, const std::vector<std::string>& inputs);

}  // namespace remap::formats
