// Opening files, of which a checkpoint of many ranks or an output of many shards has more than a shell allows.
#pragma once

#include <string>

#include <sys/types.h>

namespace remap {

// ::open with O_CLOEXEC: a descriptor, or -1 and errno. Raises the soft limit of open files to the hard one before it
// is reached, so that there is room for what opens files otherwise (folders, streams). Any thread.
int open_descriptor(const std::string& path, int flags, mode_t mode = 0);

}  // namespace remap
