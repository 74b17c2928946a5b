// A manifest as text or JSON: read, or an Error; one that is read, written and read again is the same.
#include <cstdlib>

#include "formats/json_text.h"
#include "formats/manifest_source.h"
#include "fuzz/fuzz_input.h"
#include "remap/manifest_file.h"

using namespace remap;
using namespace remap::formats;

namespace {

// A manifest that stands for no format is written as one that stands for a manifest.
Json metadata_of(const Source& source) {
  Json metadata = source.metadata();
  metadata.erase("$format");
  return metadata;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const OpenOptions options = fuzz::small_limits();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::unique_ptr<Source> source;
  try {
    (void)looks_like_manifest_text(text);
    source = text.starts_with('{') ? open_manifest_json("fuzz", parse_json(text, {"fuzz"}), options)
                                   : open_manifest_text("fuzz", text, options);
  } catch (const Error&) {
    return 0;
  }
  OpenOptions again = options;  // a folded manifest of few bytes may list many
  again.limits.max_tensors *= 2;
  const auto json = open_manifest_json("fuzz", parse_json(manifest_to_json(*source), {"fuzz"}), again);
  if (json->manifest() != source->manifest() || metadata_of(*json) != metadata_of(*source)) std::abort();
  if (text.starts_with('{')) return 0;  // lines of text hold no aliases
  const auto lines = open_manifest_text("fuzz", manifest_to_text(source->manifest()), again);
  if (lines->manifest() != source->manifest()) std::abort();
  return 0;
}
