// A manifest as text or JSON: read, or an Error; one that is read, written and read again is the same, and a list of
// plain tensors is what the general parser makes of it.
#include <cstdlib>

#include "formats/json_text.h"
#include "formats/manifest_source.h"
#include "formats/plain_tensors.h"
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

std::unique_ptr<Source> open_tree(std::string_view text, const OpenOptions& options) {
  return open_manifest_json("fuzz", parse_json(text, {"fuzz"}), {}, options);
}

void compare_with_plain(std::string_view text, const Source& source, const OpenOptions& options) {
  auto taken = take_plain_tensors(text);
  if (!taken || taken->tensors.size() > options.limits.max_tensors) return;
  const auto plain = open_manifest_json("fuzz", parse_json(taken->rest, {"fuzz"}), std::move(taken->tensors), options);
  if (plain->manifest() != source.manifest() || metadata_of(*plain) != metadata_of(source)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const OpenOptions options = fuzz::small_limits();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::unique_ptr<Source> source;
  try {
    (void)looks_like_manifest_text(text);
    source = text.starts_with('{') ? open_tree(text, options) : open_manifest_text("fuzz", text, options);
  } catch (const Error&) {
    return 0;
  }
  if (text.starts_with('{')) compare_with_plain(text, *source, options);
  OpenOptions again = options;  // a folded manifest of few bytes may list many
  again.limits.max_tensors *= 2;
  const std::string written = manifest_to_json(*source);
  const auto json = open_tree(written, again);
  compare_with_plain(written, *json, again);
  if (json->manifest() != source->manifest() || metadata_of(*json) != metadata_of(*source)) std::abort();
  if (text.starts_with('{')) return 0;  // lines of text hold no aliases
  const auto lines = open_manifest_text("fuzz", manifest_to_text(source->manifest()), again);
  if (lines->manifest() != source->manifest()) std::abort();
  return 0;
}
