#include "report/way_on.h"

#include <algorithm>
#include <iterator>
#include <string_view>

namespace remap::report {
namespace {

constexpr std::string_view kDamaged =
    "the file is damaged: copy or download it again, or have the program that wrote it save it again";
constexpr std::string_view kSaveAgain = "load it with the program that wrote it, and save it again";
constexpr std::string_view kBounds =
    "the bounds are there for files of strangers; '--limit NAME=VALUE' raises one, if you trust the file";

struct WayOn {
  std::string_view id, way;
};
constexpr WayOn kRows[] = {
    {"io-truncated", kDamaged},
    {"json-syntax", "correct the file; if no one wrote it by hand, copy or download it again"},
    {"limit-exceeded", kBounds},
    {"pickle-bad-memo", kDamaged},
    {"pickle-bad-number", kDamaged},
    {"pickle-bad-opcode", kDamaged},
    {"pickle-bad-text", kDamaged},
    {"pickle-extension", kSaveAgain},
    {"pickle-no-mark", kDamaged},
    {"pickle-no-stop", kDamaged},
    {"pickle-odd-items", kDamaged},
    {"pickle-out-of-band", kSaveAgain},
    {"pickle-protocol", kSaveAgain},
    {"pickle-stack-underflow", kDamaged},
    {"pickle-truncated", kDamaged},
    {"pickle-wrong-type", kDamaged},
    {"safetensors-header", kDamaged},
    {"safetensors-layout", kDamaged},
    {"safetensors-truncated", kDamaged},
    {"t5x-array-mismatch", kDamaged},
    {"t5x-msgpack", kDamaged},
    {"t5x-path", kSaveAgain},
    {"tensor-shape-overflow", kDamaged},
    {"torch-bad-storage", kDamaged},
    {"torch-bad-stream", kDamaged},
    {"torch-bad-tensor", kDamaged},
    {"torch-big-endian", kSaveAgain},
    {"torch-no-pickle", kDamaged},
    {"torch-truncated", kDamaged},
    {"torch-unknown-storage", kSaveAgain},
    {"zarr-chunk", kDamaged},
    {"zarr-metadata", kDamaged},
    {"zip-bad-crc", kDamaged},
    {"zip-bad-deflate", kDamaged},
    {"zip-bad-directory", kDamaged},
    {"zip-bad-header", kDamaged},
    {"zip-bad-name", kSaveAgain},
    {"zip-bad-size", kDamaged},
    {"zip-duplicate-name", kDamaged},
    {"zip-encrypted", kSaveAgain},
    {"zip-method", kSaveAgain},
    {"zip-overlap", kDamaged},
    {"zip-truncated", kDamaged},
};

}  // namespace

std::string way_on(const Diagnostic& d) {
  if (!d.hint.empty() || d.severity != Severity::error) return d.hint;
  const auto row = std::find_if(std::begin(kRows), std::end(kRows), [&](const WayOn& r) { return r.id == d.id; });
  return row == std::end(kRows) ? "" : std::string(row->way);
}

}  // namespace remap::report
