// What is in a folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace remap {

// Sorted by bytes, since a folder lists its entries in any order; without "." and "..".
struct FolderNames {
  std::vector<std::string> names;
  int error = 0;  // errno of what failed: then names may be missing
};
// `at_most`: further names are left out. A link to a folder is followed, or ELOOP or ENOTDIR.
enum class FolderLink { follow, refuse };
FolderNames names_in(const std::string& folder, FolderLink link = FolderLink::follow, size_t at_most = SIZE_MAX);

}  // namespace remap
