#include "exec/read_file.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/mapped_file.h"
#include "remap/diagnostic.h"

namespace remap::exec {

// The page cache has a file in pieces of up to 2 MiB, and lets go of whole ones only: those that began before the range
// are asked for again.
void drop_read(int fd, uint64_t offset, uint64_t length) {
  constexpr uint64_t kWorthDropping = 65536, kPieces = uint64_t{4} << 20;
  if (length < kWorthDropping) return;
  const uint64_t begin = offset - std::min(offset, kPieces);
  drop_cached(fd, begin, offset + length - begin);
}

void read_file_bytes(const TileView& view, uint64_t offset, std::byte* out, uint64_t length, bool once) {
  const BytesRead read = read_all_at(view.fd, offset, {out, length});
  if (once) drop_read(view.fd, offset, length);
  if (read.n_bytes == length) return;
  const Place place = view.file == nullptr ? Place{} : BytePlace{*view.file, {}, offset + read.n_bytes};
  if (read.error != 0)
    throw Error("io-read", place, fmt::format("the file cannot be read here: {}", errno_text(read.error)),
                "look into the system's log for what its storage says; if there is a copy, use that");
  throw Error("io-truncated", place,
              "the file ends here, before all of a tensor was read: it became shorter while it was open",
              "let the program that writes it finish, then run again");
}

}  // namespace remap::exec
