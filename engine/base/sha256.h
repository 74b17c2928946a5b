// SHA-256 (of OpenSSL's libcrypto), for those who receive a file and ask whether it is the one that was sent.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "remap/progress.h"

namespace remap {

std::string sha256(std::string_view text);  // 64 hexadecimal digits

struct FileDigest {
  uint64_t size_bytes = 0;
  std::string sha256;
};
// Of whole files, on all cores; progress is counted in bytes. `cancel` becomes true to stop. Throws Error "io-read" for
// the first that cannot be read, "cancelled".
std::vector<FileDigest> sha256_of_files(const std::vector<std::string>& paths, const ProgressFunction& progress = {},
                                        const std::atomic<bool>* cancel = nullptr);

}  // namespace remap
