// Checkpoints written by torch.save: the zip archive (since 1.6) and the legacy stream before it.
// Nothing in the pickle is run. Stored and legacy tensors are served from the mapping; packed ones from a temporary
// file.
#pragma once

#include <memory>

#include "base/mapped_file.h"
#include "remap/source.h"

namespace remap {

// By content: a zip archive with */data.pkl, a legacy stream, or a tar archive from before 0.1.10 (which opening
// refuses by name).
bool looks_like_torch(const MappedFile& file);

// Throws: Error, ids "torch-*", "zip-*", "pickle-*", "limit-exceeded", "manifest-duplicate-key",
// "tensor-shape-overflow".
std::unique_ptr<Source> open_torch(MappedFile file, const OpenOptions& options);

}  // namespace remap
