#include "base/folder_names.h"

#include <algorithm>
#include <cerrno>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/open_descriptor.h"

namespace remap {
namespace {

struct CloseFolder {
  void operator()(DIR* handle) const { ::closedir(handle); }
};

}  // namespace

FolderNames names_in(const std::string& folder, FolderLink link, size_t at_most) {
  const int flags = O_RDONLY | O_DIRECTORY | (link == FolderLink::refuse ? O_NOFOLLOW : 0);
  const int fd = open_descriptor(folder, flags);
  if (fd < 0) return {{}, errno};
  const std::unique_ptr<DIR, CloseFolder> handle(::fdopendir(fd));
  if (!handle) {
    const int error = errno;
    ::close(fd);
    return {{}, error};
  }
  FolderNames found;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(handle.get());
    if (entry == nullptr) {
      found.error = errno;
      break;
    }
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (found.names.size() == at_most) break;
    found.names.push_back(name);
  }
  std::sort(found.names.begin(), found.names.end());
  return found;
}

}  // namespace remap
