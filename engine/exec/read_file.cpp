#include "exec/read_file.h"

#include <cerrno>

#include <fmt/format.h>
#include <unistd.h>

#include "base/mapped_file.h"
#include "remap/diagnostic.h"

namespace remap::exec {

void read_file_bytes(const TileView& view, uint64_t offset, std::byte* out, uint64_t length) {
  const auto place = [&]() -> Place {
    if (view.file == nullptr) return {};
    return BytePlace{*view.file, {}, offset};
  };
  while (length > 0) {
    const ssize_t got = ::pread(view.fd, out, length, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      throw Error("io-read", place(), fmt::format("the file cannot be read here: {}", errno_text(errno)),
                  "look into the system's log for what its storage says; if there is a copy, use that");
    if (got == 0)
      throw Error("io-truncated", place(),
                  "the file ends here, before all of a tensor was read: it became shorter while it was open",
                  "let the program that writes it finish, then run again");
    out += got, offset += static_cast<uint64_t>(got), length -= static_cast<uint64_t>(got);
  }
}

}  // namespace remap::exec
