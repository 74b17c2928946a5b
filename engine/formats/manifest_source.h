// A manifest file in place of a checkpoint; see remap/manifest_file.h for what it looks like.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "remap/source.h"

namespace remap::formats {

// True if the first line that is neither empty nor a comment is a tensor's.
bool looks_like_manifest_text(std::string_view text);

// format() is "manifest", has_data() false; metadata() of a JSON manifest is the one listed, with its "format" as
// "$format". Throws Error "manifest-syntax", "manifest-duplicate-key", "limit-exceeded".
std::unique_ptr<Source> open_manifest_text(const std::string& path, std::string_view text, const OpenOptions& options);
// `plain`: the tensors that were taken out of the list in `root` (plain_tensors.h), which is empty then.
std::unique_ptr<Source> open_manifest_json(const std::string& path, const Json& root, std::vector<TensorInfo> plain,
                                           const OpenOptions& options);

}  // namespace remap::formats
